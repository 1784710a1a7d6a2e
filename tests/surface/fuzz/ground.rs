//! Where requests are tried: a stack with one object of each kind, callers of several roles, and bodies
//! that each operation takes.

use serde_json::{Value, json};
use unity_shared::tenancy::Role;

use crate::{
    harness::{Caller, Stack},
    surface::{
        contract::schema,
        operations::{Objects, Operation, document, example, objects_of},
        roles::admits,
    },
};

/// Steps after which a tenant is not what it was: each is tried on tenants of its own.
const LAST_STEPS: [&str; 6] = [
    "suspend_tenant",
    "resume_tenant",
    "restore_tenant",
    "delete_tenant",
    "purge_tenant",
    "put_job_limits",
];
/// Whatever concerns everybody comes after everything else.
const FOR_EVERYBODY: [&str; 2] = ["create_switch", "change_worker_pool"];

pub struct Ground {
    pub stack: Stack,
    pub document: Value,
    /// The tenant of the callers, and what is in it.
    own: Objects,
    /// Another, for system administrators.
    beside: Objects,
    callers: Vec<(&'static str, Caller)>,
    person: Caller,
}

impl Ground {
    pub async fn prepare() -> Self {
        let stack = Stack::still().await;
        stack
            .change("INSERT INTO worker_pools (name, updated_at) VALUES ('default', now())")
            .await;
        let own = tenant_with_objects(&stack, "acme").await;
        let beside = tenant_with_objects(&stack, "beside").await;
        let mut callers = vec![
            ("system-admin", stack.admin.clone()),
            ("nobody", stack.admin.without_key()),
        ];
        for role in [Role::TenantAdmin, Role::TenantViewer] {
            let caller = stack.caller_with_role("acme", role).await;
            callers.push((role.as_str(), caller));
        }
        let person = stack
            .person("person@acme.example", &[("acme", Role::TenantAdmin)])
            .await;
        let person = stack.log_in(&person, Some("acme")).await.caller;
        Self {
            document: document(&stack).await,
            stack,
            own,
            beside,
            callers,
            person,
        }
    }

    /// Callers of each sort, and whether the operation lets them in.
    pub fn callers(&self, operation: &Operation) -> Vec<(&'static str, Caller, bool)> {
        let mut callers: Vec<_> = self
            .callers
            .iter()
            .map(|(role, caller)| {
                (
                    *role,
                    caller.clone(),
                    admits(&operation.access, role, false),
                )
            })
            .collect();
        if operation.access == "session" {
            callers.push(("person", self.person.clone(), true));
        }
        callers
    }

    /// Whoever may do all of it: nobody where anybody may, a system administrator where a tenant's own
    /// may do a part.
    pub fn caller_of(&self, operation: &Operation) -> (&'static str, Caller) {
        let able: Vec<_> = self
            .callers(operation)
            .into_iter()
            .filter(|(_, _, able)| *able)
            .collect();
        let wanted = match operation.name.as_str() {
            _ if operation.access == "public" => ["nobody"; 3],
            "change_tenant" => ["system-admin"; 3],
            _ => ["person", "tenant-admin", "system-admin"],
        };
        let found = wanted
            .iter()
            .find_map(|wanted| able.iter().find(|(role, ..)| role == wanted));
        let (role, caller, _) = found.unwrap_or_else(|| panic!("{}: nobody may", operation.name));
        (role, caller.clone())
    }

    /// The path that names objects which the caller may see.
    pub async fn path(&self, operation: &Operation, role: &str) -> String {
        let objects = match role {
            "system-admin" if LAST_STEPS.contains(&operation.name.as_str()) => {
                let name = operation.name.replace('_', "-");
                let objects = tenant_with_objects(&self.stack, &name).await;
                // The bounds of the largest plan are those of the document.
                let plan = json!({ "plan": "enterprise" });
                let path = format!("/api/v1/tenants/{name}");
                self.stack.admin.patch(&path, &plan).await.expect(200);
                &objects.clone()
            }
            "system-admin" => &self.beside,
            _ => &self.own,
        };
        let path = operation.about(objects, objects);
        path.unwrap_or_else(|| operation.path.clone())
    }

    /// The body's schema; absent = the operation takes none.
    pub fn schema(&self, operation: &Operation) -> Option<&Value> {
        let described = schema::described(&self.document, &operation.name);
        let content = described["requestBody"]["content"].as_object()?;
        Some(&content.values().next()?["schema"])
    }

    /// A body that the operation takes: made from its schema, and what a schema cannot say is put right.
    pub fn body(&self, operation: &Operation) -> Option<Value> {
        let mut body = example::of(&self.document, self.schema(operation)?);
        let soon = json!(self.stack.clock.now() + chrono::TimeDelta::hours(1));
        match operation.name.as_str() {
            "create_switch" => {
                body["scope"] = json!({ "tenant": "beside" });
                body["expires_at"] = soon;
            }
            "cancel_jobs" | "retry_jobs" => {
                body["filter"] =
                    json!({ "kind": "probe", "created_after": "2000-01-01T00:00:00Z" });
            }
            "change_password" => {
                body["current_password"] = json!("the password of person@acme.example");
                body["new_password"] = json!("another password of theirs");
            }
            _ => {}
        }
        Some(body)
    }
}

/// In an order in which what is made can be seen before it is taken away.
pub fn in_order(mut operations: Vec<Operation>) -> Vec<Operation> {
    operations.sort_by_key(|operation| {
        let is_last = LAST_STEPS.contains(&operation.name.as_str());
        let is_for_all = FOR_EVERYBODY.contains(&operation.name.as_str());
        let turn = match operation.method.as_str() {
            // Before there is a provider that does not answer.
            _ if operation.name == "start_sign_in" => -1,
            _ if is_for_all => 4,
            _ if is_last => 3,
            "POST" | "PUT" | "PATCH" => 0,
            "GET" => 1,
            _ => 2,
        };
        (turn, operation.name.clone())
    });
    operations
}

async fn tenant_with_objects(stack: &Stack, name: &str) -> Objects {
    let admin = stack.create_tenant(name).await;
    let mut objects = objects_of(stack, name, &admin).await;
    objects.insert("worker-pools", "default".to_owned());
    objects
}
