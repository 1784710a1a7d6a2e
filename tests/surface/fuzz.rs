//! Requests that are made from the document by rule and by chance.

mod boundaries;
mod fields;
mod ground;
mod random;
mod raw;
mod requests;
mod verdicts;

use std::time::{Duration, Instant};

use futures::StreamExt;
use reqwest::{Client, redirect::Policy};

use self::{
    ground::{Ground, in_order},
    random::Random,
    requests::Request,
    verdicts::Findings,
};
use super::operations::operations;

/// How many requests, and which.
struct Settings {
    seed: u64,
    /// Requests to each operation by each caller whom it lets in.
    cases: usize,
}

const SEED: u64 = 20_260_105;
const CASES: usize = 30;
/// Whoever is not let in is refused before anything else is looked at.
const CASES_OF_STRANGERS: usize = 5;
/// Requests under way at once.
const AT_ONCE: usize = 16;

impl Settings {
    fn read() -> Self {
        let number = |name: &str| {
            let text = std::env::var(name).ok()?;
            Some(
                text.parse()
                    .unwrap_or_else(|_| panic!("{name} is no number")),
            )
        };
        Self {
            seed: number("UNITY_FUZZ_SEED").unwrap_or(SEED),
            cases: number("UNITY_FUZZ_CASES")
                .map_or(CASES, |cases| usize::try_from(cases).unwrap()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_answered_otherwise_than_the_document_says() {
    let Settings { seed, cases } = Settings::read();
    println!("UNITY_FUZZ_SEED={seed} UNITY_FUZZ_CASES={cases}");
    let started = Instant::now();
    let mut random = Random::new(seed);
    let ground = Ground::prepare().await;
    let client = Client::builder().redirect(Policy::none()).build().unwrap();
    let mut findings = Findings::default();
    for operation in in_order(operations(&ground.stack).await) {
        for (role, caller, is_let_in) in ground.callers(&operation) {
            let path = ground.path(&operation, role).await;
            let all = requests::of(&ground, &operation, &path, &mut random);
            let count = if is_let_in { cases } else { CASES_OF_STRANGERS };
            // What is right is asked first, and again when all else was.
            let right = [Request::right(&ground, &operation, &path)];
            let wrong = random.some_of(all, count);
            let requests = right.clone().into_iter().chain(wrong).chain(right);
            let answers = futures::stream::iter(requests).map(|request| {
                let (client, caller, method) = (&client, &caller, operation.method.clone());
                async move { (request.send(client, caller, method).await, request) }
            });
            let mut answers = answers.buffer_unordered(AT_ONCE);
            while let Some((answer, request)) = answers.next().await {
                findings.judge(
                    &ground.document,
                    &operation,
                    role,
                    &request,
                    answer.as_ref(),
                );
            }
        }
    }
    println!("{} requests in {:?}", findings.judged, started.elapsed());
    findings.assert_none();
    assert!(findings.judged > 2_000, "{}", findings.judged);
    if cases == CASES {
        assert!(
            started.elapsed() < Duration::from_mins(2),
            "{:?}",
            started.elapsed()
        );
    }
    ground.stack.stop().await;
}
