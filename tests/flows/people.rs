//! People: invited by mail, members by accepting, and gone when they are removed.

mod accept;
mod admins;
mod commands;
mod leaving;
mod mails;
mod orphans;
mod providers;
mod sign_in;
mod vouching;

use serde_json::{Value, json};
use unity_shared::ids::{InvitationId, TenantId, UserId};

use crate::harness::{Answer, Caller, Mailbox, Stack, StackOptions, eventually};

pub const PASSWORD: &str = "a long enough password";
const ACCEPT: &str = "/api/v1/invitations/accept";

/// A stack that sends its mails to the mail server beside it.
pub async fn stack_with_mail() -> (Stack, Mailbox) {
    let mailbox = Mailbox::start().await;
    let options = StackOptions {
        smtp_url: Some(mailbox.url.clone()),
        ..StackOptions::default()
    };
    (Stack::start_with(options).await, mailbox)
}

/// The code in the first mail of an invitation, without the mail.
pub fn token_of(invited: &Answer) -> String {
    let id: InvitationId = invited.text_of("id").parse().unwrap();
    let tenant: TenantId = invited.text_of("tenant_id").parse().unwrap();
    let token = Stack::mail_tokens().of_invitation(&tenant, id, 1);
    token.reveal().to_owned()
}

/// Invites somebody, signs them up, and answers who they are: [`come_in`] on a stack that sends no mail.
pub async fn enter(
    stack: &Stack,
    admin: &Caller,
    tenant: &str,
    (email, role): (&str, &str),
) -> UserId {
    let invited = invite(admin, tenant, email, role).await.expect(201);
    let token = token_of(&invited);
    let admitted = accept(stack, &token, PASSWORD).await.expect(200);
    admitted.text_of("user_id").parse().unwrap()
}

/// Lets time pass for whoever counts mails, once every mail has left.
pub async fn forget_mails(stack: &Stack) {
    eventually("every mail is noted", || async {
        let left = "SELECT count(*) FROM invitations WHERE mailed_at IS NULL";
        (stack.count(left).await == 0).then_some(())
    })
    .await;
    stack
        .change("UPDATE invitations SET mailed_at = now() - interval '2 days'")
        .await;
}

pub async fn invite(caller: &Caller, tenant: &str, email: &str, role: &str) -> Answer {
    let order = json!({ "email": email, "role": role });
    let path = format!("/api/v1/tenants/{tenant}/members");
    caller.post(&path, &order).await
}

pub async fn accept(stack: &Stack, token: &str, password: &str) -> Answer {
    let order = json!({ "token": token, "password": password });
    stack.admin.without_key().post(ACCEPT, &order).await
}

/// Invites somebody, reads their mail, signs them up, and answers who they are.
pub async fn come_in(
    stack: &Stack,
    mailbox: &Mailbox,
    admin: &Caller,
    tenant: &str,
    (email, role): (&str, &str),
) -> UserId {
    let before = mailbox
        .mails()
        .iter()
        .filter(|mail| mail.to == [email])
        .count();
    invite(admin, tenant, email, role).await.expect(201);
    let mail = mailbox.newest_to(email, before + 1).await;
    let admitted = accept(stack, &mail.token(), PASSWORD).await.expect(200);
    admitted.text_of("user_id").parse().unwrap()
}

pub async fn log_in(stack: &Stack, email: &str, password: &str, tenant: &str) -> Answer {
    let order = json!({ "email": email, "password": password, "tenant_id": tenant });
    stack
        .admin
        .without_key()
        .post("/api/v1/auth/token", &order)
        .await
}

/// A caller in a session of the person.
pub async fn logged_in(stack: &Stack, email: &str, tenant: &str) -> Caller {
    let tokens = log_in(stack, email, PASSWORD, tenant).await.expect(200);
    stack.admin.with_key(&tokens.text_of("access_token"))
}

pub async fn members(caller: &Caller, tenant: &str) -> Vec<Value> {
    let page = caller
        .get(&format!("/api/v1/tenants/{tenant}/members"))
        .await;
    page.expect(200).json["items"].as_array().unwrap().clone()
}
