//! `unity members` and `unity invitations`.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::{PASSWORD, log_in, stack_with_mail};
use crate::harness::{Caller, Stack};

/// The command against this stack, with this key.
async fn unity(stack: &Stack, key: &Caller, args: &[&str], typed: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unity"));
    command
        .args(args)
        .env("UNITY_API_URL", &stack.api_url)
        .env("UNITY_API_KEY", key.key.as_deref().unwrap_or_default())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let typed = typed.to_owned();
    let run = move || {
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::io::Write::write_all(&mut stdin, typed.as_bytes()).unwrap();
        drop(stdin);
        child.wait_with_output().unwrap()
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

fn said(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_managed_from_the_command_line() {
    let (stack, mailbox) = stack_with_mail().await;
    let admin = stack.create_tenant("acme").await;
    let email = "typist@people.example";
    let invite = ["members", "invite", email, "--role", "viewer", "--json"];
    let invited: Value =
        serde_json::from_str(&said(&unity(&stack, &admin, &invite, "").await)).unwrap();
    let id = invited["id"].as_str().unwrap();
    assert!(said(&unity(&stack, &admin, &["invitations", "list"], "").await).contains(email));
    assert!(
        said(&unity(&stack, &admin, &["invitations", "show", id], "").await).contains("pending")
    );
    let code = mailbox.newest_to(email, 1).await.token();
    let accept = [
        "invitations",
        "accept",
        &code,
        "--name",
        "Typist",
        "--password-stdin",
    ];
    let admitted = unity(
        &stack,
        &admin.without_key(),
        &accept,
        &format!("{PASSWORD}\n"),
    )
    .await;
    assert!(said(&admitted).contains("acme"));
    log_in(&stack, email, PASSWORD, "acme").await.expect(200);
    let listed = said(&unity(&stack, &admin, &["members", "list", "--json"], "").await);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let items = listed["items"].as_array().unwrap();
    let member = items
        .iter()
        .find(|member| member["email"] == email)
        .unwrap();
    let user = member["user_id"].as_str().unwrap();
    let raised = ["members", "set-role", user, "member", "--tenant", "acme"];
    assert!(said(&unity(&stack, &stack.admin, &raised, "").await).contains("tenant-member"));
    said(&unity(&stack, &admin, &["members", "remove", user], "").await);
    let gone = unity(&stack, &admin, &["members", "show", user], "").await;
    assert!(!gone.status.success());
    assert!(String::from_utf8_lossy(&gone.stderr).contains("not_found"));
    let nowhere = unity(&stack, &stack.admin, &["members", "list"], "").await;
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("--tenant"));
    let other = ["members", "invite", "revoked@people.example", "--json"];
    let invited: Value =
        serde_json::from_str(&said(&unity(&stack, &admin, &other, "").await)).unwrap();
    let id = invited["id"].as_str().unwrap();
    said(&unity(&stack, &admin, &["invitations", "revoke", id], "").await);
    let revoked = ["invitations", "list", "--status", "revoked"];
    assert!(said(&unity(&stack, &admin, &revoked, "").await).contains("revoked@people.example"));
    stack.finish().await;
}
