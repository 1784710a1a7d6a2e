//! How often one may call: per source address, per key and second, per tenant and hour.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use reqwest::Method;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use unity_api::{AddressLimit, ApiOptions, ApiState, router, serve};
use unity_shared::{clock::Clock, config::Secret, tenancy::Role};

use crate::harness::{Answer, Caller, PREFIX, Proxy, Stack, StackOptions, eventually, servers};

/// A stack whose clock stands at half past twelve.
async fn stopped_at_half_past() -> Stack {
    Stack::still_at(&Clock::manual("2026-01-05T12:30:00Z".parse().unwrap())).await
}

/// A tenant that may make so many calls an hour.
async fn tenant(stack: &Stack, id: &str, plan: &str, per_hour: u32) -> Caller {
    let body = json!({
        "id": id, "name": id, "plan": plan, "resource_quota": { "api_calls_per_hour": per_hour },
    });
    let created = stack.admin.post("/api/v1/tenants", &body).await.expect(201);
    stack.admin.with_key(&created.text_of("api_key"))
}

/// A cheap call.
async fn call(caller: &Caller) -> Answer {
    caller.get("/api/v1/job-kinds").await
}

/// How many of so many calls at once are answered, and how many are refused for which limit.
async fn call_at_once(callers: &[Caller], count: usize) -> (usize, usize) {
    let calls = (0..count).map(|place| call(&callers[place % callers.len()]));
    let answers = futures::future::join_all(calls).await;
    let (passed, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == 200);
    let count = refused.len();
    for answer in refused {
        refusal(answer);
    }
    (passed.len(), count)
}

/// Checks that it is one call too many, and answers how long to wait.
#[track_caller]
fn refusal(answer: Answer) -> u64 {
    let answer = answer.problem(429, "rate_limited");
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=7200).contains(&wait), "{wait}");
    wait
}

/// The members of a `RateLimit` header: name to its parameter.
fn members(answer: &Answer, header: &str, parameter: &str) -> BTreeMap<String, u64> {
    let text = answer.header(header);
    let members = text.split(", ").map(|member| {
        let (name, rest) = member
            .split_once(';')
            .unwrap_or_else(|| panic!("{header}: {text}"));
        let value = rest
            .split(';')
            .find_map(|part| part.strip_prefix(&format!("{parameter}=")));
        (
            name.trim_matches('"').to_owned(),
            value.unwrap().parse().unwrap(),
        )
    });
    members.collect()
}

