//! The audit log: what it holds, who may read it, and that a changed one is found.

mod every_change;
mod people;
mod refusals;
mod tampering;

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use crate::harness::{Answer, Caller, Stack, StackOptions};

/// The entries of a log that match, the last first.
async fn entries(caller: &Caller, query: &str) -> Vec<Value> {
    let path = format!("/api/v1/audit-log?limit=200{query}");
    let page = caller.get(&path).await.expect(200).json;
    page["items"].as_array().unwrap().clone()
}

/// The one entry that tells of the request with this answer.
async fn entry_of(caller: &Caller, answer: &Answer, query: &str) -> Value {
    let id = answer.header("x-request-id");
    let mut told = entries(caller, query).await;
    told.retain(|entry| entry["request_id"] == id);
    assert_eq!(told.len(), 1, "{told:#?}");
    told.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_told_with_who_what_where_and_how() {
    let stack = Stack::still().await;
    let caller = stack.create_tenant("acme").await;
    let order = json!({ "kind": "probe", "payload": {} });
    let agent = [
        ("user-agent", "a client/1.0"),
        ("x-forwarded-for", "203.0.113.9"),
    ];
    let made = caller
        .post_with("/api/v1/jobs", &order, &agent)
        .await
        .expect(202);
    stack.told().await;
    let told = entry_of(&caller, &made, "").await;
    assert_eq!(told["action"], "job.create");
    assert_eq!(
        (&told["object_type"], &told["object_id"]),
        (&json!("job"), &made.json["id"])
    );
    assert_eq!(
        (&told["result"], &told["detail"]["kind"]),
        (&json!("succeeded"), &json!("probe"))
    );
    assert_eq!(
        (&told["actor_kind"], &told["actor_display"]),
        (&json!("api_key"), &json!("tenant-admin key"))
    );
    assert_eq!(told["user_agent"], "a client/1.0");
    assert_eq!(
        told["source_address"], "127.0.0.1",
        "a header is not believed"
    );
    assert_eq!(
        (&told["tenant_id"], &told["act_as"]),
        (&json!("acme"), &Value::Null)
    );
    // What an administrator does to a tenant is in both logs, the platform's and the tenant's.
    let limits = json!({ "max_concurrent": 3 });
    let set = stack
        .admin
        .put("/api/v1/tenants/acme/job-limits", &limits)
        .await
        .expect(200);
    let own = entry_of(&caller, &set, "").await;
    let platforms = entry_of(&stack.admin, &set, "").await;
    for told in [&own, &platforms] {
        assert_eq!(told["action"], "tenant.update_job_limits");
        assert_eq!(told["detail"]["max_concurrent"], 3);
        assert_eq!(told["actor_display"], "system-admin key");
    }
    assert_eq!(platforms["tenant_id"], "platform");
    assert_eq!(platforms["detail"]["tenant_id"], "acme");
    // In their own name they reach what the platform carries out for it.
    let page = caller.get("/api/v1/jobs?kind=provision_namespace").await;
    let job = page.expect(200).json["items"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let cancelled = stack
        .admin
        .post(&format!("/api/v1/jobs/{job}/cancel"), &json!({}))
        .await;
    let cancelled = cancelled.expect(202);
    for caller in [&caller, &stack.admin] {
        let told = entry_of(caller, &cancelled, "").await;
        assert_eq!(
            (&told["action"], &told["object_id"]),
            (&json!("job.cancel"), &json!(job))
        );
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_found_by_each_filter_and_page_by_page() {
    let stack = Stack::still().await;
    let caller = stack.create_tenant("acme").await;
    let mut jobs = Vec::new();
    for _ in 0..5 {
        jobs.push(stack.probe(&caller, json!({})).await);
        // Apart from the next.
        stack.told().await;
    }
    let order = json!({ "kind": "probe", "payload": {} });
    let batch = caller
        .post("/api/v1/jobs:batch", &json!({ "jobs": [order, order] }))
        .await;
    let batch = batch.expect(202).json;
    stack.told().await;
    let in_batch = batch["items"][1]["id"].as_str().unwrap();
    let all = entries(&caller, "").await;
    // The tenant itself, five jobs, the batch.
    assert_eq!(all.len(), 7);
    let sequences: Vec<i64> = all
        .iter()
        .map(|e| e["sequence"].as_i64().unwrap())
        .collect();
    assert_eq!(sequences, [7, 6, 5, 4, 3, 2, 1]);
    let actor = all[0]["actor_id"].as_str().unwrap();
    let third = all[2]["at"].as_str().unwrap();
    for (query, count) in [
        ("&action=job.create".to_owned(), 6),
        ("&action=tenant.create".to_owned(), 1),
        (format!("&actor={actor}"), 6),
        (format!("&object={}", jobs[2]), 1),
        (format!("&object={in_batch}"), 1),
        ("&object_type=tenant".to_owned(), 1),
        ("&result=denied".to_owned(), 0),
        ("&result=succeeded".to_owned(), 7),
        (format!("&from={third}"), 3),
        (format!("&to={third}"), 4),
        ("&tenant=acme".to_owned(), 7),
    ] {
        assert_eq!(entries(&caller, &query).await.len(), count, "{query}");
    }
    let mut paged = Vec::new();
    let mut next = String::new();
    loop {
        let path = format!("/api/v1/audit-log?limit=2&action=job.create{next}");
        let page = caller.get(&path).await.expect(200).json;
        paged.extend(page["items"].as_array().unwrap().clone());
        match page["next_page_token"].as_str() {
            Some(token) => next = format!("&page_token={token}"),
            None => break,
        }
    }
    assert_eq!(paged, all[..6]);
    for bad in [
        "action=a%0A",
        "result=maybe",
        "from=yesterday",
        "surprise=1",
        "limit=0",
    ] {
        let path = format!("/api/v1/audit-log?{bad}");
        caller.get(&path).await.problem(400, "query.invalid");
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_read_by_its_tenants_administrators_and_the_platforms() {
    let stack = Stack::still().await;
    let alpha = stack.create_tenant("alpha").await;
    let bravo = stack.create_tenant("bravo").await;
    stack.probe(&bravo, json!({ "echo": "canary" })).await;
    stack.told().await;
    for path in ["/api/v1/audit-log", "/api/v1/audit-log/head"] {
        for named in ["bravo", "platform", "nobody", "BRAVO"] {
            let path = format!("{path}?tenant={named}");
            alpha.get(&path).await.problem(404, "not_found");
        }
        for role in [
            unity_shared::tenancy::Role::TenantViewer,
            unity_shared::tenancy::Role::TenantMember,
        ] {
            let caller = stack.caller_with_role("alpha", role).await;
            caller.get(path).await.problem(403, "role.insufficient");
        }
    }
    let token = bravo.get("/api/v1/audit-log?limit=1").await.expect(200);
    let token = token.text_of("next_page_token");
    let path = format!("/api/v1/audit-log?limit=1&page_token={token}");
    alpha.get(&path).await.problem(400, "page_token.invalid");
    for entry in entries(&alpha, "").await {
        assert_eq!(entry["tenant_id"], "alpha");
    }
    assert_eq!(
        entries(&stack.admin, "&tenant=bravo&action=job.create")
            .await
            .len(),
        1
    );
    assert_eq!(
        entries(&stack.admin, "&action=tenant.create").await.len(),
        2
    );
    assert!(entries(&stack.admin, "&tenant=nobody").await.is_empty());
    stack.stop().await;
}

/// Jobs that arrive together are one entry; none is left out and none told twice.
#[tokio::test(flavor = "multi_thread")]
async fn many_requests_at_once_are_few_entries_that_name_every_job() {
    let stack = Stack::still().await;
    let caller = stack.create_tenant("acme").await;
    let probes = (0..200).map(|_| stack.probe(&caller, json!({})));
    let mut made = futures::future::join_all(probes).await;
    stack.told().await;
    let told = entries(&caller, "&action=job.create").await;
    let mut named: Vec<String> = Vec::new();
    for entry in &told {
        if let Some(id) = entry["object_id"].as_str() {
            named.push(id.to_owned());
            continue;
        }
        let ids = entry["detail"]["ids"].as_array().unwrap();
        assert_eq!(entry["detail"]["count"], ids.len());
        assert!(entry["request_id"].is_null(), "it tells of several");
        named.extend(ids.iter().map(|id| id.as_str().unwrap().to_owned()));
    }
    made.sort();
    named.sort();
    assert_eq!(named, made);
    assert!(told.len() < 200, "{} entries", told.len());
    stack.stop().await;
}

/// Jobs that the statement leaves out are not told of.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_not_written_is_not_told_of() {
    let stack = Stack::still().await;
    let caller = stack.create_tenant("acme").await;
    stack.drain(json!({ "tenant": "acme" })).await;
    let order = json!({ "kind": "probe", "payload": {} });
    let orders = (0..20).map(|_| caller.post("/api/v1/jobs", &order));
    for answer in futures::future::join_all(orders).await {
        answer.problem(409, "switch.draining");
    }
    stack.told().await;
    assert!(entries(&caller, "&action=job.create").await.is_empty());
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_is_told_of_once() {
    let stack = Stack::still().await;
    let caller = stack.create_tenant("acme").await;
    let order = json!({ "kind": "probe", "payload": {} });
    for _ in 0..3 {
        let key = [("idempotency-key", "once")];
        caller
            .post_with("/api/v1/jobs", &order, &key)
            .await
            .expect(202);
    }
    stack.told().await;
    assert_eq!(entries(&caller, "&action=job.create").await.len(), 1);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_is_a_named_proxys_word_or_the_peers() {
    let options = StackOptions {
        trusted_proxies: vec![
            "127.0.0.0/8".parse().unwrap(),
            "10.0.0.0/8".parse().unwrap(),
        ],
        ..StackOptions::still()
    };
    let stack = Stack::start_with(options).await;
    let caller = stack.create_tenant("acme").await;
    let order = json!({ "kind": "probe", "payload": {} });
    for (forwarded, address) in [
        ("203.0.113.9", "203.0.113.9"),
        ("1.1.1.1, 203.0.113.9, 10.0.0.1", "203.0.113.9"),
        ("1.1.1.1, nonsense", &Ipv4Addr::LOCALHOST.to_string()),
        ("2001:db8::1", "2001:db8::1"),
    ] {
        let headers = [("x-forwarded-for", forwarded)];
        let made = caller
            .post_with("/api/v1/jobs", &order, &headers)
            .await
            .expect(202);
        stack.told().await;
        let told = entry_of(&caller, &made, "").await;
        assert_eq!(told["source_address"], address, "{forwarded}");
    }
    stack.stop().await;
}

/// The platform's own jobs belong to a tenant of its name, whose log is the platform's.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_to_the_platforms_own_jobs_is_told_once() {
    let stack = Stack::start_with(StackOptions {
        tenant_grace: std::time::Duration::from_millis(1),
        ..StackOptions::still()
    })
    .await;
    stack.create_tenant("acme").await;
    let path = "/api/v1/tenants/acme";
    stack.admin.delete(path).await.expect(200);
    let order = stack
        .admin
        .post(&format!("{path}/purge"), &json!({}))
        .await
        .expect(202);
    let cancel = format!("/api/v1/jobs/{}/cancel", order.text_of("id"));
    let cancelled = stack.admin.post(&cancel, &json!({})).await.expect(202);
    let told = entry_of(&stack.admin, &cancelled, "").await;
    assert_eq!(
        (&told["action"], &told["detail"]["tenant_id"]),
        (&json!("job.cancel"), &json!("platform"))
    );
    stack.stop().await;
}
