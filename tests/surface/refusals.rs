//! Every way to be refused: the right status, a stable code, a problem by RFC 9457, and nothing
//! written.

mod addresses;
mod bodies;
mod control;
mod credentials;
mod operators;
mod people;
mod values;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgConnection;
use unity_shared::tenancy::Role;

use crate::harness::{Answer, Caller, Stack};

const JOBS: &str = "/api/v1/jobs";
const BATCH: &str = "/api/v1/jobs:batch";
const TENANTS: &str = "/api/v1/tenants";

/// Who asks.
#[derive(Clone, Copy, Debug)]
enum Who {
    Nobody,
    Viewer,
    Member,
    Admin,
    System,
}

/// A request that must be refused, and how.
struct Refusal {
    what: String,
    who: Who,
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Option<Vec<u8>>,
    status: u16,
    code: &'static str,
    /// Where in the body the fault is; absent = the answer names no place.
    pointer: Option<String>,
}

impl Refusal {
    fn post(
        who: Who,
        path: &str,
        body: impl Into<Vec<u8>>,
        status: u16,
        code: &'static str,
    ) -> Self {
        let body = body.into();
        Self {
            what: String::from_utf8_lossy(&body).chars().take(200).collect(),
            who,
            method: Method::POST,
            path: path.to_owned(),
            headers: vec![("content-type", "application/json".to_owned())],
            body: Some(body),
            status,
            code,
            pointer: None,
        }
    }

    fn send(who: Who, method: &str, path: &str, status: u16, code: &'static str) -> Self {
        Self {
            method: method.parse().unwrap(),
            body: None,
            headers: Vec::new(),
            ..Self::post(who, path, "", status, code)
        }
    }

    fn at(mut self, pointer: &str) -> Self {
        self.pointer = Some(pointer.to_owned());
        self
    }

