//! Objects that operations name in their paths, each of the kind that the path asks for.

use std::collections::BTreeMap;

use serde_json::json;

use super::Operation;
use crate::harness::{Caller, Stack};

/// Ids of one tenant's objects, by the part of the path in front of them.
pub type Objects = BTreeMap<&'static str, String>;

/// One object of each kind, made over the API for the tenant's administrator.
pub async fn objects_of(stack: &Stack, tenant: &str, caller: &Caller) -> Objects {
    let members = format!("/api/v1/tenants/{tenant}/members");
    let page = caller.get(&members).await.expect(200);
    let user = page.json["items"][0]["user_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let order = json!({ "email": format!("guest@{tenant}.example"), "role": "viewer" });
    let invitation = caller
        .post(&members, &order)
        .await
        .expect(201)
        .text_of("id");
    let order = json!({ "name": "another" });
    let key = caller.post("/api/v1/api-keys", &order).await.expect(201);
    let order = json!({
        "scope": { "tenant": tenant }, "action": "pause", "reason": "a test",
        "expires_at": stack.clock.now() + chrono::TimeDelta::hours(1),
    });
    let switch = stack
        .admin
        .post("/api/v1/switches", &order)
        .await
        .expect(201);
    let order = json!({ "reason": "a test", "minutes": 1, "role": "tenant-viewer" });
    let grants = format!("/api/v1/tenants/{tenant}/act-as");
    let grant = stack.admin.post(&grants, &order).await.expect(201);
    Objects::from([
        ("tenants", tenant.to_owned()),
        ("act-as", grant.text_of("id")),
        ("jobs", stack.probe(caller, json!({})).await),
        ("members", user),
        ("invitations", invitation),
        ("api-keys", key.text_of("id")),
        ("switches", switch.text_of("id")),
    ])
}

/// Ids that nothing has.
pub fn nobodys() -> Objects {
    let mut objects = Objects::from([("tenants", "nobody".to_owned())]);
    for kind in [
        "jobs",
        "members",
        "act-as",
        "invitations",
        "api-keys",
        "switches",
    ] {
        objects.insert(kind, uuid::Uuid::now_v7().to_string());
    }
    objects
}

impl Operation {
    /// The path with ids in it: the tenant's from `outer`, what lies in a tenant from `inner`. `None` where
    /// the operation names no object.
    pub fn about(&self, outer: &Objects, inner: &Objects) -> Option<String> {
        let mut kind = "";
        let mut named = false;
        let parts = self.path.split('/').map(|part| {
            if !part.starts_with('{') {
                kind = part;
                return part.to_owned();
            }
            named = true;
            // A login is begun at a tenant's name.
            let kind = if part == "{tenant}" { "tenants" } else { kind };
            if kind == "worker-pools" {
                let known = inner.get(kind).map(String::as_str);
                return known.unwrap_or("nobodys").to_owned();
            }
            let objects = if kind == "tenants" { outer } else { inner };
            let id = objects.get(kind);
            id.unwrap_or_else(|| panic!("{}: no test knows an object of {kind}", self.path))
                .clone()
        });
        let path = parts.collect::<Vec<_>>().join("/");
        named.then_some(path)
    }
}
