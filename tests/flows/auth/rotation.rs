//! One signing key follows another, and nobody notices.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use unity_shared::{
    config::Secret,
    sessions::{RotateError, Rotation, SealingKey, SigningKey, rotate_signing_keys},
    tenancy::Role,
};

use super::{JOBS, ME};
use crate::harness::{LoggedIn, SECRET_KEY, Stack, decode, eventually};

async fn rotate(stack: &Stack, rotation: Rotation) -> Result<SigningKey, RotateError> {
    let sealing = SealingKey::new(&Secret::new(SECRET_KEY));
    let mut tx = stack.database.issuer().begin().await.unwrap();
    let key = rotate_signing_keys(&mut tx, &sealing, rotation, stack.clock.now()).await?;
    tx.commit().await.unwrap();
    Ok(key)
}

async fn published(stack: &Stack) -> BTreeSet<String> {
    let nobody = stack.admin.without_key();
    let answer = nobody.get("/.well-known/jwks.json").await.expect(200);
    assert_eq!(answer.header("cache-control"), "public, max-age=300");
    let keys = answer.json["keys"].as_array().unwrap().clone();
    for key in &keys {
        assert_eq!(
            (&key["kty"], &key["crv"], &key["alg"], &key["use"]),
            (
                &"OKP".into(),
                &"Ed25519".into(),
                &"EdDSA".into(),
                &"sig".into()
            )
        );
        assert_eq!(decode(key["x"].as_str().unwrap()).len(), 32);
        assert_eq!(key.as_object().unwrap().len(), 6, "nothing private: {key}");
    }
    keys.iter()
        .map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

fn kid_of(session: &LoggedIn) -> String {
    let header = session.access.split('.').next().unwrap();
    let header: serde_json::Value = serde_json::from_slice(&decode(header)).unwrap();
    assert_eq!(
        (&header["alg"], &header["typ"]),
        (&"EdDSA".into(), &"at+jwt".into())
    );
    header["kid"].as_str().unwrap().to_owned()
}

/// What the API remembers of the keys ends within a second.
async fn publishes(stack: &Stack, wanted: &[&str]) {
    let wanted: BTreeSet<String> = wanted.iter().map(|id| (*id).to_owned()).collect();
    eventually("the keys are published", || async {
        (published(stack).await == wanted).then_some(())
    })
    .await;
}

async fn signs_with(stack: &Stack, session: &LoggedIn, key: &str) -> LoggedIn {
    let next = std::sync::Mutex::new(session.clone());
    eventually("the new key signs", || async {
        let token = next.lock().unwrap().refresh.clone();
        let answer = stack.refresh(&token).await.expect(200);
        let session = stack.logged_in(&answer);
        next.lock().unwrap().clone_from(&session);
        (kid_of(&session) == key).then_some(session)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_published_before_it_signs_and_trusted_until_its_last_token_ends() {
    let (stack, clock) = Stack::still_now().await;
    stack.create_tenant("acme").await;
    let person = stack
        .person("rotates@example.com", &[("acme", Role::TenantViewer)])
        .await;
    let first = stack.log_in(&person, None).await;
    let old = kid_of(&first);
    let new = rotate(&stack, Rotation::Graceful).await.unwrap().id;
    publishes(&stack, &[&old, &new]).await;
    assert_eq!(kid_of(&stack.log_in(&person, None).await), old, "not yet");
    let twice = rotate(&stack, Rotation::Graceful).await;
    assert!(matches!(twice, Err(RotateError::UnderWay(_))), "{twice:?}");
    clock.advance(TimeDelta::minutes(10));
    let last = stack.log_in(&person, None).await;
    let next = signs_with(&stack, &last, &new).await;
    next.caller.get(JOBS).await.expect(200);
    // A token that the old key signed a moment before the change is good for its whole life.
    clock.advance(TimeDelta::seconds(890));
    publishes(&stack, &[&old, &new]).await;
    clock.advance(TimeDelta::seconds(20));
    publishes(&stack, &[&new]).await;
    last.caller.get(JOBS).await.problem(401, "auth.required");
    let after = stack.refresh(&next.refresh).await.expect(200);
    stack.logged_in(&after).caller.get(JOBS).await.expect(200);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_while_keys_rotate() {
    let (stack, clock) = Stack::still_now().await;
    stack.create_tenant("acme").await;
    let person = stack
        .person("busy@example.com", &[("acme", Role::TenantViewer)])
        .await;
    // Whoever moves the time holds it, so that no request is older than it looks.
    let session = tokio::sync::Mutex::new(stack.log_in(&person, None).await);
    let stop = tokio_util::sync::CancellationToken::new();
    let busy = async {
        let mut asked = 0_u32;
        while !stop.is_cancelled() {
            session.lock().await.caller.get(JOBS).await.expect(200);
            asked += 1;
        }
        asked
    };
    let rotations = async {
        for _ in 0..2 {
            let old = kid_of(&*session.lock().await);
            let new = rotate(&stack, Rotation::Graceful).await.unwrap().id;
            publishes(&stack, &[&old, &new]).await;
            let mut held = session.lock().await;
            clock.advance(TimeDelta::minutes(10));
            *held = signs_with(&stack, &held, &new).await;
            drop(held);
            let mut held = session.lock().await;
            clock.advance(TimeDelta::minutes(14));
            held.caller.get(JOBS).await.expect(200);
            let answer = stack.refresh(&held.refresh).await.expect(200);
            *held = stack.logged_in(&answer);
            clock.advance(TimeDelta::minutes(2));
            drop(held);
            publishes(&stack, &[&new]).await;
        }
        stop.cancel();
    };
    let (asked, ()) = tokio::join!(busy, rotations);
    assert!(asked > 10, "{asked} requests");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_key_is_withdrawn_at_once_and_sessions_go_on() {
    let (stack, _) = Stack::still_now().await;
    stack.create_tenant("acme").await;
    let person = stack
        .person("stolen@example.com", &[("acme", Role::TenantViewer)])
        .await;
    let session = stack.log_in(&person, None).await;
    session.caller.get(ME).await.expect(200);
    let new = rotate(&stack, Rotation::AtOnce).await.unwrap().id;
    publishes(&stack, &[&new]).await;
    eventually("the old key's token is refused", || async {
        (session.caller.get(ME).await.status == 401).then_some(())
    })
    .await;
    let next = signs_with(&stack, &session, &new).await;
    next.caller.get(ME).await.expect(200);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_key_is_nowhere_in_clear_and_a_row_of_somebody_elses_is_worth_nothing() {
    let (stack, clock) = Stack::still_now().await;
    let before = published(&stack).await;
    assert_eq!(before.len(), 1);
    // Written by somebody who has the database and not the secret key.
    let stranger = SealingKey::new(&Secret::new("some other secret key of 32 characters"));
    let mut tx = stack.database.issuer().begin().await.unwrap();
    rotate_signing_keys(&mut tx, &stranger, Rotation::Graceful, clock.now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    publishes(
        &stack,
        &before.iter().map(String::as_str).collect::<Vec<_>>(),
    )
    .await;
    // PKCS#8 of an Ed25519 key has these bytes before the key itself.
    let clear = stack
        .count(
            r"SELECT count(*) FROM signing_keys
              WHERE position('\x302e020100300506032b6570'::bytea IN sealed_key) > 0
                 OR position('\x3051020101300506032b6570'::bytea IN sealed_key) > 0",
        )
        .await;
    assert_eq!(clear, 0);
    stack.stop().await;
}
