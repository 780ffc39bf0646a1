//! The names that others build dashboards and alerts on: they stay as they are.

use crate::common::Sandbox;
use crate::common::own_gateway::OwnGateway;

/// Families that each run reports, without the prefix of its job.
const RUN: &str = "gauge attempts
gauge cpu_system_seconds
gauge cpu_user_seconds
gauge duration_seconds
gauge exit_code
gauge last_completion_timestamp_seconds
gauge max_rss_bytes
counter runs_total
gauge start_timestamp_seconds
gauge success";

/// Families that each run reports with the prefix `batch_job` too, whatever that of its job is.
const COMMON: &str = "gauge duration_seconds
gauge info
gauge last_completion_timestamp_seconds
counter runs_total
gauge success";

/// The types and names of the families that start with `prefix`, which a run leaves at a gateway.
fn left_by(line: &str, code: i32, prefix: &str) -> Vec<String> {
    let gateway = OwnGateway::alone(&[]);
    // Before what follows a command's `--`.
    let line = line.replacen(' ', &format!(" --gateway {} ", gateway.url()), 1);
    Sandbox::new().run(&line).code(code);
    let metrics = gateway.metrics();
    let types = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    // Those of `batch` are not those of all jobs.
    let types = types.filter(|(name, _)| prefix == "batch_job_" || !name.starts_with("batch_job_"));
    let mut families: Vec<String> = types
        .filter_map(|(name, kind)| Some(format!("{kind} {}", name.strip_prefix(prefix)?)))
        .collect();
    families.sort();
    families
}

fn expected(names: &str, more: &[&str]) -> Vec<String> {
    let lines = names.lines().chain(more.iter().copied());
    let mut lines: Vec<String> = lines.map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn a_backup() {
    let found = left_by("run backup", 0, "db_backup_");
    let more = [
        "gauge last_success_timestamp_seconds",
        "gauge records_processed",
    ];
    assert_eq!(found, expected(RUN, &more));
}

#[test]
fn of_all_jobs() {
    let success = "gauge last_success_timestamp_seconds";
    let found = left_by("run backup", 0, "batch_job_");
    let deadline = "gauge deadline_timestamp_seconds";
    assert_eq!(found, expected(COMMON, &[success, deadline]));
    let found = left_by("run random", 0, "batch_job_");
    assert_eq!(found, expected(COMMON, &[success]));
}

#[test]
fn random_outcomes() {
    let found = left_by("run random", 0, "batch_");
    let more = [
        "gauge last_success_timestamp_seconds",
        "counter count_total",
        "counter ok_count_total",
        "counter normal_count_total",
        "counter error_count_total",
    ];
    assert_eq!(found, expected(RUN, &more));
}

#[test]
fn a_command_that_fails() {
    let found = left_by("exec --job nightly -- false", 1, "batch_job_");
    assert_eq!(found, expected(RUN, &["gauge info"]));
}

#[test]
fn groups_and_methods() {
    for (name, method, group) in [
        ("backup", "POST", "db_backup"),
        ("random", "PUT", "my_batch_job"),
    ] {
        let gateway = OwnGateway::alone(&[]);
        let line = format!("run {name} --gateway {}", gateway.url());
        let url = format!("{}/metrics/job/{group}", gateway.url());
        let reported = format!("reported by {method} to {url}\n");
        Sandbox::new().run(&line).code(0).out(&reported);
    }
}
