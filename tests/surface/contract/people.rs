//! Answers about people, each as its schema says.

use serde_json::json;

use crate::harness::{Answer, Caller, Stack};

pub async fn show_people(stack: &Stack, caller: &Caller, conforms: &mut impl FnMut(&str, &Answer)) {
    let members = "/api/v1/tenants/schema/members";
    let list = caller.get(members).await.expect(200);
    conforms("list_members", &list);
    let admins = list.json["items"].as_array().unwrap().iter();
    let admin = admins
        .clone()
        .find(|member| member["role"] == "tenant-admin")
        .unwrap();
    let admin = format!("{members}/{}", admin["user_id"].as_str().unwrap());
    conforms("get_member", &caller.get(&admin).await.expect(200));
    let role = json!({ "role": "admin" });
    conforms(
        "change_member",
        &caller.patch(&admin, &role).await.expect(200),
    );
    let refused = caller
        .delete(&admin)
        .await
        .problem(409, "member.last_admin");
    conforms("remove_member", &refused);
    let order = json!({ "email": "new@schema.example", "role": "viewer" });
    let invited = caller.post(members, &order).await.expect(201);
    conforms("invite_member", &invited);
    conforms("invite_member", &caller.post(members, &order).await);
    stack.ended(caller, &invited.text_of("job_id")).await;
    show_invitations(stack, caller, &invited, conforms).await;
    show_provider(caller, conforms).await;
}

async fn show_invitations(
    stack: &Stack,
    caller: &Caller,
    invited: &Answer,
    conforms: &mut impl FnMut(&str, &Answer),
) {
    let invitations = "/api/v1/tenants/schema/invitations";
    conforms(
        "list_invitations",
        &caller.get(invitations).await.expect(200),
    );
    let path = invited.header("location").to_owned();
    conforms("get_invitation", &caller.get(&path).await.expect(200));
    let resend = format!("{path}/resend");
    conforms("resend_invitation", &caller.post(&resend, &json!({})).await);
    sqlx::query("UPDATE invitations SET mailed_at = NULL")
        .execute(&mut stack.owner().await)
        .await
        .unwrap();
    let again = caller.post(&resend, &json!({})).await.expect(202);
    conforms("resend_invitation", &again);
    stack.ended(caller, &again.text_of("id")).await;
    let nobody = caller.without_key();
    for (token, status) in [("um_x".to_owned(), 410), (token_of(invited), 200)] {
        let order = json!({ "token": token, "name": "New", "password": "a long enough password" });
        let answer = nobody.post("/api/v1/invitations/accept", &order).await;
        conforms("accept_invitation", &answer.expect(status));
    }
    conforms("revoke_invitation", &caller.delete(&path).await);
}

/// The token of an invitation's second mail, made as the worker makes it.
fn token_of(invited: &Answer) -> String {
    let tokens = Stack::mail_tokens();
    let tenant = invited.text_of("tenant_id").parse().unwrap();
    let id = invited.text_of("id").parse().unwrap();
    tokens.of_invitation(&tenant, id, 2).reveal().to_owned()
}

async fn show_provider(caller: &Caller, conforms: &mut impl FnMut(&str, &Answer)) {
    let path = "/api/v1/tenants/schema/identity-provider";
    conforms("get_identity_provider", &caller.get(path).await);
    let order = json!({
        "issuer": "http://127.0.0.1:1", "client_id": "unity", "client_secret": "secret",
        "email_domains": ["schema.example"], "default_role": "viewer",
    });
    conforms(
        "put_identity_provider",
        &caller.put(path, &order).await.expect(200),
    );
    conforms("get_identity_provider", &caller.get(path).await.expect(200));
    let nobody = caller.without_key();
    let start = nobody.get("/api/v1/auth/oidc/schema/start").await;
    conforms("start_sign_in", &start.expect(424));
    let callback = nobody.get("/api/v1/auth/oidc/callback?state=x").await;
    conforms("finish_sign_in", &callback.expect(401));
    conforms(
        "delete_identity_provider",
        &caller.delete(path).await.expect(204),
    );
    conforms("delete_identity_provider", &caller.delete(path).await);
}
