//! The gate writes into apalis-redis' own ready list, so the crate's key layout is part of our
//! contract with it.

use apalis_redis::Config;

use crate::harness::{Stack, StackOptions};

#[tokio::test(flavor = "multi_thread")]
async fn our_names_of_the_ready_queues_keys_are_those_of_apalis_redis() {
    let options = StackOptions {
        workers: 0,
        ..StackOptions::default()
    };
    let stack = Stack::start_with(options).await;
    let ours = stack.gate.ready_queue("default");
    let theirs = Config::default().queue(&ours.name);
    assert_eq!(ours.active(), theirs.active_jobs_list());
    assert_eq!(ours.data(), theirs.job_data_hash());
    assert_eq!(ours.meta("x"), format!("{}:x", theirs.job_meta_hash()));
    assert_eq!(ours.workers(), theirs.workers_set());
    assert!(
        ours.inflight("w")
            .starts_with(&format!("{}:", theirs.inflight_jobs_set()))
    );
    stack.stop().await;
}
