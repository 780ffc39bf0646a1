//! Alerts about the reports of jobs.

use super::sample::{CUSTOMERS, REPORT, RuleTest, SHOP, SYNC, SampleLabels};
use super::{Rule, conditions, gateways, repeated};

/// The alert about a success that is due.
pub const LATE: &str = "BatchJobLate";
/// The alert about a run that failed.
pub const FAILED: &str = "BatchJobFailed";
pub const TAKES_TOO_LONG: &str = "BatchJobTakesTooLong";
pub const EXPECTATION_NOT_MET: &str = "BatchJobExpectationNotMet";
pub const UNUSUAL_VALUE: &str = "BatchJobUnusual";
pub const PUSH_REJECTED: &str = "BatchJobPushRejected";

const DEADLINE: &str = "batch_job_deadline_timestamp_seconds";
const SUCCESS: &str = "batch_job_success";
const LAST_SUCCESS: &str = "batch_job_last_success_timestamp_seconds";

/// The rules that serve all jobs.
pub fn rules(page: &str) -> Vec<Rule> {
    vec![
        late(page),
        failed(page),
        repeated::failed_repeatedly(page),
        takes_too_long(page),
        expectation_not_met(page),
        unusual(page),
        push_rejected(page),
    ]
}

fn late(page: &str) -> Rule {
    let firing = |group: SampleLabels, job: &str, ago: &str| {
        let description = format!(
            "A success of {job} was due {ago} ago, and there was none. See its runs: metricsjob history {job}"
        );
        group.alert("warning", &[], " is late", &description)
    };
    Rule::of_group(LATE, "warning", conditions::LATE, &[], page)
    .after("1m")
    .says(
        " is late",
        "A success of {{ $labels.job }} was due {{ $value | humanizeDuration }} ago, and there was none. \
         See its runs: metricsjob history {{ $labels.job }}",
    )
    .tested([RuleTest::new(
        "deadlines pass, with and without a success",
        [
            CUSTOMERS.series([(DEADLINE, "3600x180"), (LAST_SUCCESS, "0x180")]),
            SYNC.series([(DEADLINE, "3600x180"), (LAST_SUCCESS, "0x180")]),
            // A success in time, and one after a deadline that stays.
            SHOP.series([
                (DEADLINE, "3600x50 7200x130"),
                (LAST_SUCCESS, "0x50 3000x130"),
            ]),
            REPORT.series([(DEADLINE, "3600x180"), (LAST_SUCCESS, "0x70 4200x110")]),
        ],
    )
    .silent("60m")
    .firing(
        "65m",
        [
            firing(CUSTOMERS, "db_backup", "5m 0s"),
            firing(SYNC, "sync", "5m 0s"),
            firing(REPORT, "report", "5m 0s"),
        ],
    )
    .firing(
        "2h",
        [
            firing(CUSTOMERS, "db_backup", "1h 0m 0s"),
            firing(SYNC, "sync", "1h 0m 0s"),
        ],
    )])
}

fn failed(page: &str) -> Rule {
    let firing = |group: SampleLabels, job: &str| {
        let description = format!(
            "The last run of {job} did not succeed: {SUCCESS} is 0. See why: metricsjob history {job}"
        );
        group.alert("warning", &[], " failed", &description)
    };
    Rule::of_group(FAILED, "warning", conditions::FAILED, &[], page)
        .says(
            " failed",
            "The last run of {{ $labels.job }} did not succeed: batch_job_success is {{ $value }}. \
         See why: metricsjob history {{ $labels.job }}",
        )
        .tested([RuleTest::new(
            "last runs that failed and that succeeded",
            [
                CUSTOMERS.series([(SUCCESS, "1x10 0x10 1x10")]),
                SYNC.series([(SUCCESS, "0x30")]),
                SHOP.series([(SUCCESS, "1x30")]),
            ],
        )
        .firing("10m", [firing(SYNC, "sync")])
        .firing(
            "15m",
            [firing(CUSTOMERS, "db_backup"), firing(SYNC, "sync")],
        )
        .firing("25m", [firing(SYNC, "sync")])])
        .tested(gateways::failed_tests(|group| firing(group, "sync")))
}

fn takes_too_long(page: &str) -> Rule {
    let duration = "batch_job_duration_seconds";
    let most = "batch_job_max_duration_seconds";
    let firing = |group: SampleLabels, job: &str, time: &str| {
        let description = format!(
            "A run of {job} took {time}, which is more than its max_duration. See its runs: metricsjob history {job} --stats"
        );
        group.alert("warning", &[], " takes too long", &description)
    };
    Rule::of_group(
        TAKES_TOO_LONG,
        "warning",
        conditions::TAKES_TOO_LONG,
        &[],
        page,
    )
    .says(
        " takes too long",
        "A run of {{ $labels.job }} took {{ $value | humanizeDuration }}, which is more than its max_duration. \
         See its runs: metricsjob history {{ $labels.job }} --stats",
    )
    .tested([RuleTest::new(
        "runs that ended and that are running",
        [
            CUSTOMERS.series([(duration, "60x10 700x50"), (most, "600x60")]),
            SHOP.series([(duration, "599x60"), (most, "600x60")]),
            REPORT.series([(duration, "700x60")]),
            SYNC.series([
                (duration, "60x60"),
                (most, "600x60"),
                ("batch_job_start_timestamp_seconds", "0x20 1200x40"),
                ("batch_job_running", "0x20 1x20 0x20"),
            ]),
        ],
    )
    .silent("5m")
    .firing("15m", [firing(CUSTOMERS, "db_backup", "11m 40s")])
    .firing(
        "35m",
        [
            firing(CUSTOMERS, "db_backup", "11m 40s"),
            firing(SYNC, "sync", "15m 0s"),
        ],
    )
    .firing("50m", [firing(CUSTOMERS, "db_backup", "11m 40s")])])
}

