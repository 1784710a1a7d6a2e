//! Questions about rights and identities, answered by the evaluator that guards every request.

use serde_json::{Value, json};

use crate::answer::{Answer, Reply};
use crate::authorize::{self, Attributes};
use crate::cluster::Cluster;
use crate::handle::Call;
use crate::identity::{Identity, verify};
use crate::options::{FieldValidation, decode_object};
use crate::status::{Cause, Failure};
use crate::tree;

/// Answers the question of the body.
pub fn answer(cluster: &Cluster, call: &Call<'_>) -> Result<Reply, Failure> {
    let resource = call.target.resource;
    let decoded = decode_object(resource, call.request.object()?, FieldValidation::Warn)?;
    let mut object = decoded.object;
    tree::put(&mut object, &["metadata", "creationTimestamp"], Value::Null);
    let status = match resource.kind {
        "SelfSubjectReview" => json!({"userInfo": call.identity.to_json()}),
        "SelfSubjectRulesReview" => rules(cluster, call.identity, &object),
        "SelfSubjectAccessReview" => access(cluster, call.identity, &object)?,
        "TokenReview" => token(cluster, call, &object),
        _ => access(cluster, &subject(&object)?, &object)?,
    };
    tree::put(&mut object, &["status"], status);
    Ok(Reply {
        answer: Answer::other(201, object),
        warnings: decoded.warnings,
    })
}

fn refuse(kind: &str, cause: Cause) -> Failure {
    Failure::invalid("authorization.k8s.io", kind, "", &[cause])
}

fn subject(object: &Value) -> Result<Identity, Failure> {
    let groups = tree::texts(object, &["spec", "groups"])
        .into_iter()
        .map(str::to_owned)
        .collect();
    let user = tree::text(object, &["spec", "user"]);
    let identity = Identity {
        user: user.to_owned(),
        uid: tree::text(object, &["spec", "uid"]).to_owned(),
        groups,
    };
    if identity.user.is_empty() && identity.groups.is_empty() {
        let cause = Cause::invalid(
            "spec.user",
            &json!(""),
            "at least one of user or group must be specified",
        );
        return Err(refuse("SubjectAccessReview", cause));
    }
    Ok(identity)
}

fn access(cluster: &Cluster, identity: &Identity, object: &Value) -> Result<Value, Failure> {
    let resource = tree::at(object, &["spec", "resourceAttributes"]);
    let path = tree::at(object, &["spec", "nonResourceAttributes"]);
    let wanted = match (resource, path) {
        (Some(wanted), None) => {
            let text = |name| tree::text(wanted, &[name]).to_owned();
            let mut found = Attributes {
                verb: text("verb"),
                group: text("group"),
                resource: text("resource"),
                subresource: text("subresource"),
                namespace: text("namespace"),
                name: text("name"),
                path: String::new(),
            };
            // An answer for everything needs a right to everything.
            for part in [&mut found.verb, &mut found.resource] {
                if part.is_empty() {
                    "*".clone_into(part);
                }
            }
            found
        }
        (None, Some(wanted)) => Attributes {
            verb: tree::text(wanted, &["verb"]).to_owned(),
            path: tree::text(wanted, &["path"]).to_owned(),
            ..Attributes::default()
        },
        _ => {
            let why =
                "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            let cause = Cause::invalid("spec.resourceAttributes", &Value::Null, why);
            return Err(refuse("SelfSubjectAccessReview", cause));
        }
    };
    Ok(
        match authorize::allowed(&cluster.store, identity, &wanted) {
            Some(reason) if reason.is_empty() => json!({"allowed": true}),
            Some(reason) => json!({"allowed": true, "reason": reason}),
            None => json!({"allowed": false}),
        },
    )
}

fn rules(cluster: &Cluster, identity: &Identity, object: &Value) -> Value {
    let everything = [
        json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}),
        json!({"verbs": ["*"], "nonResourceURLs": ["*"]}),
    ];
    let namespace = tree::text(object, &["spec", "namespace"]);
    let grants = authorize::grants(&cluster.store, identity, namespace);
    let all = everything.iter().filter(|_| identity.is_master());
    let (paths, resources): (Vec<&Value>, Vec<&Value>) = all
        .chain(grants.iter().map(|grant| grant.rule))
        .partition(|rule| rule.get("nonResourceURLs").is_some());
    json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": false})
}

fn token(cluster: &Cluster, call: &Call<'_>, object: &Value) -> Value {
    let given = tree::text(object, &["spec", "token"]);
    let now = (cluster.environment.now)();
    let identity = if given == call.secret {
        Some(Identity::administrator())
    } else {
        verify(given, call.secret, now)
            .map(|one| Identity::service_account(&one.namespace, &one.name, &one.uid))
    };
    match identity {
        Some(identity) => json!({"authenticated": true, "user": identity.to_json()}),
        None => json!({"authenticated": false, "error": "invalid bearer token"}),
    }
}
