//! Members and invitations: what cannot be, and who is not let in.

use serde_json::{Value, json};

use super::{Quiet, Refusal, Who};
use crate::harness::Stack;

const MEMBERS: &str = "/api/v1/tenants/acme/members";
const INVITATIONS: &str = "/api/v1/tenants/acme/invitations";
const ACCEPT: &str = "/api/v1/invitations/accept";

fn send(
    who: Who,
    method: &str,
    path: &str,
    body: &Value,
    status: u16,
    code: &'static str,
) -> Refusal {
    Refusal {
        method: method.parse().unwrap(),
        ..Refusal::post(who, path, body.to_string(), status, code)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_to_what_is_no_address_or_no_role_is_refused_with_its_place() {
    let mut quiet = Quiet::start().await;
    let mut refusals = Vec::new();
    for email in [
        "",
        "nobody",
        "a@b@c",
        "a b@c",
        "a@b\r\nBcc: victim@c",
        "a@b\nSubject: x",
        "a@b\0",
        "Name <a@b>",
        "a@b, c@d",
        "a@b;c@d",
        "\"a\"@b",
        "a@b.",
        "a@[127.0.0.1]",
    ] {
        let order = json!({ "email": email, "role": "member" });
        refusals.push(
            send(
                Who::Admin,
                "POST",
                MEMBERS,
                &order,
                422,
                "validation.failed",
            )
            .at("/email"),
        );
    }
    let long = json!({ "email": format!("a@{}", "b".repeat(253)), "role": "member" });
    refusals.push(send(Who::Admin, "POST", MEMBERS, &long, 422, "validation.failed").at("/email"));
    let order = json!({ "email": "a@b", "role": "system-admin" });
    refusals.push(
        send(
            Who::Admin,
            "POST",
            MEMBERS,
            &order,
            422,
            "validation.failed",
        )
        .at("/role"),
    );
    for order in [
        json!({}),
        json!({ "email": "a@b" }),
        json!({ "email": "a@b", "role": "owner" }),
        json!({ "email": "a@b", "role": "Member" }),
        json!({ "email": ["a@b"], "role": "member" }),
        json!({ "email": null, "role": "member" }),
        json!({ "email": "a@b", "role": "member", "tenant_id": "other" }),
    ] {
        refusals.push(send(
            Who::Admin,
            "POST",
            MEMBERS,
            &order,
            400,
            "body.invalid",
        ));
    }
    quiet.refuses(refusals).await;
    quiet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one story, told in its order")]
async fn members_are_managed_by_administrators_of_their_own_tenant_alone() {
    let mut quiet = Quiet::start().await;
    quiet.stack.create_tenant("other").await;
    let order = json!({ "email": "a@b", "role": "member" });
    let patch = json!({ "role": "admin" });
    let user = uuid::Uuid::now_v7();
    let mut refusals = Vec::new();
    for who in [Who::Viewer, Who::Member] {
        refusals.push(send(who, "POST", MEMBERS, &order, 403, "role.insufficient"));
        let member = format!("{MEMBERS}/{user}");
        refusals.push(send(
            who,
            "PATCH",
            &member,
            &patch,
            403,
            "role.insufficient",
        ));
        refusals.push(Refusal::send(
            who,
            "DELETE",
            &member,
            403,
            "role.insufficient",
        ));
        let invitation = format!("{INVITATIONS}/{user}");
        for (method, path) in [
            ("GET", INVITATIONS),
            ("GET", &invitation),
            ("DELETE", &invitation),
        ] {
            refusals.push(Refusal::send(who, method, path, 403, "role.insufficient"));
        }
    }
    for tenant in ["other", "nobody", "Nobody", "%00"] {
        for (who, missing) in [(Who::Admin, true), (Who::System, tenant != "other")] {
            let members = format!("/api/v1/tenants/{tenant}/members");
            let member = format!("{members}/{user}");
            let invitations = format!("/api/v1/tenants/{tenant}/invitations");
            let invitation = format!("{invitations}/{user}");
            if missing {
                refusals.push(send(who, "POST", &members, &order, 404, "not_found"));
                refusals.push(Refusal::send(who, "GET", &members, 404, "not_found"));
                refusals.push(Refusal::send(who, "GET", &invitations, 404, "not_found"));
            }
            refusals.push(send(who, "PATCH", &member, &patch, 404, "not_found"));
            refusals.push(Refusal::send(who, "DELETE", &member, 404, "not_found"));
            refusals.push(Refusal::send(who, "GET", &member, 404, "not_found"));
            refusals.push(Refusal::send(who, "GET", &invitation, 404, "not_found"));
            refusals.push(Refusal::send(who, "DELETE", &invitation, 404, "not_found"));
            let resend = format!("{invitation}/resend");
            refusals.push(Refusal::send(who, "POST", &resend, 404, "not_found"));
        }
    }
    for (path, code) in [
        (format!("{MEMBERS}?limit=0"), "query.invalid"),
        (format!("{MEMBERS}?role=admin"), "query.invalid"),
        (format!("{MEMBERS}?page_token=x"), "page_token.invalid"),
        (format!("{INVITATIONS}?limit=201"), "query.invalid"),
        (format!("{INVITATIONS}?status=open"), "query.invalid"),
        (format!("{INVITATIONS}?page_token=x"), "page_token.invalid"),
    ] {
        refusals.push(Refusal::send(Who::Admin, "GET", &path, 400, code));
    }
    let member = format!("{MEMBERS}/{user}");
    for body in [
        json!({ "role": "owner" }),
        json!({ "name": "x" }),
        json!([]),
    ] {
        refusals.push(send(
            Who::Admin,
            "PATCH",
            &member,
            &body,
            400,
            "body.invalid",
        ));
    }
    let raised = json!({ "role": "system-admin" });
    refusals.push(
        send(
            Who::Admin,
            "PATCH",
            &member,
            &raised,
            422,
            "validation.failed",
        )
        .at("/role"),
    );
    quiet.refuses(refusals).await;
    quiet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acceptance_without_a_good_code_password_or_name_is_refused() {
    let mut quiet = Quiet::start().await;
    let order = json!({ "email": "new@people.example", "role": "member" });
    let invited = quiet.admin.post(MEMBERS, &order).await.expect(201);
    let id = invited.text_of("id").parse().unwrap();
    let tenant = "acme".parse().unwrap();
    let tokens = Stack::mail_tokens();
    let token = tokens.of_invitation(&tenant, id, 1).reveal().to_owned();
    let mut refusals = Vec::new();
    for (field, value, place) in [
        ("password", json!(null), "/password"),
        ("password", json!(""), "/password"),
        ("password", json!("too short"), "/password"),
        ("password", json!("x".repeat(257)), "/password"),
        ("password", json!("New@people.example1"), "/password"),
        ("name", json!(""), "/name"),
        ("name", json!("  "), "/name"),
        ("name", json!("a\r\nBcc: b"), "/name"),
        ("name", json!("a\u{0}"), "/name"),
        ("name", json!("n".repeat(201)), "/name"),
    ] {
        let mut body = json!({ "token": token, "password": "a long enough password" });
        body[field] = value;
        let refused = send(Who::Nobody, "POST", ACCEPT, &body, 422, "validation.failed");
        refusals.push(refused.at(place));
    }
    for body in [
        json!({}),
        json!({ "token": 1 }),
        json!({ "token": token, "role": "admin" }),
        json!({ "token": token, "tenant_id": "other" }),
        json!({ "token": token, "email": "other@people.example" }),
    ] {
        refusals.push(send(
            Who::Nobody,
            "POST",
            ACCEPT,
            &body,
            400,
            "body.invalid",
        ));
    }
    let body = json!({ "token": token, "password": "a long enough password" });
    refusals.push(send(
        Who::Admin,
        "POST",
        ACCEPT,
        &body,
        403,
        "session.required",
    ));
    quiet.refuses(refusals).await;
    quiet
        .stack
        .admin
        .without_key()
        .post(ACCEPT, &body)
        .await
        .expect(200);
    quiet.stop().await;
}
