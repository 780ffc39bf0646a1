//! The alert about a job that fails several times running.

use super::sample::{CUSTOMERS, REPORT, RuleTest, SHOP, SYNC, SampleLabels};
use super::{Rule, conditions};

const SUCCESS: &str = "batch_job_success";
const SUCCEEDED: &str = "batch_job_runs_total{outcome=\"success\"}";
const FAILED: &str = "batch_job_runs_total{outcome=\"failure\"}";
const TIMED_OUT: &str = "batch_job_runs_total{outcome=\"timeout\"}";
const SKIPPED: &str = "batch_job_runs_total{outcome=\"skipped\"}";

/// The alert about several failures in a row.
pub const NAME: &str = "BatchJobFailedRepeatedly";

/// The condition, after the value that it needs: how many runs had failed at the last success. A push says only how many
/// failed so far, and several runs may end between two scrapes.
pub fn conditions() -> [Rule; 3] {
    let at_last_success = Rule::recording(
        "batch_job:failed_runs:at_last_success",
        "How many runs of a group had failed by its last success: 0 as long as none succeeded; else as before while no\n\
         run succeeds; else the failures so far, without the run that failed since then.",
        "sum without (outcome) (batch_job_runs_total{outcome=\"success\"} == 0)\n\
         or\n\
         last_over_time(batch_job:failed_runs:at_last_success[1h])\n\
         \x20 <= sum without (outcome) (batch_job_runs_total{outcome!~\"success|skipped\"})\n\
         \x20 and sum without (outcome) (batch_job_runs_total{outcome=\"success\"})\n\
         \x20   == last_over_time(batch_job:succeeded_runs:before[1h])\n\
         or\n\
         sum without (outcome) (batch_job_runs_total{outcome!~\"success|skipped\"}) - (batch_job_success == bool 0)\n\
         or\n\
         sum without (outcome) (batch_job_runs_total{outcome!~\"success|skipped\"})",
    );
    let seen = Rule::recording(
        "batch_job:succeeded_runs:before",
        "What the next evaluation of batch_job:failed_runs:at_last_success compares with.",
        "sum without (outcome) (batch_job_runs_total{outcome=\"success\"})",
    );
    let condition = Rule::of_condition(
        conditions::FAILED_REPEATEDLY,
        "",
        "sum without (outcome) (batch_job_runs_total{outcome!~\"success|skipped\"})\n\
         \x20 - batch_job:failed_runs:at_last_success >= 3",
        &[],
    );
    [at_last_success, condition, seen]
}

pub fn failed_repeatedly(page: &str) -> Rule {
    let firing = |group: SampleLabels, job: &str, count: u32| {
        let summary = format!(" has failed {count} times running");
        let description = format!(
            "{count} runs of {job} have failed since its last success. See why: metricsjob history {job}"
        );
        group.alert("critical", &[], &summary, &description)
    };
    Rule::of_group(NAME, "critical", conditions::FAILED_REPEATEDLY, &[], page)
        .says(
            " has failed {{ $value }} times running",
            "{{ $value }} runs of {{ $labels.job }} have failed since its last success. \
         See why: metricsjob history {{ $labels.job }}",
        )
        .tested([
            RuleTest::new(
                "three failures of two kinds, then a success, with skipped runs between",
                [CUSTOMERS.series([
                    (SUCCESS, "1x9 0x29 1x20"),
                    (SUCCEEDED, "0+1x9 9x29 10x20"),
                    (FAILED, "0x9 1x9 2x40"),
                    (TIMED_OUT, "0x29 1x29"),
                    (SKIPPED, "0+1x60"),
                ])],
            )
            .silent("29m")
            .firing("31m", [firing(CUSTOMERS, "db_backup", 3)])
            .silent("45m"),
            RuleTest::new(
                "no run has ever succeeded",
                [SYNC.series([(SUCCESS, "0x60"), (SUCCEEDED, "0x60"), (FAILED, "0+1x60")])],
            )
            .silent("2m")
            .firing("5m", [firing(SYNC, "sync", 5)]),
            RuleTest::new(
                "successes that no scrape shows, because a failure follows at once",
                [
                    CUSTOMERS.series([
                        (SUCCESS, "0x60"),
                        (SUCCEEDED, "5+1x60"),
                        (FAILED, "5+1x60"),
                    ]),
                ],
            )
            .silent("3m")
            .silent("60m"),
            RuleTest::new(
                "a success that no scrape shows, and failures since then",
                [CUSTOMERS.series([
                    (SUCCESS, "1x10 0x50"),
                    (SUCCEEDED, "5x10 6x50"),
                    (FAILED, "5x10 6x10 7x10 8x30"),
                ])],
            )
            .silent("30m")
            .firing("40m", [firing(CUSTOMERS, "db_backup", 3)]),
            RuleTest::new(
                "counters that are older than what Prometheus knows, and that begin anew",
                [
                    SHOP.series([
                        (SUCCESS, "0x60"),
                        (SUCCEEDED, "100x60"),
                        (FAILED, "500x30 501x30"),
                    ]),
                    REPORT.series([
                        (SUCCESS, "1x10 0x50"),
                        (SUCCEEDED, "9x10 9x20 1x30"),
                        (FAILED, "9x10 10x20 2x30"),
                    ]),
                    CUSTOMERS.series([
                        (SUCCESS, "1x20 0x40"),
                        (SUCCEEDED, "5x60"),
                        (FAILED, "9x20 1x5 2x5 3x30"),
                    ]),
                ],
            )
            .silent("20m")
            .firing("50m", [firing(CUSTOMERS, "db_backup", 3)]),
            RuleTest::new(
                "Prometheus was away meanwhile",
                [CUSTOMERS.series([
                    (SUCCESS, "1x9 0x9 _x20 0x30"),
                    (SUCCEEDED, "4x9 4x9 _x20 4x30"),
                    (FAILED, "7x9 8x9 _x20 10x30"),
                ])],
            )
            .silent("15m")
            .firing("45m", [firing(CUSTOMERS, "db_backup", 3)]),
        ])
}
