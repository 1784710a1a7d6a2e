//! API keys: shown once, confined, worth what their maker is, and gone when they are revoked.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use serde_json::{Value, json};
use unity_shared::tenancy::Role;

use super::{JOBS, ME};
use crate::harness::{Answer, Caller, Proxy, Stack, StackOptions, eventually, servers};

const KEYS: &str = "/api/v1/api-keys";

async fn make(caller: &Caller, order: &Value) -> Answer {
    caller.post(KEYS, order).await.expect(201)
}

/// What the API remembers of a key's owner ends within two seconds.
async fn refused_soon(caller: &Caller) {
    eventually("the key is refused", || async {
        (caller.get(ME).await.status == 401).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_shown_once_listed_without_its_secret_and_refused_when_it_is_revoked() {
    let (stack, _) = Stack::still_now().await;
    let admin = stack.create_tenant("acme").await;
    let order = json!({ "name": "ci", "role": "viewer", "rate_limit_per_second": 5,
                        "expires_at": stack.clock.now() + TimeDelta::days(1) });
    let once = [("idempotency-key", "once")];
    let made = admin.post_with(KEYS, &order, &once).await.expect(201);
    let text = made.text_of("api_key");
    assert!(text.starts_with("uk_acme_"));
    let location = made.header("location").to_owned();
    assert_eq!(location, format!("{KEYS}/{}", made.text_of("id")));
    let again = admin.post_with(KEYS, &order, &once).await.expect(201);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(
        (&again.json["id"], &again.json["api_key"]),
        (&made.json["id"], &Value::Null)
    );
    let key = stack.admin.with_key(&text);
    let me = key.get(ME).await.expect(200).json;
    assert_eq!(
        (
            &me["actor"],
            &me["key_id"],
            &me["role"],
            &me["rate_limit_per_second"]
        ),
        (
            &json!("api_key"),
            &made.json["id"],
            &json!("tenant-viewer"),
            &json!(5)
        )
    );
    let secret = text.rsplit('_').next().unwrap();
    for answer in [admin.get(KEYS).await, admin.get(&location).await, again] {
        assert!(!answer.text.contains(&secret[4..]), "{}", answer.text);
    }
    let kept = stack
        .count("SELECT count(*) FROM idempotency_keys WHERE response::text LIKE '%uk\\_acme\\_%' AND response->>'api_key' IS NOT NULL")
        .await;
    assert_eq!(kept, 0);
    for _ in 0..2 {
        admin.delete(&location).await.expect(204);
    }
    refused_soon(&key).await;
    let shown = admin.get(&location).await.expect(200).json;
    assert!(shown["revoked_at"].is_string(), "{shown}");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confined_key_does_what_it_is_for_and_nothing_else() {
    let (stack, _) = Stack::still_now().await;
    let admin = stack.create_tenant("acme").await;
    let confined = |scopes: Value| {
        let admin = admin.clone();
        async move {
            let order = json!({ "name": "confined", "role": "admin", "scopes": scopes });
            let text = make(&admin, &order).await.text_of("api_key");
            admin.with_key(&text)
        }
    };
    let reads = confined(json!(["jobs:read"])).await;
    let writes = confined(json!(["jobs:write", "api-keys:write"])).await;
    let order = json!({ "kind": "probe", "payload": {} });
    reads.get(JOBS).await.expect(200);
    let refused = reads
        .post(JOBS, &order)
        .await
        .problem(403, "scope.insufficient");
    assert!(refused.text_of("detail").contains("jobs:write"));
    writes.post(JOBS, &order).await.expect(202);
    writes.get(JOBS).await.problem(403, "scope.insufficient");
    for key in [&reads, &writes] {
        for path in [KEYS, "/api/v1/events", "/api/v1/tenants/acme"] {
            key.get(path).await.problem(403, "scope.insufficient");
        }
        let me = key.get(ME).await.expect(200);
        assert!(me.json["scopes"].is_array(), "{}", me.text);
    }
    // A key makes no key that may more than it.
    let beyond = json!({ "name": "more", "scopes": ["jobs:read"] });
    writes
        .post(KEYS, &beyond)
        .await
        .problem(422, "validation.failed");
    let child = make(&writes, &json!({ "name": "child" })).await;
    assert_eq!(
        child.json["scopes"],
        json!(["api-keys:write", "jobs:write"])
    );
    let child = admin.with_key(&child.text_of("api_key"));
    child.get(JOBS).await.problem(403, "scope.insufficient");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_worth_what_its_maker_is() {
    let (stack, _) = Stack::still_now().await;
    stack.create_tenant("acme").await;
    let person = stack
        .person("maker@example.com", &[("acme", Role::TenantAdmin)])
        .await;
    let session = stack.log_in(&person, None).await;
    let order = json!({ "name": "theirs", "role": "tenant-admin" });
    let made = make(&session.caller, &order).await;
    assert_eq!(made.json["created_by"], person.id.to_string());
    let key = stack.admin.with_key(&made.text_of("api_key"));
    // A key that is made with a key has the same maker.
    let child = make(&key, &order).await;
    assert_eq!(child.json["created_by"], person.id.to_string());
    let child = stack.admin.with_key(&child.text_of("api_key"));
    for (sql, role) in [
        (
            "UPDATE memberships SET role = 'tenant-viewer' WHERE user_id = $who",
            Some("tenant-viewer"),
        ),
        (
            "UPDATE memberships SET role = 'tenant-admin' WHERE user_id = $who",
            Some("tenant-admin"),
        ),
        ("UPDATE users SET disabled_at = now() WHERE id = $who", None),
        (
            "UPDATE users SET disabled_at = NULL WHERE id = $who",
            Some("tenant-admin"),
        ),
        ("DELETE FROM memberships WHERE user_id = $who", None),
    ] {
        stack
            .change(&sql.replace("$who", &format!("'{}'", person.id)))
            .await;
        for key in [&key, &child] {
            eventually(sql, || async {
                let me = key.get(ME).await;
                match role {
                    Some(role) => me.json["role"] == role,
                    None => me.status == 401,
                }
                .then_some(())
            })
            .await;
        }
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_made_with_a_key_neither_outlives_nor_outruns_it() {
    let (stack, clock) = Stack::still_now().await;
    let admin = stack.create_tenant("acme").await;
    let end = clock.now() + TimeDelta::hours(1);
    let order =
        json!({ "name": "parent", "role": "admin", "expires_at": end, "rate_limit_per_second": 5 });
    let parent = make(&admin, &order).await;
    let key = admin.with_key(&parent.text_of("api_key"));
    let child = make(&key, &json!({ "name": "child" })).await.json;
    for field in ["expires_at", "rate_limit_per_second"] {
        assert_eq!(child[field], parent.json[field], "{field}");
    }
    for (field, value) in [
        ("expires_at", json!(end + TimeDelta::seconds(1))),
        ("rate_limit_per_second", json!(6)),
    ] {
        let refused = key
            .post(KEYS, &json!({ "name": "beyond", field: value }))
            .await;
        let refused = refused.problem(422, "validation.failed");
        let fault = &refused.json["errors"][0];
        assert_eq!(
            (&fault["pointer"], &fault["code"]),
            (&json!(format!("/{field}")), &json!("exceeded"))
        );
    }
    let less = json!({ "name": "less", "expires_at": end - TimeDelta::minutes(1), "rate_limit_per_second": 4 });
    make(&key, &less).await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_has_a_thousand_live_keys_at_most_however_many_ask_at_once() {
    let (stack, _) = Stack::still_now().await;
    let admin = stack.create_tenant("acme").await;
    // One came with the tenant, and neither of the last two is in use: two places are left.
    stack
        .change(
            "INSERT INTO api_keys (id, tenant_id, name, role, hash, prefix, created_at, revoked_at, expires_at)
             SELECT gen_random_uuid(), 'acme', 'many', 'tenant-viewer', sha256(n::text::bytea), 'uk_acme_', now(),
                    CASE WHEN n = 998 THEN now() END,
                    CASE WHEN n = 999 THEN now() - interval '1 day' ELSE now() + interval '1 year' END
             FROM generate_series(1, 999) AS n",
        )
        .await;
    let order = json!({ "name": "last" });
    // All of them are in the middle of it at the same moment.
    let mut held = stack.owner().await;
    for statement in ["BEGIN", "SELECT FROM tenants WHERE id = 'acme' FOR UPDATE"] {
        sqlx::raw_sql(statement).execute(&mut held).await.unwrap();
    }
    let asking = futures::future::join_all((0..8).map(|_| admin.post(KEYS, &order)));
    let let_go = async {
        eventually("several wait", || async {
            let waiting = "SELECT count(*) FROM pg_stat_activity
                           WHERE datname = current_database() AND wait_event_type = 'Lock'";
            (stack.count(waiting).await >= 4).then_some(())
        })
        .await;
        sqlx::raw_sql("COMMIT").execute(&mut held).await.unwrap();
    };
    let (asked, ()) = tokio::join!(asking, let_go);
    let made = asked.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(made, 2, "two places were left");
    let refused = asked
        .into_iter()
        .find(|answer| answer.status != 201)
        .unwrap();
    let refused = refused.problem(429, "quota_exceeded");
    assert_eq!(
        refused.json["quota"],
        json!({ "name": "api_keys", "limit": 1000, "used": 1000 })
    );
    assert_eq!(refused.header("retry-after"), "");
    let one = admin.get(&format!("{KEYS}?limit=1")).await.expect(200);
    let one = one.json["items"][0]["id"].as_str().unwrap().to_owned();
    admin.delete(&format!("{KEYS}/{one}")).await.expect(204);
    make(&admin, &order).await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_body_is_not_answered_with_a_large_one() {
    let (stack, _) = Stack::still_now().await;
    let admin = stack.create_tenant("acme").await;
    let scopes = json!({ "name": "many", "scopes": vec![""; 300_000] });
    let refused = admin.post(KEYS, &scopes).await;
    let refused = refused.problem(422, "validation.failed");
    assert!(refused.text.len() < 2_000, "{} bytes", refused.text.len());
    let jobs = json!({ "jobs": vec![json!({ "kind": "probe", "payload": {}, "labels": { "": "\u{7}" } }); 1000] });
    let refused = admin.post("/api/v1/jobs:batch", &jobs).await;
    let refused = refused.problem(422, "validation.failed");
    assert!(refused.text.len() < 50_000, "{} bytes", refused.text.len());
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_another_tenant_and_of_the_platform_are_as_if_they_were_not_there() {
    let (stack, _) = Stack::still_now().await;
    let (alpha, bravo) = (
        stack.create_tenant("alpha").await,
        stack.create_tenant("bravo").await,
    );
    let order = json!({ "name": "one" });
    let theirs = make(&bravo, &order).await.header("location").to_owned();
    let platforms = make(&stack.admin, &order).await;
    assert_eq!(platforms.json["role"], "system-admin");
    let platforms = platforms.header("location").to_owned();
    let nobodys = format!("{KEYS}/{}", uuid::Uuid::now_v7());
    for (caller, paths) in [
        (&alpha, [&theirs, &platforms, &nobodys]),
        (&stack.admin, [&theirs, &nobodys, &nobodys]),
    ] {
        for path in paths {
            caller.get(path).await.problem(404, "not_found");
            caller.delete(path).await.problem(404, "not_found");
        }
        let listed = caller.get(KEYS).await.expect(200);
        assert!(!listed.text.contains("uk_bravo"), "{}", listed.text);
    }
    bravo.get(&theirs).await.expect(200);
    for role in ["system-admin", "root"] {
        let asked = alpha
            .post(KEYS, &json!({ "name": "x", "role": role }))
            .await;
        assert!(
            [400, 422].contains(&asked.status.as_u16()),
            "{}",
            asked.text
        );
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_listed_newest_first_in_pages() {
    let (stack, _) = Stack::still_now().await;
    let admin = stack.create_tenant("acme").await;
    let mut made = vec!["initial".to_owned()];
    for number in 0..4 {
        let name = format!("key {number}");
        make(&admin, &json!({ "name": name })).await;
        made.push(name);
    }
    made.reverse();
    let (mut seen, mut next) = (Vec::new(), String::new());
    loop {
        let page = admin
            .get(&format!("{KEYS}?limit=2{next}"))
            .await
            .expect(200)
            .json;
        let items = page["items"].as_array().unwrap();
        seen.extend(
            items
                .iter()
                .map(|key| key["name"].as_str().unwrap().to_owned()),
        );
        let Some(token) = page["next_page_token"].as_str() else {
            break;
        };
        next = format!("&page_token={token}");
    }
    assert_eq!(seen, made);
    let foreign = stack.create_tenant("other").await;
    let refused = foreign.get(&format!("{KEYS}?limit=2{next}")).await;
    refused.problem(400, "page_token.invalid");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_key_was_last_used_is_noted_to_the_minute() {
    let (stack, clock) = Stack::still_now().await;
    let admin = stack.create_tenant("acme").await;
    let made = make(&admin, &json!({ "name": "used" })).await;
    assert_eq!(made.json["last_used_at"], Value::Null);
    let location = made.header("location").to_owned();
    let key = admin.with_key(&made.text_of("api_key"));
    let mut seen = BTreeSet::new();
    for _ in 0..2 {
        key.get(JOBS).await.expect(200);
        let at = eventually("the use is noted", || async {
            let shown = admin.get(&location).await.expect(200).json;
            let at = shown["last_used_at"].as_str()?.to_owned();
            (!seen.contains(&at)).then_some(at)
        })
        .await;
        assert!(at.ends_with(":00Z"), "{at}");
        seen.insert(at);
        clock.advance(TimeDelta::seconds(60));
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_with_a_wrong_checksum_is_refused_without_the_database() {
    let url = servers().await.owner_url("postgres");
    let options: sqlx::postgres::PgConnectOptions = url.parse().unwrap();
    let proxy = Proxy::start(([127, 0, 0, 1], options.get_port()).into()).await;
    let stack = Stack::start_with(StackOptions {
        database_at: Some(proxy.addr),
        ..StackOptions::still()
    })
    .await;
    let admin = stack.create_tenant("acme").await;
    let good = admin.key.clone().unwrap();
    let last = if good.ends_with('0') { '1' } else { '0' };
    let damaged = format!("{}{last}", &good[..good.len() - 1]);
    proxy.cut();
    for garbage in [damaged.as_str(), "uk_acme_x", "garbage", "a.b", ""] {
        let refused = admin.with_key(garbage).get(JOBS).await;
        refused.problem(401, "auth.required");
    }
    // One that could exist has to be looked up.
    let unknown = unity_shared::tenancy::ApiKey::generate(Some(&"acme".parse().unwrap()));
    let unanswered = admin.with_key(unknown.reveal()).get(JOBS).await;
    unanswered.problem(503, "unavailable");
    proxy.mend();
    stack.stop().await;
}
