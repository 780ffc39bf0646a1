//! `run random`: counters of random outcomes.

use std::time::{Duration, Instant};

use crate::common::{Sandbox, TestGateway, of_job};

on_each_gateway!(
    the_counters_sum_up_to_the_iterations,
    a_seed_repeats_the_outcomes
);

/// All, ok, normal, error.
fn counters(gateway: &TestGateway) -> [f64; 4] {
    let samples = gateway.samples();
    [
        "count_total",
        "ok_count_total",
        "normal_count_total",
        "error_count_total",
    ]
    .map(|name| samples[&of_job("my_batch_job", &format!("batch_{name}"))])
}

fn the_counters_sum_up_to_the_iterations(gateway: &TestGateway) {
    let start = Instant::now();
    gateway
        .run("run random")
        .code(0)
        .out("random: success in ")
        .out("batch_count_total 100");
    // 100 iterations, 10 ms apart.
    assert!(start.elapsed() >= Duration::from_secs(1));
    let [all, ok, normal, error] = counters(gateway);
    assert_eq!((all, ok + normal + error), (100.0, 100.0));
    let duration = gateway.value("my_batch_job", "batch_duration_seconds");
    assert!(duration.unwrap() >= 1.0);
}

fn a_seed_repeats_the_outcomes(gateway: &TestGateway) {
    let run = |seed: u32| {
        let line = format!("run random --set interval=0s --set iterations=3000 --set seed={seed}");
        gateway.run(&line).code(0);
        counters(gateway)
    };
    let (first, again, other) = (run(1), run(1), run(2));
    assert_eq!(first, again);
    assert_ne!(first, other);
    // Equally likely: a third of 3000 give or take seven standard deviations, about 180.
    assert!(
        first[1..]
            .iter()
            .all(|count| (820.0..1180.0).contains(count)),
        "{first:?}"
    );
}

#[test]
fn no_iterations_at_all() {
    let sandbox = Sandbox::new();
    sandbox
        .run("run random --set iterations=0")
        .code(0)
        .out("batch_count_total 0");
}
