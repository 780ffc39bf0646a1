//! The jobs alone. With a gateway and a Prometheus they are tested together with the other programs.

use std::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_batch-job");

#[test]
fn without_a_gateway_the_jobs_run_all_the_same() {
    let output = Command::new(PROGRAM)
        .arg("http://127.0.0.1:1")
        .env("METRICSJOB_PUSH_DEADLINE", "1ms")
        .env_remove("METRICSJOB_METRICS")
        .output()
        .unwrap();
    assert!(output.status.success());
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.starts_with("backup of customers: Ok(42)\nbackup of producers: Ok(42)\n"));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("the report is not delivered"), "{stderr}");
}

#[test]
fn a_run_that_it_is_in_gets_its_metrics() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let output = Command::new(PROGRAM)
        .env("METRICSJOB_METRICS", file.path())
        .output()
        .unwrap();
    assert!(output.status.success());
    assert!(output.stderr.is_empty());
    let handed = std::fs::read_to_string(file.path()).unwrap();
    // Each of the three backups, and the outcomes several times while they are counted.
    let records = handed
        .lines()
        .filter(|line| *line == "db_backup_records_processed 42");
    assert_eq!(records.count(), 3);
    let counts: Vec<u32> = handed
        .lines()
        .filter_map(|line| line.strip_prefix("batch_count_total ")?.parse().ok())
        .collect();
    assert!(
        counts.is_sorted() && counts.len() > 2 && counts.last() == Some(&100),
        "{counts:?}"
    );
}
