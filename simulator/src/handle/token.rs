//! `/token` of a service account: a bearer token that this server accepts until it expires.

use chrono::{Duration, SecondsFormat};
use serde_json::json;

use crate::answer::{Answer, Reply};
use crate::cluster::Cluster;
use crate::handle::{Call, read, verb};
use crate::identity::{Claims, sign};
use crate::status::{Cause, Failure};
use crate::tree;

const DEFAULT_SECONDS: i64 = 3600;
const SHORTEST_SECONDS: i64 = 600;
const LONGEST_SECONDS: i64 = 1 << 32;

/// Makes a token for the addressed account.
pub fn answer(cluster: &Cluster, call: &Call<'_>) -> Result<Reply, Failure> {
    if verb(call.request, call.target)? != "create" {
        return Err(Failure::method_not_allowed());
    }
    let account = read::find(cluster, call.target)?;
    let mut body = call.request.object()?;
    let path = ["spec", "expirationSeconds"];
    let seconds = tree::number(&body, &path).unwrap_or(DEFAULT_SECONDS);
    if !(SHORTEST_SECONDS..=LONGEST_SECONDS).contains(&seconds) {
        let why = "may not specify a duration less than 10 minutes or larger than 2^32 seconds";
        let cause = Cause::invalid("spec.expirationSeconds", &json!(seconds), why);
        let name = &call.target.name;
        return Err(Failure::invalid(
            "authentication.k8s.io",
            "TokenRequest",
            name,
            &[cause],
        ));
    }
    let expires = (cluster.environment.now)() + Duration::seconds(seconds);
    let claims = Claims {
        namespace: call.target.namespace.clone(),
        name: call.target.name.clone(),
        uid: tree::text(&account, &["metadata", "uid"]).to_owned(),
        expires_at: expires.timestamp(),
    };
    let audiences = tree::at(&body, &["spec", "audiences"])
        .cloned()
        .unwrap_or_else(|| json!([]));
    let token = sign(&claims, &audiences, call.secret);
    tree::put(&mut body, &["kind"], "TokenRequest");
    tree::put(&mut body, &["apiVersion"], "authentication.k8s.io/v1");
    tree::put(&mut body, &["metadata", "name"], claims.name);
    tree::put(&mut body, &["metadata", "namespace"], claims.namespace);
    tree::put(&mut body, &path, seconds);
    let expires = expires.to_rfc3339_opts(SecondsFormat::Secs, true);
    tree::put(
        &mut body,
        &["status"],
        json!({"token": token, "expirationTimestamp": expires}),
    );
    Ok(Answer::other(201, body).into())
}
