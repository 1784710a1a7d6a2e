//! Every operation of the document that names an object, for every kind of caller, about their own
//! tenant's objects, another tenant's and none's. Nothing here is listed by hand but what objects there
//! are: an operation that appears tomorrow is asked the same.

use reqwest::Method;
use serde_json::Value;
use unity_shared::{sessions::Claims, tenancy::Role};

use super::faceless;
use crate::{
    harness::{Answer, Caller, LoggedIn, Stack, claims_of},
    surface::{
        operations::{Objects, Operation, document, example, nobodys, objects_of, operations},
        roles::admits,
    },
};

/// Operations whose object belongs to no tenant, or which anybody may ask, each with what they answer
/// about one that is not there. May only become shorter.
const NOT_OF_A_TENANT: [(&str, &str); 1] = [(
    "start_sign_in",
    "a page of the login, the same for every name",
)];

/// With a body only where the operation takes one.
async fn ask(caller: &Caller, operation: &Operation, path: &str, body: Option<&Value>) -> Answer {
    let headers = [("content-type", "application/json")];
    let bytes = body.map(|body| body.to_string().into_bytes());
    let headers = if bytes.is_some() { &headers[..] } else { &[] };
    caller
        .send(operation.method.clone(), path, headers, bytes)
        .await
}

/// Somebody who asks.
struct Asker {
    name: &'static str,
    /// What the document's rule sees.
    rank: &'static str,
    /// Whether they have logged in.
    is_person: bool,
    /// Their tenant; nobody's is alpha, as good as any.
    tenant: &'static str,
    caller: Caller,
}

/// A person of the tenant in this role, logged in.
async fn person(stack: &Stack, tenant: &'static str, role: Role) -> LoggedIn {
    let address = format!("{}@{tenant}.example", role.as_str());
    let person = stack.person(&address, &[(tenant, role)]).await;
    stack.log_in(&person, Some(tenant)).await
}

async fn askers(stack: &Stack, bravo: &Caller) -> Vec<Asker> {
    let of_alpha = |name, rank, is_person, caller| Asker {
        name,
        rank,
        is_person,
        tenant: "alpha",
        caller,
    };
    let mut askers = Vec::new();
    for (name, rank, caller) in programs(stack).await {
        askers.push(of_alpha(name, rank, false, caller));
    }
    for (name, role) in [
        ("a member who has logged in", Role::TenantMember),
        ("an administrator who has logged in", Role::TenantAdmin),
    ] {
        let session = person(stack, "alpha", role).await;
        askers.push(of_alpha(name, role.as_str(), true, session.caller));
    }
    let session = person(stack, "alpha", Role::TenantViewer).await;
    let mut claims: Claims = serde_json::from_value(claims_of(&session.access)).unwrap();
    claims.iat -= 1000;
    claims.exp = claims.iat + 900;
    let ended = session.caller.with_key(&stack.sign(&claims).await);
    askers.push(of_alpha("an ended access token", "nobody", false, ended));
    askers.push(Asker {
        name: "the other tenant's administrator",
        rank: "tenant-admin",
        is_person: false,
        tenant: "bravo",
        caller: bravo.clone(),
    });
    askers
}

/// Programs of alpha by name, with their rank.
async fn programs(stack: &Stack) -> Vec<(&'static str, &'static str, Caller)> {
    let nobody = stack.admin.without_key();
    let ended = stack.caller_with_role("alpha", Role::TenantAdmin).await;
    stack
        .change(
            "UPDATE api_keys SET expires_at = created_at + interval '1 millisecond'
             WHERE id = (SELECT id FROM api_keys WHERE tenant_id = 'alpha' ORDER BY created_at DESC, id DESC LIMIT 1)",
        )
        .await;
    let mut callers = vec![
        ("no token", "nobody", nobody.clone()),
        ("garbage", "nobody", nobody.with_key("uk_alpha_garbage")),
        ("an ended key", "nobody", ended),
    ];
    for role in super::EVERY_TENANT_ROLE {
        let caller = stack.caller_with_role("alpha", role).await;
        callers.push((role.as_str(), role.as_str(), caller));
    }
    callers.push(("system-admin", "system-admin", stack.admin.clone()));
    callers
}