    fn with_headers(mut self, headers: &[(&'static str, &str)]) -> Self {
        self.headers = headers
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
        self.what = format!("{headers:?} {}", self.what);
        self
    }
}

/// A stack on which nothing is written but by requests.
struct Quiet {
    stack: Stack,
    owner: PgConnection,
    viewer: Caller,
    member: Caller,
    admin: Caller,
}

impl Quiet {
    async fn start() -> Self {
        let stack = Stack::still().await;
        Self {
            owner: stack.owner().await,
            admin: stack.create_tenant("acme").await,
            viewer: stack.caller_with_role("acme", Role::TenantViewer).await,
            member: stack.caller_with_role("acme", Role::TenantMember).await,
            stack,
        }
    }

    fn caller(&self, who: Who) -> Caller {
        match who {
            Who::Nobody => self.stack.admin.without_key(),
            Who::Viewer => self.viewer.clone(),
            Who::Member => self.member.clone(),
            Who::Admin => self.admin.clone(),
            Who::System => self.stack.admin.clone(),
        }
    }

    /// How many rows there are of everything that a request can write.
    async fn rows(&mut self) -> Vec<i64> {
        sqlx::query_scalar(
            "SELECT ARRAY[(SELECT count(*) FROM tenants), (SELECT count(*) FROM jobs),
                          (SELECT count(*) FROM users), (SELECT count(*) FROM memberships),
                          (SELECT count(*) FROM api_keys), (SELECT count(*) FROM idempotency_keys),
                          (SELECT count(*) FROM events), (SELECT count(*) FROM event_counters),
                          (SELECT count(*) FROM switches), (SELECT count(*) FROM worker_pools),
                          (SELECT sum(version)::bigint FROM tenants),
                          (SELECT count(*) FROM invitations), (SELECT sum(version)::bigint FROM memberships)]",
        )
        .fetch_one(&mut self.owner)
        .await
        .unwrap()
    }

    /// Sends all of them, each with an idempotency key of its own, and checks each answer.
    async fn refuses(&mut self, refusals: Vec<Refusal>) {
        for (number, refusal) in refusals.into_iter().enumerate() {
            let before = self.rows().await;
            let key = format!("refused-{number}");
            let mut headers: Vec<(&str, &str)> = refusal
                .headers
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            if !headers.iter().any(|(name, _)| *name == "idempotency-key") {
                headers.push(("idempotency-key", &key));
            }
            let caller = self.caller(refusal.who);
            let answer = caller
                .send(
                    refusal.method.clone(),
                    &refusal.path,
                    &headers,
                    refusal.body.clone(),
                )
                .await;
            check(&refusal, &answer);
            assert_eq!(
                self.rows().await,
                before,
                "{}: something was written",
                refusal.what
            );
        }
    }

    async fn stop(self) {
        self.stack.stop().await;
    }
}

fn check(refusal: &Refusal, answer: &Answer) {
    let what = format!(
        "{:?} {} {}: {}\nwas answered {} {}",
        refusal.who, refusal.method, refusal.path, refusal.what, answer.status, answer.text
    );
    assert_eq!(answer.status.as_u16(), refusal.status, "{what}");
    assert_eq!(answer.json["code"], refusal.code, "{what}");
    let answer = answer.clone().problem(refusal.status, refusal.code);
    assert_eq!(
        answer.json["type"],
        format!("/problems/{}", refusal.code),
        "{what}"
    );
    if let Some(pointer) = &refusal.pointer {
        let places = answer.json["errors"]
            .as_array()
            .unwrap_or_else(|| panic!("no errors: {what}"));
        assert!(
            places.iter().any(|place| place["pointer"] == **pointer),
            "{pointer} is not named: {what}"
        );
    }
    for inner in [
        "SELECT ",
        "INSERT ",
        "constraint",
        "sqlx",
        "panicked",
        "/src/",
        "pkey",
        "relation ",
    ] {
        assert!(
            !answer.text.contains(inner),
            "it tells of {inner:?}: {what}"
        );
    }
}

fn probe(field: &str, value: &Value) -> String {
    let mut order = json!({ "kind": "probe", "payload": {} });
    order[field] = value.clone();
    order.to_string()
}

fn tenant(field: &str, value: &Value) -> String {
    let mut order = json!({ "id": "fresh", "name": "Fresh" });
    order[field] = value.clone();
    order.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_request_does_not_use_up_its_idempotency_key() {
    let mut quiet = Quiet::start().await;
    let key = [
        ("content-type", "application/json"),
        ("idempotency-key", "once"),
    ];
    let refused = Refusal::post(
        Who::Member,
        JOBS,
        probe("priority", &json!(10)),
        422,
        "validation.failed",
    );
    quiet.refuses(vec![refused.with_headers(&key)]).await;
    let order = json!({ "kind": "probe", "payload": {} });
    let answer = quiet
        .member
        .post_with(JOBS, &order, &key[1..])
        .await
        .expect(202);
    assert_eq!(answer.header("idempotency-replayed"), "");
    quiet.stop().await;
}

/// The tests above compare counts of rows: this shows that an accepted request changes them.
#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_request_is_seen_by_the_comparison_of_rows() {
    let mut quiet = Quiet::start().await;
    let before = quiet.rows().await;
    let key = [("idempotency-key", "accepted")];
    let order = json!({ "kind": "probe", "payload": {} });
    quiet.member.post_with(JOBS, &order, &key).await.expect(202);
    let tenant = json!({ "id": "fresh", "name": "Fresh" });
    quiet
        .stack
        .admin
        .post_with(TENANTS, &tenant, &key)
        .await
        .expect(201);
    let grown: Vec<i64> = quiet
        .rows()
        .await
        .iter()
        .zip(&before)
        .map(|(now, then)| now - then)
        .collect();
    // Tenants, jobs (the probe and the provisioning), users, memberships, keys, kept answers, events,
    // counters, switches, pools, versions of tenants, invitations, versions of memberships.
    assert_eq!(grown, [1, 2, 1, 1, 1, 2, 0, 1, 0, 0, 1, 0, 1]);
    quiet.stop().await;
}
