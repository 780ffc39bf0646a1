//! Retries: several attempts, one run.

use std::time::{Duration, Instant};

use crate::common::Sandbox;

const THIRD_TIME: &str = "echo x >>tries; [ $(wc -l <tries) -ge 3 ] || exit 9";

#[test]
fn the_third_attempt_succeeds() {
    let sandbox = Sandbox::new();
    let run = sandbox.exec("--job r --retries 5 --backoff 10ms..20ms", THIRD_TIME);
    run.code(0)
        .err("warning: r: attempt 1 of 6: failure (exit code 9); the next one follows in ")
        .err("warning: r: attempt 2 of 6: ");
    assert!(!run.stderr().contains("attempt 3"));
    assert_eq!(sandbox.value("r", "batch_job_attempts"), Some(3.0));
    assert_eq!(sandbox.value("r", "batch_job_exit_code"), Some(0.0));
    let total = r#"batch_job_runs_total{outcome="success"}"#;
    assert_eq!(sandbox.value("r", total), Some(1.0));
    assert_eq!(sandbox.history()[0]["attempts"], 3);
}

#[test]
fn the_last_attempt_decides() {
    let sandbox = Sandbox::new();
    sandbox
        .exec("--retries 1 --backoff 1ms", THIRD_TIME)
        .code(9);
    assert_eq!(sandbox.history()[0]["attempts"], 2);
    // Those that cannot be started are tried again too: the file may be on its way.
    let run = sandbox.run("exec --retries 2 --backoff 1ms --output json -- ./missing");
    assert_eq!(run.code(127).result()["attempts"], 3);
}

#[test]
fn the_wait_is_part_of_the_run() {
    let sandbox = Sandbox::new();
    let start = Instant::now();
    let run = sandbox.exec("--retries 2 --backoff 400ms --output json", "exit 1");
    // At least a half of it, twice.
    assert!(start.elapsed() >= Duration::from_millis(400));
    assert!(run.code(1).result()["duration_seconds"].as_f64().unwrap() >= 0.4);
}

#[test]
fn usage_is_the_sum_of_all_attempts() {
    let sandbox = Sandbox::new();
    let busy = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; exit 1";
    let cpu = |retries: u32| {
        let options = format!("--retries {retries} --backoff 1ms --output json");
        let run = sandbox.exec(&options, busy);
        run.code(1).result()["cpu_user_seconds"].as_f64().unwrap()
    };
    assert!(cpu(3) > 2.0 * cpu(0));
}

#[test]
fn a_built_in_is_tried_again_from_its_beginning() {
    let sandbox = Sandbox::new();
    let line = "run backup --set duration=0s --set failure-rate=1 --retries 2 --backoff 1ms";
    sandbox.run(line).code(1).err("attempt 2 of 3");
    assert_eq!(sandbox.value("db_backup", "db_backup_attempts"), Some(3.0));
}
