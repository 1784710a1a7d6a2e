//! What is in the logs of an API and a worker that say everything they can: no secret of anybody, and
//! on a tenant's lines nothing of another.

use std::{fs::File, io::Write as _, process::Stdio};

use nix::sys::signal::{Signal, kill};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use unity_shared::tenancy::Role;

use super::canary::{CANARY, Planted, plant};
use crate::harness::{Caller, Mail, Mailbox, SECRET_KEY, Stack, StackOptions, eventually, servers};

/// A process of ours that logs at the finest level into a file.
struct Logged {
    child: Child,
    log: tempfile::NamedTempFile,
    _settings: tempfile::NamedTempFile,
}

impl Logged {
    async fn start(stack: &Stack, what: &str, mailbox: &Mailbox) -> Self {
        let mut settings = tempfile::NamedTempFile::new().unwrap();
        let text = stack.settings_toml().await;
        writeln!(settings, "{text}smtp_url = {:?}", mailbox.url).unwrap();
        writeln!(
            settings,
            "public_url = \"https://unity.test\"\nmail_from = \"Unity <unity@unity.test>\""
        )
        .unwrap();
        let log = tempfile::NamedTempFile::new().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_unity"))
            .args([what, "--log", "trace", "--log-format", "json", "--config"])
            .arg(settings.path())
            .kill_on_drop(true)
            .stdout(Stdio::null())
            .stderr(File::create(log.path()).unwrap())
            .spawn()
            .unwrap();
        Self {
            child,
            log,
            _settings: settings,
        }
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap()
    }

    /// Where it listens, from its log.
    async fn address(&self) -> String {
        eventually("the API says where it listens", || async {
            let text = self.text();
            let mut lines = text
                .lines()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let line = lines.find(|line| line["message"] == "API listening")?;
            Some(format!("http://{}", line["api"].as_str()?))
        })
        .await
    }

    /// Everything that it said.
    async fn end(mut self) -> String {
        let id = i32::try_from(self.child.id().unwrap()).unwrap();
        kill(nix::unistd::Pid::from_raw(id), Signal::SIGTERM).unwrap();
        assert!(self.child.wait().await.unwrap().success());
        self.text()
    }
}

/// Whether a line is about this tenant, by its own fields or by those of a span around it.
fn is_of(line: &Value, tenant: &str) -> bool {
    let spans = line["spans"].as_array().into_iter().flatten();
    [line, &line["span"]]
        .into_iter()
        .chain(spans)
        .any(|place| place["tenant_id"] == tenant)
}

/// A person's way through passwords and tokens, over this API; answers the secrets of it.
async fn log_in_and_out(stack: &Stack, nobody: &Caller) -> Vec<String> {
    let person = stack
        .person("someone@bravo.example", &[("bravo", Role::TenantAdmin)])
        .await;
    let mut secrets = vec![person.password.clone()];
    let login = json!({ "email": person.email, "password": person.password });
    let wrong = json!({ "email": person.email, "password": "a wrong password of theirs" });
    nobody.post("/api/v1/auth/token", &wrong).await.expect(401);
    secrets.push("a wrong password of theirs".to_owned());
    let first = nobody.post("/api/v1/auth/token", &login).await.expect(200);
    let refresh = json!({ "refresh_token": first.text_of("refresh_token") });
    let second = nobody
        .post("/api/v1/auth/refresh", &refresh)
        .await
        .expect(200);
    let session = nobody.with_key(&second.text_of("access_token"));
    let change = json!({ "current_password": person.password, "new_password": "the next password of theirs" });
    let third = session
        .post("/api/v1/auth/password", &change)
        .await
        .expect(200);
    secrets.push("the next password of theirs".to_owned());
    for answer in [first, second, third] {
        secrets.extend([
            answer.text_of("access_token"),
            answer.text_of("refresh_token"),
        ]);
    }
    secrets
}

#[tokio::test(flavor = "multi_thread")]
async fn no_log_holds_a_secret_and_no_line_of_a_tenant_holds_another_tenants_text() {
    let mailbox = Mailbox::start().await;
    let mut stack = Stack::start_with(StackOptions {
        workers: 0,
        smtp_url: Some(mailbox.url.clone()),
        ..StackOptions::default()
    })
    .await;
    let api = Logged::start(&stack, "api", &mailbox).await;
    let worker = Logged::start(&stack, "worker", &mailbox).await;
    // From here on whatever is asked is asked of the process.
    stack.admin.base = api.address().await;
    let Planted {
        admin: bravo,
        objects,
        mut secrets,
    } = plant(&stack, &mailbox).await;
    secrets.extend(log_in_and_out(&stack, &stack.admin.without_key()).await);
    let alpha = stack.create_tenant("alpha").await;
    let job = stack
        .probe(&alpha, json!({ "echo": "alpha", "progress_steps": 2 }))
        .await;
    stack.ended(&alpha, &job).await;
    for path in [
        format!("/api/v1/jobs/{}", objects["jobs"]),
        "/api/v1/jobs".to_owned(),
        "/api/v1/tenants/bravo".to_owned(),
    ] {
        for method in [Method::GET, Method::POST] {
            alpha.send(method, &path, &[], None).await;
        }
    }
    for caller in [&stack.admin, &alpha, &bravo] {
        secrets.push(caller.key.clone().unwrap());
    }
    secrets.push(SECRET_KEY.to_owned());
    secrets.push(password_of(&servers().await.app_url(&stack.name)));
    secrets.push(password_of(&servers().await.redis_url()));
    secrets.extend(
        mailbox
            .mails()
            .iter()
            .filter(|mail| mail.body().contains("um_"))
            .map(Mail::token),
    );
    let logs = [api.end().await, worker.end().await];
    for log in &logs {
        for secret in &secrets {
            let line = log.lines().find(|line| line.contains(secret.as_str()));
            assert!(line.is_none(), "{secret} is in {line:?}");
        }
    }
    let mut of_alpha = 0;
    for line in logs.iter().flat_map(|log| log.lines()) {
        let parsed: Value = serde_json::from_str(line).unwrap_or(Value::Null);
        if is_of(&parsed, "alpha") {
            of_alpha += 1;
            assert!(!line.contains(CANARY), "{line}");
        }
    }
    assert!(
        logs[0].contains("api_key:") && logs[1].contains(&job),
        "the search reads what was logged"
    );
    assert!(of_alpha > 20, "{of_alpha} lines are of alpha");
    stack.stop().await;
}

fn password_of(url: &str) -> String {
    let (credentials, _) = url.rsplit_once('@').unwrap();
    credentials.rsplit_once(':').unwrap().1.to_owned()
}