#[tokio::test(flavor = "multi_thread")]
async fn no_operation_tells_another_tenants_object_from_one_that_does_not_exist() {
    let stack = Stack::still().await;
    let alpha = stack.create_tenant("alpha").await;
    let bravo = stack.create_tenant("bravo").await;
    let of_alpha = objects_of(&stack, "alpha", &alpha).await;
    let of_bravo = objects_of(&stack, "bravo", &bravo).await;
    let missing = nobodys();
    let askers = askers(&stack, &bravo).await;
    let document = document(&stack).await;
    let (mut asked, mut excused) = (0, Vec::new());
    for operation in operations(&stack).await {
        let Some(path) = operation.about(&missing, &missing) else {
            continue;
        };
        let body = example::body_of(&document, &operation);
        if NOT_OF_A_TENANT
            .iter()
            .any(|(name, _)| *name == operation.name)
        {
            excused.push(operation.name.clone());
            continue;
        }
        for asker in &askers {
            let Asker {
                name,
                rank,
                is_person,
                tenant,
                caller,
            } = asker;
            let (own, foreign) = match *tenant {
                "alpha" => (&of_alpha, &of_bravo),
                _ => (&of_bravo, &of_alpha),
            };
            let at = format!("{name} at {} {}", operation.method, operation.path);
            let about_none = ask(caller, &operation, &path, body.as_ref()).await;
            let (status, code) = match *rank {
                "nobody" => (401, "auth.required"),
                rank if admits(&operation.access, rank, *is_person) => (404, "not_found"),
                _ => (403, ""),
            };
            assert_eq!(
                about_none.status.as_u16(),
                status,
                "{at}: {}",
                about_none.text
            );
            if !code.is_empty() {
                assert_eq!(about_none.text_of("code"), code, "{at}");
            }
            asked += 1;
            // To a system administrator no tenant is foreign.
            if *rank == "system-admin" {
                continue;
            }
            let face = faceless(&about_none);
            for (outer, inner) in [
                (foreign, foreign),
                (own, foreign),
                (foreign, own),
                (own, &missing),
            ] {
                let other = operation.about(outer, inner).unwrap_or_default();
                if is_own(&other, own) {
                    continue;
                }
                let answer = ask(caller, &operation, &other, body.as_ref()).await;
                assert_eq!(faceless(&answer), face, "{at}: {other} beside {path}");
                asked += 1;
            }
        }
    }
    excused.sort();
    let mut listed = NOT_OF_A_TENANT.map(|(name, _)| name.to_owned());
    listed.sort();
    assert_eq!(excused, listed, "an excuse that nothing needs");
    assert!(asked > 500, "{asked}");
    unharmed("alpha", &alpha, &of_alpha).await;
    unharmed("bravo", &bravo, &of_bravo).await;
    stack.stop().await;
}

/// Whether every object that the path names is the caller's own.
fn is_own(path: &str, own: &Objects) -> bool {
    let names: Vec<&str> = path.split('/').collect();
    names.windows(2).all(|pair| match pair {
        [kind, id] => own.get(kind).is_none_or(|mine| mine == id),
        _ => true,
    })
}

/// What was asked for changed nothing of the other tenant's.
async fn unharmed(tenant: &str, admin: &Caller, objects: &Objects) {
    let job = admin
        .get(&format!("/api/v1/jobs/{}", objects["jobs"]))
        .await;
    assert_eq!(job.expect(200).json["status"], "queued");
    let shown = admin.get(&format!("/api/v1/tenants/{tenant}")).await;
    assert_eq!(shown.expect(200).json["status"], "active");
    for path in [
        format!("/api/v1/tenants/{tenant}/members/{}", objects["members"]),
        format!(
            "/api/v1/tenants/{tenant}/invitations/{}",
            objects["invitations"]
        ),
        format!("/api/v1/api-keys/{}", objects["api-keys"]),
    ] {
        admin.send(Method::GET, &path, &[], None).await.expect(200);
    }
}
