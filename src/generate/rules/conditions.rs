//! Recorded conditions of groups, which alerts about [`jobs`](super::jobs) and about [`arrays`](super::arrays) are about.

use super::{Rule, repeated};
use crate::job::expectations::UNUSUAL;

pub const LATE: &str = "batch_job:late";
pub const FAILED: &str = "batch_job:failed";
pub const FAILED_REPEATEDLY: &str = "batch_job:failed_repeatedly";
pub const TAKES_TOO_LONG: &str = "batch_job:takes_too_long";
pub const EXPECTATION_NOT_MET: &str = "batch_job:expectation_not_met";
pub const UNUSUAL_VALUE: &str = "batch_job:unusual";
pub const PUSH_REJECTED: &str = "batch_job:push_rejected";

pub fn rules() -> Vec<Rule> {
    let late = Rule::of_condition(
        LATE,
        "The time by which the next success was due, with its grace, has passed. A deadline that the job sets itself may\n\
         stay as it is after a success.",
        "time() - batch_job_deadline_timestamp_seconds > 0\n\
         unless batch_job_last_success_timestamp_seconds >= batch_job_deadline_timestamp_seconds",
        &[],
    );
    let failed = Rule::of_condition(FAILED, "", "batch_job_success == 0", &[]);
    let [at_last_success, failed_repeatedly, seen] = repeated::conditions();
    let takes_too_long = Rule::of_condition(
        TAKES_TOO_LONG,
        "The last run; or one that is running, of a job that reports its start.",
        "batch_job_duration_seconds > batch_job_max_duration_seconds\n\
         or\n\
         time() - batch_job_start_timestamp_seconds > batch_job_max_duration_seconds and batch_job_running > 0",
        &[],
    );
    let expectation_not_met = Rule::of_condition(
        EXPECTATION_NOT_MET,
        "",
        "batch_job_expectation_met == 0",
        &["metric"],
    );
    let unusual = Rule::of_condition(
        UNUSUAL_VALUE,
        "",
        &format!("abs(batch_job_anomaly_score) > {UNUSUAL}"),
        &["metric"],
    );
    let push_rejected = Rule::recording(
        PUSH_REJECTED,
        "Of any gateway: one that has refused a push may be the one that is behind.",
        "max without (gateway_replica) (push_failure_time_seconds > push_time_seconds)",
    );
    vec![
        late,
        failed,
        at_last_success,
        failed_repeatedly,
        seen,
        takes_too_long,
        expectation_not_met,
        unusual,
        push_rejected,
    ]
}
