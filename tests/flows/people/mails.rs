//! Mails: sent once, to whom they are for, with nothing in them that somebody else chose.

use serde_json::json;

use super::{invite, stack_with_mail};
use crate::harness::{Stack, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_was_put_off_leaves_later_and_is_the_same_mail() {
    let (stack, mailbox) = stack_with_mail().await;
    let admin = stack.create_tenant("acme").await;
    mailbox.refuse(&["451 4.7.1 come again", "421 4.3.2 too busy"]);
    let invited = invite(&admin, "acme", "late@people.example", "viewer")
        .await
        .expect(201);
    let job = stack.ended(&admin, &invited.text_of("job_id")).await;
    assert_eq!(
        (&job["status"], &job["attempt"]),
        (&json!("succeeded"), &json!(3))
    );
    let mails = mailbox.mails();
    assert_eq!(mails.len(), 1);
    let id = format!("<{}@unity.test>", job["id"].as_str().unwrap());
    assert_eq!(mails[0].header("message-id"), id);
    assert_eq!(job["result"]["message_id"], id);
    let attempts = admin
        .get(&format!(
            "/api/v1/jobs/{}/attempts",
            invited.text_of("job_id")
        ))
        .await;
    let first = &attempts.expect(200).json["items"][0];
    assert_eq!(first["error"]["code"], "mail.put_off");
    assert!(
        !first.to_string().contains("come again"),
        "the server's words stay inside"
    );
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_was_refused_fails_its_job_and_can_be_sent_again() {
    let (stack, mailbox) = stack_with_mail().await;
    let admin = stack.create_tenant("acme").await;
    mailbox.refuse(&["550 5.1.1 no such user"]);
    let invited = invite(&admin, "acme", "gone@people.example", "viewer")
        .await
        .expect(201);
    let job = stack.ended(&admin, &invited.text_of("job_id")).await;
    assert_eq!(
        (&job["status"], &job["attempt"]),
        (&json!("failed"), &json!(1))
    );
    assert_eq!(job["error"]["code"], "mail.refused");
    assert_eq!(job["error"]["retryable"], false);
    let path = invited.header("location").to_owned();
    assert!(admin.get(&path).await.json["mailed_at"].is_null());
    let again = admin
        .post(&format!("{path}/resend"), &json!({}))
        .await
        .expect(202);
    let job = stack.ended(&admin, &again.text_of("id")).await;
    assert_eq!(job["status"], "succeeded");
    assert_eq!(mailbox.mails().len(), 1);
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_issue_of_an_invitation_is_one_mail_whoever_asks_for_it_again() {
    let (stack, mailbox) = stack_with_mail().await;
    let admin = stack.create_tenant("acme").await;
    let invited = invite(&admin, "acme", "calm@people.example", "viewer")
        .await
        .expect(201);
    stack.ended(&admin, &invited.text_of("job_id")).await;
    let payload = json!({ "template": "invitation", "invitation_id": invited.json["id"] });
    for _ in 0..3 {
        let order = json!({ "kind": "send_notification", "payload": payload });
        let job = admin.post("/api/v1/jobs", &order).await.expect(202);
        let ended = stack.ended(&admin, &job.text_of("id")).await;
        assert_eq!(ended["result"]["sent"], false, "{ended}");
    }
    assert_eq!(mailbox.mails().len(), 1);
    admin.delete(invited.header("location")).await.expect(204);
    let order = json!({ "kind": "send_notification", "payload": payload });
    let job = admin.post("/api/v1/jobs", &order).await.expect(202);
    assert_eq!(
        stack.ended(&admin, &job.text_of("id")).await["status"],
        "cancelled"
    );
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_invitation_cannot_be_mailed() {
    let (stack, mailbox) = stack_with_mail().await;
    let alpha = stack.create_tenant("alpha").await;
    let bravo = stack.create_tenant("bravo").await;
    mailbox.refuse(&["550 5.1.1 no such user"]);
    let theirs = invite(&bravo, "bravo", "theirs@bravo.example", "viewer")
        .await
        .expect(201);
    stack.ended(&bravo, &theirs.text_of("job_id")).await;
    let mut errors = Vec::new();
    for id in [theirs.text_of("id"), uuid::Uuid::now_v7().to_string()] {
        let payload = json!({ "template": "invitation", "invitation_id": id });
        let order = json!({ "kind": "send_notification", "payload": payload });
        let job = alpha.post("/api/v1/jobs", &order).await.expect(202);
        errors.push(stack.ended(&alpha, &job.text_of("id")).await["error"].clone());
    }
    assert_eq!(errors[0], errors[1]);
    assert_eq!(errors[0]["code"], "invitation.unknown");
    assert!(mailbox.mails().is_empty());
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_in_its_mail_and_nowhere_else() {
    let (stack, mailbox) = stack_with_mail().await;
    let admin = stack.create_tenant("acme").await;
    let email = "secret@people.example";
    let invited = invite(&admin, "acme", email, "viewer").await.expect(201);
    let job = stack.ended(&admin, &invited.text_of("job_id")).await;
    let token = mailbox.newest_to(email, 1).await.token();
    let mut owner = stack.owner().await;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class
         WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'",
    )
    .fetch_all(&mut owner)
    .await
    .unwrap();
    let mut found = 0;
    for table in tables {
        let sql = format!("SELECT to_jsonb(t)::text FROM {table} AS t");
        let rows: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_all(&mut owner)
            .await
            .unwrap();
        for row in rows {
            assert!(!row.contains(&token), "{table} keeps the code");
            found += usize::from(row.contains(email));
        }
    }
    assert!(found > 0, "the search finds what is there");
    let events = admin.get("/api/v1/events?since=0").await.expect(200);
    for text in [&invited.text, &job.to_string(), &events.text] {
        assert!(!text.contains(&token));
    }
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_has_fixed_words_and_nothing_that_a_name_could_add() {
    let (stack, mailbox) = stack_with_mail().await;
    let names = [
        "Acme GmbH & Co",
        "Win now: https://evil.example/claim",
        "<a href=\"//evil.example\">Acme</a>",
        "evil.example",
    ];
    for (number, name) in names.into_iter().enumerate() {
        let id = format!("tenant-{number}");
        let body = json!({ "id": id, "name": name });
        let created = stack.admin.post("/api/v1/tenants", &body).await.expect(201);
        let admin = stack.admin.with_key(&created.text_of("api_key"));
        let email = format!("{number}@people.example");
        invite(&admin, &id, &email, "viewer").await.expect(201);
        let mail = mailbox.newest_to(&email, 1).await;
        assert_eq!(
            mail.header("subject"),
            format!("Invitation to {id} on Unity")
        );
        assert_eq!(mail.header("from"), "Unity <unity@unity.test>");
        assert_eq!(mail.header("to"), email);
        assert!(mail.header("content-type").starts_with("text/plain"));
        let body = mail.body();
        assert_eq!(body.contains(name), number == 0, "{body}");
        assert!(!body.contains("evil"), "{body}");
        let links: Vec<&str> = body
            .split_whitespace()
            .filter(|word| word.contains("://"))
            .collect();
        assert_eq!(
            links,
            [format!("https://unity.test/invitation#{}", mail.token())]
        );
    }
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_mail_of_one_tenant_has_anything_of_another() {
    let (stack, mailbox) = stack_with_mail().await;
    for (tenant, other) in [("alpha", "bravo"), ("bravo", "alpha")] {
        let body = json!({ "id": tenant, "name": format!("Canary {tenant}") });
        let created = stack.admin.post("/api/v1/tenants", &body).await.expect(201);
        let admin = stack.admin.with_key(&created.text_of("api_key"));
        for number in 0..3 {
            let email = format!("{number}@{tenant}.example");
            invite(&admin, tenant, &email, "viewer").await.expect(201);
            // The same person at both.
            let both = format!("{number}@both.example");
            invite(&admin, tenant, &both, "viewer").await.expect(201);
        }
        eventually("six more mails", || async {
            let mails = mailbox.mails();
            let own = mails
                .iter()
                .filter(|mail| mail.text.contains(&format!("Canary {tenant}")));
            (own.count() == 6).then_some(())
        })
        .await;
        for mail in mailbox.mails() {
            let is_own = mail.text.contains(tenant);
            assert!(is_own != mail.text.contains(other), "{}", mail.text);
            assert_eq!(mail.to.len(), 1);
        }
    }
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_gets_one_mail_a_minute_and_five_a_day_from_a_tenant() {
    let (stack, clock) = Stack::still_now().await;
    let admin = stack.create_tenant("acme").await;
    let other = stack.create_tenant("other").await;
    let email = "victim@people.example";
    for round in 0..5 {
        let invited = invite(&admin, "acme", email, "viewer").await.expect(201);
        if round == 0 {
            let again = invite(&admin, "acme", email, "viewer").await;
            again.problem(409, "invitation.pending");
        }
        let path = invited.header("location").to_owned();
        admin.delete(&path).await.expect(204);
        clock.advance(chrono::TimeDelta::seconds(59));
        let soon = invite(&admin, "acme", "Victim@people.example", "viewer").await;
        let soon = soon.problem(429, "rate_limited");
        if round < 4 {
            assert_eq!(soon.header("retry-after"), "1");
        }
        clock.advance(chrono::TimeDelta::seconds(1));
    }
    let sixth = invite(&admin, "acme", email, "viewer").await;
    let sixth = sixth.problem(429, "rate_limited");
    assert_eq!(sixth.header("retry-after"), "86100");
    // Others, and other tenants, are not held up; nor is anything left of what was refused.
    invite(&admin, "acme", "another@people.example", "viewer")
        .await
        .expect(201);
    invite(&other, "other", email, "viewer").await.expect(201);
    let usage = admin.get("/api/v1/tenants/acme/usage").await.expect(200);
    assert_eq!(usage.json["users"]["used"], 2);
    clock.advance(chrono::TimeDelta::days(1));
    invite(&admin, "acme", email, "viewer").await.expect(201);
    stack.stop().await;
}