fn expectation_not_met(page: &str) -> Rule {
    let rows = "batch_job_expectation_met{metric=\"rows\"}";
    let bytes = "batch_job_expectation_met{metric=\"bytes\"}";
    let firing = |group: SampleLabels, job: &str, metric: &str| {
        let summary = format!(": {metric} is not as expected");
        let description = format!(
            "The last run of {job} did not report what its job file expects of {metric}: batch_job_expectation_met is 0. \
             See its metrics: metricsjob history {job}"
        );
        group.alert("warning", &[("metric", metric)], &summary, &description)
    };
    Rule::of_group(
        EXPECTATION_NOT_MET,
        "warning",
        conditions::EXPECTATION_NOT_MET,
        &["metric"],
        page,
    )
    .says(
        ": {{ $labels.metric }} is not as expected",
        "The last run of {{ $labels.job }} did not report what its job file expects of {{ $labels.metric }}: \
         batch_job_expectation_met is {{ $value }}. See its metrics: metricsjob history {{ $labels.job }}",
    )
    .tested([RuleTest::new(
        "several expectations of a group",
        [
            CUSTOMERS.series([(rows, "1x10 0x10"), (bytes, "1x20")]),
            SYNC.series([(rows, "1x10 0x10"), (bytes, "1x10 0x10")]),
        ],
    )
    .silent("10m")
    .firing(
        "15m",
        [
            firing(CUSTOMERS, "db_backup", "rows"),
            firing(SYNC, "sync", "rows"),
            firing(SYNC, "sync", "bytes"),
        ],
    )])
}

fn unusual(page: &str) -> Rule {
    let duration = "batch_job_anomaly_score{metric=\"duration_seconds\"}";
    let rows = "batch_job_anomaly_score{metric=\"rows\"}";
    let firing = |group: SampleLabels, job: &str, metric: &str, score: &str| {
        let summary = format!(": {metric} is unusual");
        let description = format!(
            "In its last success, {metric} of {job} was far from what it was in those before: its score is {score}. \
             See its runs: metricsjob history {job} --stats"
        );
        let mut alert = group.alert("info", &[("metric", metric)], &summary, &description);
        alert.labels.insert("severity", "info");
        alert
    };
    Rule::of_group(
        UNUSUAL_VALUE,
        "info",
        conditions::UNUSUAL_VALUE,
        &["metric"],
        page,
    )
    .always("info")
    .says(
        ": {{ $labels.metric }} is unusual",
        "In its last success, {{ $labels.metric }} of {{ $labels.job }} was far from what it was in those before: \
         its score is {{ $value | printf \"%.1f\" }}. See its runs: metricsjob history {{ $labels.job }} --stats",
    )
    .tested([RuleTest::new(
        "scores on both sides",
        [
            CUSTOMERS.series([(duration, "0x10 7.25x10 0x10"), (rows, "3.5x30")]),
            SYNC.series([(rows, "0x10 -4x10 0x10")]),
        ],
    )
    .silent("10m")
    .firing(
        "15m",
        [
            firing(CUSTOMERS, "db_backup", "duration_seconds", "7.2"),
            firing(SYNC, "sync", "rows", "4.0"),
        ],
    )
    .silent("25m")])
}

fn push_rejected(page: &str) -> Rule {
    let firing = |group: SampleLabels, job: &str, time: &str| {
        let description = format!(
            "The gateway refused the last push to this group of {job}, at {time}: what it shows is older. \
             See why: metricsjob outbox list"
        );
        group.alert("warning", &[], ": its push was refused", &description)
    };
    let good = "push_time_seconds";
    let bad = "push_failure_time_seconds";
    Rule::of_group(
        PUSH_REJECTED,
        "warning",
        conditions::PUSH_REJECTED,
        &[],
        page,
    )
    .says(
        ": its push was refused",
        "The gateway refused the last push to this group of {{ $labels.job }}, at {{ $value | humanizeTimestamp }}: \
         what it shows is older. See why: metricsjob outbox list",
    )
    .tested([RuleTest::new(
        "the last push was refused, or an earlier one",
        [
            CUSTOMERS.series([(good, "60x30"), (bad, "0x10 120x20")]),
            SYNC.series([(good, "0x20 180x10"), (bad, "120x30")]),
            SHOP.series([(good, "180x30"), (bad, "120x30")]),
        ],
    )
    .firing("10m", [firing(SYNC, "sync", "1970-01-01 00:02:00 +0000 UTC")])
    .firing(
        "15m",
        [
            firing(SYNC, "sync", "1970-01-01 00:02:00 +0000 UTC"),
            firing(CUSTOMERS, "db_backup", "1970-01-01 00:02:00 +0000 UTC"),
        ],
    )
    .firing(
        "25m",
        [firing(CUSTOMERS, "db_backup", "1970-01-01 00:02:00 +0000 UTC")],
    )])
    .tested(gateways::rejected_tests(|group| {
        firing(group, "sync", "1970-01-01 00:02:00 +0000 UTC")
    }))
}
