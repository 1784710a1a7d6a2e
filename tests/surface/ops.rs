//! The port for operators: does the process live, is it ready, how is it doing.

use std::net::SocketAddr;

use serde_json::json;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use unity_api::ops::{Readiness, install_recorder};
use unity_cli::process::{Connections, serve_ops};

use crate::harness::{Caller, Proxy, Stack, StackOptions, eventually, servers};

struct OpsPort {
    caller: Caller,
    shutdown: CancellationToken,
    serving: JoinHandle<anyhow::Result<()>>,
}

impl OpsPort {
    async fn open(readiness: Readiness) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(serve_ops(
            listener,
            readiness,
            install_recorder(),
            shutdown.clone(),
        ));
        Self {
            caller: Caller::new(&url, None),
            shutdown,
            serving,
        }
    }

    async fn close(self) {
        self.shutdown.cancel();
        self.serving.await.unwrap().unwrap();
    }
}

async fn proxy_to_redis() -> Proxy {
    let url = servers().await.redis_url();
    let (_, address) = url.trim_end_matches("/0").rsplit_once('@').unwrap();
    Proxy::start(address.parse::<SocketAddr>().unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_names_the_server_that_does_not_answer_and_liveness_goes_on() {
    let proxy = proxy_to_redis().await;
    let options = StackOptions {
        redis_at: Some(proxy.addr),
        ..StackOptions::still()
    };
    let stack = Stack::start_with(options).await;
    let connections = Connections {
        database: stack.database.clone(),
        gate: stack.gate.clone(),
        clock: stack.clock.clone(),
    };
    let port = OpsPort::open(connections.readiness()).await;
    let ready = port.caller.get("/readyz").await.expect(200);
    assert_eq!(
        ready.json,
        json!({ "status": "ready", "checks": { "postgresql": "ok", "redis": "ok" } })
    );
    proxy.cut();
    let failing = port.caller.get("/readyz").await.expect(503);
    assert_eq!(failing.json["status"], "not_ready");
    assert_eq!(failing.json["checks"]["postgresql"], "ok");
    let told = failing.json["checks"]["redis"].as_str().unwrap();
    assert!(told != "ok" && !told.is_empty());
    // The body is shown to whoever reaches the port: no address with a password in it.
    let url = servers().await.redis_url();
    let secret = url.rsplit_once('@').unwrap().0.rsplit_once(':').unwrap().1;
    assert!(!failing.text.contains(secret), "{}", failing.text);
    port.caller.get("/healthz").await.expect(200);
    proxy.mend();
    eventually("the process is ready again", || async {
        (port.caller.get("/readyz").await.status == 200).then_some(())
    })
    .await;
    port.close().await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_never_answers_is_named_and_hides_no_other() {
    let stuck: Box<dyn Fn() -> _ + Send + Sync> =
        Box::new(|| Box::pin(std::future::pending()) as _);
    let port = OpsPort::open(Readiness::new(vec![
        ("stuck", stuck),
        ("well", Box::new(|| Box::pin(async { Ok(()) }))),
        (
            "broken",
            Box::new(|| Box::pin(async { Err("is on fire".to_owned()) })),
        ),
    ]))
    .await;
    let answer = port.caller.get("/readyz").await.expect(503);
    let checks = answer.json["checks"].as_object().unwrap();
    assert_eq!(checks["well"], "ok");
    assert_eq!(checks["broken"], "is on fire");
    assert!(
        checks["stuck"]
            .as_str()
            .unwrap()
            .contains("does not answer")
    );
    port.caller.get("/healthz").await.expect(200);
    port.close().await;
}

/// The samples of one metric.
fn samples<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    text.lines()
        .filter(|line| line.starts_with(&format!("{name}{{")))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_requests_by_route_and_hold_no_id_and_no_tenant() {
    let port = OpsPort::open(Readiness::default()).await;
    let stack = Stack::still().await;
    let caller = stack.create_tenant("measured-tenant").await;
    let id = stack.probe(&caller, json!({})).await;
    caller.get(&format!("/api/v1/jobs/{id}")).await.expect(200);
    caller.get("/api/v1/nowhere/at/all").await.expect(404);
    let answer = port.caller.get("/metrics").await.expect(200);
    assert!(
        answer
            .header("content-type")
            .starts_with("text/plain; version=0.0.4")
    );
    let requests = samples(&answer.text, "http_requests_total");
    for part in [
        "path=\"/api/v1/jobs/{id}\"",
        "path=\"unmatched\"",
        "status=\"404\"",
        "method=\"POST\"",
    ] {
        assert!(
            requests.iter().any(|line| line.contains(part)),
            "{part}: {requests:#?}"
        );
    }
    assert!(!samples(&answer.text, "http_request_duration_seconds_bucket").is_empty());
    for private in [id.as_str(), "measured-tenant", "nowhere"] {
        assert!(!answer.text.contains(private), "{private} is a label");
    }
    for line in answer
        .text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        let (_, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
    port.close().await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_for_operators_is_not_on_the_public_port() {
    let stack = Stack::still().await;
    for path in ["/healthz", "/readyz", "/metrics"] {
        stack.admin.get(path).await.problem(404, "not_found");
    }
    let port = OpsPort::open(Readiness::default()).await;
    let health = port.caller.get("/healthz").await.expect(200);
    assert_eq!(health.json, json!({ "status": "ok" }));
    for path in ["/api/v1/jobs", "/docs", "/openapi.json"] {
        port.caller.get(path).await.expect(404);
    }
    port.close().await;
    stack.stop().await;
}