/// A number in Redis, as anybody reads it.
async fn in_redis(stack: &Stack, name: &str) -> Option<u64> {
    let client = redis::Client::open(servers().await.redis_url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd("GET")
        .arg(format!("{PREFIX}{}:{name}", stack.name))
        .query_async(&mut connection)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_says_which_limits_there_are_and_what_is_left() {
    let stack = Stack::still().await;
    let caller = tenant(&stack, "acme", "pro", 10_000).await;
    let viewer = stack.caller_with_role("acme", Role::TenantViewer).await;
    let order = json!({ "kind": "probe", "payload": {} });
    for (answer, status) in [
        (call(&caller).await, 200),
        (caller.get("/api/v1/jobs/x").await, 404),
        (caller.get("/api/v1/jobs?limit=0").await, 400),
        (caller.post("/api/v1/jobs", &json!({})).await, 400),
        (viewer.post("/api/v1/jobs", &order).await, 403),
    ] {
        let answer = answer.expect(status);
        let quotas = members(&answer, "ratelimit-policy", "q");
        assert_eq!(
            quotas,
            [("key".to_owned(), 166), ("tenant".to_owned(), 10_000)].into()
        );
        let windows = members(&answer, "ratelimit-policy", "w");
        assert_eq!(
            windows,
            [("key".to_owned(), 1), ("tenant".to_owned(), 3600)].into()
        );
        assert!(members(&answer, "ratelimit", "r")["tenant"] < 10_000);
        assert!((1..=3600).contains(&members(&answer, "ratelimit", "t")["tenant"]));
    }
    let first = members(&call(&caller).await, "ratelimit", "r")["tenant"];
    let second = members(&call(&caller).await, "ratelimit", "r")["tenant"];
    assert_eq!(second, first - 1);
    let nobody = caller.without_key();
    let refused_method = nobody
        .send(Method::DELETE, "/api/v1/job-kinds", &[], None)
        .await;
    for (answer, status) in [
        (call(&nobody).await, 401),
        (caller.get("/api/v1/job-kinds/").await, 404),
        (caller.get("/API/v1/job-kinds").await, 404),
        (refused_method, 405),
        (nobody.get("/openapi.json").await, 200),
    ] {
        let answer = answer.expect(status);
        assert!(members(&answer, "ratelimit-policy", "q").contains_key("address"));
        assert!(members(&answer, "ratelimit", "r").contains_key("address"));
    }
    let admin = stack.admin.get("/api/v1/tenants").await.expect(200);
    assert_eq!(
        members(&admin, "ratelimit-policy", "q")["tenant"],
        10_000_000
    );
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_hour_ends_and_two_hours_do_not_fit_around_its_stroke() {
    let stack = stopped_at_half_past().await;
    let caller = tenant(&stack, "acme", "free", 15).await;
    let other = tenant(&stack, "other", "free", 15).await;
    for left in (0..15).rev() {
        let answer = call(&caller).await.expect(200);
        assert_eq!(members(&answer, "ratelimit", "r")["tenant"], left);
    }
    let wait = refusal(call(&caller).await);
    assert!((1800..=2100).contains(&wait), "{wait}");
    call(&other).await.expect(200);
    let name = "tenant:acme:api_calls:2026-01-05:12";
    assert_eq!(in_redis(&stack, name).await, Some(15));
    // A minute into the next hour the calls of half an hour ago still count.
    stack.clock.advance(chrono::TimeDelta::minutes(31));
    refusal(call(&caller).await);
    stack.clock.advance(chrono::TimeDelta::minutes(29));
    eventually("half of the hour is back", || async {
        (call(&caller).await.status == 200).then_some(())
    })
    .await;
    let mut passed = 1;
    while call(&caller).await.status == 200 {
        passed += 1;
    }
    assert_eq!(passed, 7);
    let name = "tenant:acme:api_calls:2026-01-05:13";
    assert_eq!(in_redis(&stack, name).await, Some(7));
    stack.clock.advance(chrono::TimeDelta::hours(2));
    call(&caller).await.expect(200);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_redis_gives_nobody_a_new_hour() {
    let stack = stopped_at_half_past().await;
    let caller = tenant(&stack, "acme", "free", 15).await;
    for _ in 0..15 {
        call(&caller).await.expect(200);
    }
    stack.wipe_redis().await;
    for _ in 0..5 {
        refusal(call(&caller).await);
    }
    eventually("the count is back", || async {
        refusal(call(&caller).await);
        let name = "tenant:acme:api_calls:2026-01-05:12";
        (in_redis(&stack, name).await == Some(15)).then_some(())
    })
    .await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raised_quota_is_in_force_within_seconds() {
    let stack = stopped_at_half_past().await;
    let caller = tenant(&stack, "acme", "free", 3).await;
    for _ in 0..3 {
        call(&caller).await.expect(200);
    }
    refusal(call(&caller).await);
    let raise =
        "UPDATE tenants SET resource_quota = '{\"api_calls_per_hour\": 5}' WHERE id = 'acme'";
    sqlx::query(raise)
        .execute(&mut stack.owner().await)
        .await
        .unwrap();
    eventually("two more calls", || async {
        (call(&caller).await.status == 200).then_some(())
    })
    .await;
    call(&caller).await.expect(200);
    refusal(call(&caller).await);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_a_keys_second_is_told_and_its_own_rate_is_not_above_the_plans() {
    let stack = stopped_at_half_past().await;
    let caller = tenant(&stack, "acme", "free", 1_000).await;
    for left in (0..20).rev() {
        let answer = call(&caller).await.expect(200);
        assert_eq!(members(&answer, "ratelimit", "r")["key"], left);
    }
    let refused = call(&caller).await;
    assert_eq!(members(&refused, "ratelimit", "r")["key"], 0);
    refusal(refused);
    let admin = stack.caller_with_role("acme", Role::TenantAdmin).await;
    for (wanted, given) in [(100_000, 20), (3, 3)] {
        let order = json!({ "name": "fast", "rate_limit_per_second": wanted });
        let made = admin.post("/api/v1/api-keys", &order).await.expect(201);
        let key = caller.with_key(&made.text_of("api_key"));
        let answer = call(&key).await.expect(200);
        assert_eq!(members(&answer, "ratelimit-policy", "q")["key"], given);
        let more = usize::try_from(given).unwrap() + 20;
        let (passed, _) = call_at_once(std::slice::from_ref(&key), more).await;
        assert_eq!(passed + 1, usize::try_from(given).unwrap());
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_has_its_second_and_others_have_theirs() {
    let stack = stopped_at_half_past().await;
    let caller = tenant(&stack, "acme", "free", 1_000).await;
    // The clock stands still, so this is one moment.
    let (passed, refused) = call_at_once(std::slice::from_ref(&caller), 60).await;
    assert_eq!((passed, refused), (20, 40));
    let other = stack.caller_with_role("acme", Role::TenantViewer).await;
    call(&other).await.expect(200);
    stack.clock.advance(chrono::TimeDelta::milliseconds(500));
    eventually("half a second's calls are back", || async {
        (call(&caller).await.status == 200).then_some(())
    })
    .await;
    let (passed, _) = call_at_once(std::slice::from_ref(&caller), 30).await;
    assert_eq!(passed, 9);
    stack.stop().await;
}

/// Another API process over the same servers.
async fn another_api(stack: &Stack, stop: CancellationToken) -> String {
    let options = ApiOptions {
        probe_jobs: true,
        secret_key: Secret::new("another secret of at least 32 characters"),
        tenant_grace: stack.options.tenant_grace,
        public_url: None,
        loopback_providers: false,
        rate_limits: true,
        address_limit: stack.options.address_limit,
        trusted_proxies: Vec::new(),
    };
    let gate = stack.direct_gate().await;
    let state = ApiState::new(stack.database.clone(), gate, stack.clock.clone(), &options);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(serve(listener, router(state), stop, Duration::from_secs(1)));
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn several_api_processes_together_keep_to_one_limit() {
    let stack = stopped_at_half_past().await;
    let first = tenant(&stack, "acme", "enterprise", 50).await;
    let stop = CancellationToken::new();
    let second = Caller::new(
        &another_api(&stack, stop.clone()).await,
        first.key.as_deref(),
    );
    let callers = [first, second];
    let (passed, _) = call_at_once(&callers, 300).await;
    assert!((1..=50).contains(&passed), "{passed} calls of 50");
    // What one process was given and did not use goes back, and either may have it.
    let total = AtomicUsize::new(passed);
    eventually("all fifty calls were made", || {
        let (callers, total) = (&callers, &total);
        async {
            let (more, _) = call_at_once(callers, 10).await;
            (total.fetch_add(more, Ordering::Relaxed) + more >= 50).then_some(())
        }
    })
    .await;
    let (more, _) = call_at_once(&callers, 50).await;
    assert_eq!((total.into_inner(), more), (50, 0));
    let name = "tenant:acme:api_calls:2026-01-05:12";
    assert_eq!(in_redis(&stack, name).await, Some(50));
    stop.cancel();
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_a_tenant_has_a_share_and_it_is_counted_afterwards() {
    let url = servers().await.redis_url();
    let (_, address) = url.trim_end_matches("/0").rsplit_once('@').unwrap();
    let proxy = Proxy::start(address.parse().unwrap()).await;
    let options = StackOptions {
        clock: Clock::manual("2026-01-05T12:30:00Z".parse().unwrap()),
        redis_at: Some(proxy.addr),
        ..StackOptions::still()
    };
    let stack = Stack::start_with(options).await;
    let caller = tenant(&stack, "acme", "enterprise", 3_600).await;
    call(&caller).await.expect(200);
    proxy.cut();
    let mut passed = 0;
    let mut refused = 0;
    for _ in 0..300 {
        let answer = call(&caller).await;
        if answer.status == 200 {
            passed += 1;
        } else {
            refusal(answer);
            refused += 1;
        }
    }
    // A minute's worth of 3600 an hour at once, and one a second from then on.
    assert!(
        (60..200).contains(&passed) && refused > 0,
        "{passed} passed, {refused} refused"
    );
    proxy.mend();
    let name = "tenant:acme:api_calls:2026-01-05:12";
    eventually("the calls are counted", || async {
        (in_redis(&stack, name).await >= Some(passed + 1)).then_some(())
    })
    .await;
    call(&caller).await.expect(200);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_nobodys_too_often_waits_before_anybody_looks() {
    let options = StackOptions {
        address_limit: AddressLimit {
            per_second: 1,
            burst: 10,
        },
        ..StackOptions::still()
    };
    let stack = Stack::start_with(options).await;
    let caller = tenant(&stack, "acme", "pro", 10_000).await;
    let nobody = caller.without_key();
    let guess = nobody.with_key("uk_acme_000000000000000000000000000000000000");
    let mut statuses: BTreeMap<u16, u32> = BTreeMap::new();
    for place in 0..30 {
        let forwarded = format!("203.0.113.{place}");
        let headers = [("x-forwarded-for", forwarded.as_str())];
        let path = ["/api/v1/jobs", "/api/v1/jobs/", "/API/V1/JOBS"][place % 3];
        let answer = guess.send(Method::GET, path, &headers, None).await;
        *statuses.entry(answer.status.as_u16()).or_default() += 1;
        if answer.status == 429 {
            let answer = answer.problem(429, "rate_limited");
            assert_eq!(answer.header("retry-after"), "1");
            assert_eq!(members(&answer, "ratelimit", "r")["address"], 0);
        }
    }
    let failed = statuses[&401] + statuses[&404];
    assert!(
        (10..=15).contains(&failed) && statuses[&429] >= 15,
        "{statuses:?}"
    );
    // When it is quiet again, a valid key is let in at once and is not charged.
    eventually("the address may try again", || async {
        (call(&caller).await.status == 200).then_some(())
    })
    .await;
    for _ in 0..20 {
        call(&caller).await.expect(200);
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_that_are_switched_off_are_not_spoken_of() {
    let stack = Stack::start_with(StackOptions {
        rate_limits: false,
        ..StackOptions::still()
    })
    .await;
    let caller = tenant(&stack, "acme", "free", 0).await;
    let answer: Value = json!(call(&caller).await.expect(200).header("ratelimit"));
    assert_eq!(answer, "");
    stack.stop().await;
}
