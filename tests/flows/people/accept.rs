//! From the invitation to the login, and every code that opens nothing.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    ACCEPT, PASSWORD, accept, come_in, forget_mails, invite, log_in, logged_in, members,
    stack_with_mail, token_of,
};
use crate::harness::{Answer, Stack};

#[tokio::test(flavor = "multi_thread")]
async fn an_invited_person_signs_up_with_the_code_in_the_mail_and_logs_in() {
    let (stack, mailbox) = stack_with_mail().await;
    let admin = stack.create_tenant("acme").await;
    let email = "engineer@acme.example";
    let invited = invite(&admin, "acme", email, "member").await.expect(201);
    assert_eq!(invited.json["status"], "pending");
    assert_eq!(invited.json["role"], "tenant-member");
    let job = stack.ended(&admin, &invited.text_of("job_id")).await;
    assert_eq!(job["kind"], "send_notification");
    assert_eq!(job["result"]["sent"], true);
    assert_eq!(
        members(&admin, "acme").await.len(),
        1,
        "nobody is a member by another's word"
    );
    let token = mailbox.newest_to(email, 1).await.token();
    let order = json!({ "token": token, "name": "Jürgen", "password": PASSWORD });
    let nobody = stack.admin.without_key();
    let admitted = nobody.post(ACCEPT, &order).await.expect(200);
    assert_eq!(admitted.json["tenant_id"], "acme");
    assert_eq!(admitted.json["role"], "tenant-member");
    let engineer = logged_in(&stack, email, "acme").await;
    let seen = members(&engineer, "acme").await;
    let own: Vec<&Value> = seen
        .iter()
        .filter(|member| member["email"] == email)
        .collect();
    assert_eq!(own.len(), 1);
    assert_eq!(own[0]["name"], "Jürgen");
    assert_eq!(own[0]["user_id"], admitted.json["user_id"]);
    let refused = invite(&engineer, "acme", "other@acme.example", "viewer").await;
    refused.problem(403, "role.insufficient");
    let path = invited.header("location").to_owned();
    let after = admin.get(&path).await.expect(200);
    assert_eq!(after.json["status"], "accepted");
    assert!(after.json["mailed_at"].is_string() && after.json["ended_at"].is_string());
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_mail_does_not_open_an_account_that_exists() {
    let (stack, mailbox) = stack_with_mail().await;
    let alpha = stack.create_tenant("alpha").await;
    let bravo = stack.create_tenant("bravo").await;
    let email = "both@people.example";
    let person = come_in(&stack, &mailbox, &alpha, "alpha", (email, "viewer")).await;
    let other = come_in(
        &stack,
        &mailbox,
        &bravo,
        "bravo",
        ("other@people.example", "admin"),
    )
    .await;
    assert_ne!(person, other);
    invite(&bravo, "bravo", "BOTH@people.example", "admin")
        .await
        .expect(201);
    let token = mailbox.newest_to("BOTH@people.example", 1).await.token();
    let order = json!({ "token": token });
    let thief = stack.admin.without_key();
    thief
        .post(ACCEPT, &order)
        .await
        .problem(401, "invitation.needs_login");
    accept(&stack, &token, "another long password")
        .await
        .problem(401, "auth.failed");
    let somebody = logged_in(&stack, "other@people.example", "bravo").await;
    somebody
        .post(ACCEPT, &order)
        .await
        .problem(403, "invitation.of_another");
    bravo
        .post(ACCEPT, &order)
        .await
        .problem(403, "session.required");
    thief
        .with_key("garbage")
        .post(ACCEPT, &order)
        .await
        .problem(401, "auth.required");
    log_in(&stack, email, PASSWORD, "bravo")
        .await
        .problem(401, "auth.failed");
    let owner = logged_in(&stack, email, "alpha").await;
    let admitted = owner.post(ACCEPT, &order).await.expect(200);
    assert_eq!(admitted.text_of("user_id"), person.to_string());
    let in_bravo = logged_in(&stack, email, "bravo").await;
    in_bravo
        .get("/api/v1/tenants/bravo/invitations")
        .await
        .expect(200);
    in_bravo
        .get("/api/v1/tenants/alpha/members")
        .await
        .problem(404, "not_found");
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_elsewhere_accepts_with_their_password() {
    let (stack, mailbox) = stack_with_mail().await;
    let alpha = stack.create_tenant("alpha").await;
    let bravo = stack.create_tenant("bravo").await;
    let email = "both@people.example";
    let person = come_in(&stack, &mailbox, &alpha, "alpha", (email, "viewer")).await;
    assert_eq!(
        come_in(&stack, &mailbox, &bravo, "bravo", (email, "member")).await,
        person
    );
    for (tenant, role) in [("alpha", "tenant-viewer"), ("bravo", "tenant-member")] {
        let caller = logged_in(&stack, email, tenant).await;
        let me = caller.get("/api/v1/auth/me").await.expect(200);
        assert_eq!(
            (&me.json["tenant_id"], &me.json["role"]),
            (&json!(tenant), &json!(role))
        );
    }
    stack.finish().await;
}

/// What a refusal looks like, without what differs between any two requests.
fn face(answer: &Answer) -> Value {
    let mut body = answer.json.clone();
    body["request_id"] = json!("-");
    json!({ "status": answer.status.as_u16(), "body": body })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_is_used_up_revoked_expired_replaced_or_unknown_is_refused_alike() {
    let (stack, mailbox) = stack_with_mail().await;
    let admin = stack.create_tenant("acme").await;
    let mut tokens = Vec::new();
    for name in ["used", "revoked", "expired", "replaced"] {
        let email = format!("{name}@people.example");
        let invited = invite(&admin, "acme", &email, "viewer").await.expect(201);
        let token = mailbox.newest_to(&email, 1).await.token();
        let path = invited.header("location").to_owned();
        match name {
            "used" => {
                accept(&stack, &token, PASSWORD).await.expect(200);
            }
            "revoked" => {
                admin.delete(&path).await.expect(204);
                assert_eq!(admin.get(&path).await.json["status"], "revoked");
            }
            "expired" => {
                expire(&stack, &email).await;
                assert_eq!(admin.get(&path).await.json["status"], "expired");
            }
            _ => {
                let resend = format!("{path}/resend");
                admin
                    .post(&resend, &json!({}))
                    .await
                    .problem(409, "invitation.just_sent");
                forget_mails(&stack).await;
                let again = admin.post(&resend, &json!({})).await.expect(202);
                stack.ended(&admin, &again.text_of("id")).await;
                let newer = mailbox.newest_to(&email, 2).await.token();
                assert_ne!(newer, token);
            }
        }
        tokens.push(token);
    }
    tokens.push(format!("um_{}", "A".repeat(43)));
    tokens.extend(["", "um_", "x", "um_\0", &"x".repeat(1000)].map(str::to_owned));
    let mut faces = BTreeSet::new();
    for token in &tokens {
        let refused = accept(&stack, token, PASSWORD).await;
        faces.insert(face(&refused.problem(410, "invitation.gone")).to_string());
    }
    assert_eq!(faces.len(), 1, "{faces:#?}");
    let newest = mailbox
        .newest_to("replaced@people.example", 2)
        .await
        .token();
    accept(&stack, &newest, PASSWORD).await.expect(200);
    forget_mails(&stack).await;
    for (name, code) in [("revoked", 201), ("expired", 201), ("used", 409)] {
        let again = invite(&admin, "acme", &format!("{name}@people.example"), "viewer").await;
        again.expect(code);
    }
    stack.finish().await;
}

async fn expire(stack: &Stack, email: &str) {
    sqlx::query("UPDATE invitations SET expires_at = now() - interval '1 second' WHERE email = $1")
        .bind(email)
        .execute(&mut stack.owner().await)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_who_accept_at_once_one_comes_in() {
    let (stack, mailbox) = stack_with_mail().await;
    let admin = stack.create_tenant("acme").await;
    for round in 0..4 {
        let email = format!("racer-{round}@people.example");
        invite(&admin, "acme", &email, "viewer").await.expect(201);
        let token = mailbox.newest_to(&email, 1).await.token();
        let racers = (0..6).map(|_| accept(&stack, &token, PASSWORD));
        let answers = futures::future::join_all(racers).await;
        let won = answers.iter().filter(|answer| answer.status == 200).count();
        assert_eq!(won, 1, "{answers:#?}");
        for answer in answers.iter().filter(|answer| answer.status != 200) {
            assert_eq!(answer.status, 410, "{}", answer.text);
        }
        log_in(&stack, &email, PASSWORD, "acme").await.expect(200);
    }
    assert_eq!(members(&admin, "acme").await.len(), 5);
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_tells_its_sender_nothing_about_the_address() {
    let (stack, mailbox) = stack_with_mail().await;
    let alpha = stack.create_tenant("alpha").await;
    let bravo = stack.create_tenant("bravo").await;
    come_in(
        &stack,
        &mailbox,
        &bravo,
        "bravo",
        ("known@people.example", "admin"),
    )
    .await;
    let mut faces = BTreeSet::new();
    for email in ["known@people.example", "fresh@people.example"] {
        let answer = invite(&alpha, "alpha", email, "viewer").await.expect(201);
        let id = answer.text_of("id");
        stack.ended(&alpha, &answer.text_of("job_id")).await;
        let later = alpha
            .get(&format!("/api/v1/tenants/alpha/invitations/{id}"))
            .await;
        let mail = mailbox
            .mails()
            .into_iter()
            .rfind(|mail| mail.to == [email])
            .unwrap();
        let shape = |value: &Value| {
            let fields = value.as_object().unwrap().iter();
            let fields: Vec<(String, bool)> = fields
                .map(|(name, value)| (name.clone(), value.is_null()))
                .collect();
            format!("{fields:?}")
        };
        let body = mail.body().replace(&mail.token(), "-");
        faces.insert([shape(&answer.json), shape(&later.json), body].join("\n"));
        let again = invite(&alpha, "alpha", email, "viewer").await;
        again.problem(409, "invitation.pending");
    }
    // The time until which it can be accepted is to the minute, so it may differ by one.
    assert!(faces.len() <= 2, "{faces:#?}");
    let lengths: BTreeSet<usize> = faces.iter().map(String::len).collect();
    assert_eq!(lengths.len(), 1, "{faces:#?}");
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_invitations_with_one_key_are_one() {
    let (stack, mailbox) = stack_with_mail().await;
    let admin = stack.create_tenant("acme").await;
    let order = json!({ "email": "once@people.example", "role": "viewer" });
    let key = [("idempotency-key", "k")];
    let racers = (0..6).map(|_| admin.post_with("/api/v1/tenants/acme/members", &order, &key));
    let answers = futures::future::join_all(racers).await;
    let ids: BTreeSet<String> = answers
        .iter()
        .map(|answer| answer.clone().expect(201).text_of("id"))
        .collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    stack.ended(&admin, &answers[0].text_of("job_id")).await;
    assert_eq!(mailbox.mails().len(), 1);
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_person_who_becomes_a_first_administrator_keeps_their_password() {
    let (stack, mailbox) = stack_with_mail().await;
    let alpha = stack.create_tenant("alpha").await;
    let email = "known@people.example";
    come_in(&stack, &mailbox, &alpha, "alpha", (email, "viewer")).await;
    let order = json!({ "id": "bravo", "name": "Bravo", "admin_email": "Known@People.example" });
    let created = stack
        .admin
        .post("/api/v1/tenants", &order)
        .await
        .expect(201);
    assert!(created.json["admin_password"].is_null(), "{}", created.text);
    let admin = logged_in(&stack, email, "bravo").await;
    let me = admin.get("/api/v1/auth/me").await.expect(200);
    assert_eq!(me.json["role"], "tenant-admin");
    assert_eq!(me.json["must_change_password"], false);
    logged_in(&stack, email, "alpha").await;
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_link_in_the_mail_opens_a_page_that_asks_nobody_but_the_api() {
    let (stack, _mailbox) = stack_with_mail().await;
    let nobody = stack.admin.without_key();
    let page = nobody.get("/invitation").await.expect(200);
    let script = nobody.get("/invitation/page.js").await.expect(200);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(page.text.contains("/invitation/page.js") && script.text.contains(ACCEPT));
    for part in [&page, &script] {
        let policy = part.header("content-security-policy");
        assert!(
            policy.contains("default-src 'self'") && !policy.contains("http"),
            "{policy}"
        );
        assert_eq!(part.header("referrer-policy"), "no-referrer");
        for outside in ["http://", "https://", "src=\"//", "innerHTML"] {
            assert!(!part.text.contains(outside), "{outside}");
        }
    }
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_a_member_already_is_told_the_role_that_they_keep() {
    let (stack, _) = Stack::still_now().await;
    let admin = stack.create_tenant("acme").await;
    let email = "member@people.example";
    let invited = invite(&admin, "acme", email, "viewer").await.expect(201);
    // They have come in by another way meanwhile.
    let person = stack
        .person(
            email,
            &[("acme", unity_shared::tenancy::Role::TenantMember)],
        )
        .await;
    stack
        .change(
            "UPDATE quota_usage SET used = used + 1 WHERE tenant_id = 'acme' AND name = 'users'",
        )
        .await;
    let admitted = accept(&stack, &token_of(&invited), &person.password).await;
    assert_eq!(admitted.expect(200).json["role"], "tenant-member");
    let log = admin.get("/api/v1/audit-log?limit=200").await.expect(200);
    let told = log.json["items"].as_array().unwrap().iter();
    let told: Vec<&Value> = told
        .filter(|told| told["action"] == "invitation.accept")
        .collect();
    assert_eq!(told[0]["detail"]["role"], "tenant-member");
    let usage = admin.get("/api/v1/tenants/acme/usage").await.expect(200);
    assert_eq!(usage.json["users"]["used"], 2);
    stack.stop().await;
}
