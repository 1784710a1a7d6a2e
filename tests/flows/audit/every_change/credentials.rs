//! How what changes people, keys and sessions of `acme` succeeds.

use serde_json::{Value, json};
use unity_shared::tenancy::Role;

use super::Change;
use crate::harness::{Answer, Caller, LoggedIn, Stack};

const TENANT: &str = "/api/v1/tenants/acme";

pub async fn change(stack: &Stack, tenant: &Caller, name: &str) -> Option<Change> {
    if let Some(change) = of_sessions(stack, tenant, name).await {
        return Some(change);
    }
    if let Some(change) = of_members(stack, tenant, name).await {
        return Some(change);
    }
    let provider = format!("{TENANT}/identity-provider");
    let order = json!({
        "issuer": "http://127.0.0.1:1", "client_id": "unity", "client_secret": "secret",
        "email_domains": ["acme.example"], "default_role": "viewer",
    });
    Some(match name {
        "create_api_key" => Change::by(tenant, "/api/v1/api-keys", json!({ "name": "ci" })),
        "revoke_api_key" => {
            let order = json!({ "name": "ci" });
            let made = tenant.post("/api/v1/api-keys", &order).await.expect(201);
            Change::by(tenant, made.header("location"), Value::Null)
        }
        "put_identity_provider" => Change::by(tenant, provider, order),
        "delete_identity_provider" => {
            tenant.put(&provider, &order).await.expect(200);
            Change::by(tenant, provider, Value::Null)
        }
        _ => return None,
    })
}

async fn of_members(stack: &Stack, tenant: &Caller, name: &str) -> Option<Change> {
    let email = format!("{name}@acme.example");
    let invite = async || {
        let order = json!({ "email": email, "role": "viewer" });
        let path = format!("{TENANT}/members");
        tenant.post(&path, &order).await.expect(201)
    };
    Some(match name {
        "invite_member" => {
            let order = json!({ "email": email, "role": "viewer" });
            Change::by(tenant, format!("{TENANT}/members"), order)
        }
        "change_member" | "remove_member" => {
            let person = stack.person(&email, &[("acme", Role::TenantViewer)]).await;
            let path = format!("{TENANT}/members/{}", person.id);
            let order = match name {
                "change_member" => json!({ "role": "member" }),
                _ => Value::Null,
            };
            Change::by(tenant, path, order)
        }
        "revoke_invitation" => Change::by(tenant, invite().await.header("location"), Value::Null),
        "resend_invitation" => {
            let path = format!("{}/resend", invite().await.header("location"));
            Change::by(tenant, path, Value::Null)
        }
        "accept_invitation" => {
            let order = json!({
                "token": token_of(&invite().await), "name": "New", "password": "a long enough password",
            });
            Change::by(&tenant.without_key(), "/api/v1/invitations/accept", order).told_to(tenant)
        }
        _ => return None,
    })
}

/// The token of an invitation's mail, made as the worker makes it.
fn token_of(invited: &Answer) -> String {
    let tenant = invited.text_of("tenant_id").parse().unwrap();
    let id = invited.text_of("id").parse().unwrap();
    let token = Stack::mail_tokens().of_invitation(&tenant, id, 1);
    token.reveal().to_owned()
}

async fn of_sessions(stack: &Stack, tenant: &Caller, name: &str) -> Option<Change> {
    if ![
        "create_token",
        "refresh_token",
        "log_out",
        "change_password",
    ]
    .contains(&name)
    {
        return None;
    }
    let email = format!("{name}@acme.example");
    let person = stack.person(&email, &[("acme", Role::TenantViewer)]).await;
    let nobody = tenant.without_key();
    let change = match name {
        "create_token" => {
            let order = json!({ "email": email, "password": person.password });
            Change::by(&nobody, "/api/v1/auth/token", order)
        }
        "refresh_token" => {
            let LoggedIn { refresh, .. } = stack.log_in(&person, None).await;
            let order = json!({ "refresh_token": refresh });
            Change::by(&nobody, "/api/v1/auth/refresh", order)
        }
        "log_out" => {
            let session = stack.log_in(&person, None).await;
            Change::by(&session.caller, "/api/v1/auth/logout", Value::Null)
        }
        _ => {
            let session = stack.log_in(&person, None).await;
            let order = json!({
                "current_password": person.password, "new_password": "quite another one",
            });
            Change::by(&session.caller, "/api/v1/auth/password", order)
        }
    };
    Some(change.told_to(tenant))
}
