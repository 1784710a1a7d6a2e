//! The operations that the published document names: what is tried on all of them is tried on a new
//! one too, on the day it appears.

pub mod example;
mod objects;

use reqwest::Method;
use serde_json::Value;

pub use self::objects::{Objects, nobodys, objects_of};
use crate::harness::Stack;

/// One method of one path.
pub struct Operation {
    pub method: Method,
    pub path: String,
    pub name: String,
    /// Who may use it, in the document's words.
    pub access: String,
    /// What a confined key must be for; absent = no scope is asked for.
    pub scope: Option<String>,
    /// `refused` where nobody can use it who acts in a tenant.
    pub acting: Option<String>,
}

impl Operation {
    /// The path with an id in it: the tenant's where the id is a tenant's, the job's elsewhere (no member
    /// and no invitation has it), and a pool's name where it is a pool's.
    pub fn at(&self, job: &str, tenant: &str) -> String {
        let id = if self.path.contains("/tenants/{") {
            tenant
        } else {
            job
        };
        let path = self.path.replace("{id}", id).replace("{pool}", "default");
        let path = path.replace("{user}", job).replace("{invitation}", job);
        path.replace("{tenant}", tenant).replace("{grant}", job)
    }
}

pub async fn document(stack: &Stack) -> Value {
    let answer = stack.admin.without_key().get("/openapi.json").await;
    answer.expect(200).json
}

pub async fn operations(stack: &Stack) -> Vec<Operation> {
    let document = document(stack).await;
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let text = |field: &str| {
                let value = operation[field].as_str();
                value
                    .unwrap_or_else(|| panic!("{method} {path} has no {field}"))
                    .to_owned()
            };
            operations.push(Operation {
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                name: text("operationId"),
                access: text("x-access"),
                scope: operation["x-scope"].as_str().map(str::to_owned),
                acting: operation["x-acting"].as_str().map(str::to_owned),
            });
        }
    }
    assert!(!operations.is_empty());
    operations
}
