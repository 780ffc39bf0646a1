//! Alerts about error budgets: the share of runs that may fail, by the job's `slo`.

use super::Rule;
use super::sample::{CUSTOMERS, REPORT, RuleTest, SHOP, SYNC, SampleLabels};

const SUCCEEDED: &str = "batch_job_runs_total{outcome=\"success\"}";
const FAILED: &str = "batch_job_runs_total{outcome=\"failure\"}";
const SKIPPED: &str = "batch_job_runs_total{outcome=\"skipped\"}";
const SLO: &str = "batch_job_slo_ratio";

/// The recorded failures and shares of failures, and the alerts.
pub fn rules(page: &str) -> Vec<Rule> {
    vec![
        Rule::recording(
            "batch_job:failed_runs:increase1h",
            "Runs that failed in a window, looked at in steps: so it costs little, however short the scrape interval is.",
            &failures("1h:1m"),
        ),
        Rule::recording("batch_job:failed_runs:increase6h", "", &failures("6h:1m")),
        Rule::recording("batch_job:failed_runs:increase3d", "", &failures("3d:30m")),
        Rule::recording(
            "batch_job:failed_runs:ratio6h",
            "The share of runs that failed, of those that were not skipped.",
            &format!(
                "batch_job:failed_runs:increase6h\n  / {}",
                increase("outcome!=\"skipped\"", "6h:1m")
            ),
        ),
        Rule::recording(
            "batch_job:failed_runs:ratio3d",
            "",
            &format!(
                "batch_job:failed_runs:increase3d\n  / {}",
                increase("outcome!=\"skipped\"", "3d:30m")
            ),
        ),
        fast(page),
        slow(page),
    ]
}

/// Increase of the counters of runs in a window, over all tasks of a job array: a job has one budget. Of two gateways the
/// one that has more counts, since the other one is behind.
fn increase(matcher: &str, window: &str) -> String {
    format!(
        "max without (gateway_replica) (sum without (outcome, task) (increase(batch_job_runs_total{{{matcher}}}[{window}])))"
    )
}

fn failures(window: &str) -> String {
    increase("outcome!~\"success|skipped\"", window)
}

fn fast(page: &str) -> Rule {
    let firing = |group: SampleLabels, job: &str, burn: &str| {
        let summary = format!(" burns its error budget {burn} times too fast");
        let description = format!(
            "In the last 6 hours {job} failed {burn} times as often as its slo allows. See its runs: metricsjob history {job}"
        );
        group.alert("critical", &[], &summary, &description)
    };
    Rule::of_job(
        "BatchJobBudgetBurnsFast",
        "In 6 hours it uses up what 36 hours may, and it goes on failing. One or two failures are no trend.",
        "critical",
        "batch_job:failed_runs:ratio6h / (1 - max without (gateway_replica, task) (batch_job_slo_ratio)) > 6\n\
         and batch_job:failed_runs:increase6h >= 3\n\
         and batch_job:failed_runs:increase1h > 0",
        &[],
        page,
    )
    .says(
        " burns its error budget {{ $value | printf \"%.0f\" }} times too fast",
        "In the last 6 hours {{ $labels.job }} failed {{ $value | printf \"%.0f\" }} times as often as its slo allows. \
         See its runs: metricsjob history {{ $labels.job }}",
    )
    .tested([RuleTest::new(
        "a tenth of the runs fails, for a while",
        [
            CUSTOMERS.series([(SLO, "0.99x600"), (SUCCEEDED, "0+0.9x400 360+1x200"), (FAILED, "0+0.1x400 40x200")]),
            SYNC.series([(SLO, "0.99x600"), (SUCCEEDED, "0+0.9x600"), (FAILED, "0+0.1x600"), (SKIPPED, "0+9x600")]),
            // Within the budget, without one, and with too few failures.
            SHOP.series([(SLO, "0.8x600"), (SUCCEEDED, "0+0.9x600"), (FAILED, "0+0.1x600")]),
            REPORT.series([(SUCCEEDED, "0+0.9x600"), (FAILED, "0+0.1x600")]),
        ],
    )
    .silent("20m")
    .firing("6h30m", [firing(CUSTOMERS, "db_backup", "10"), firing(SYNC, "sync", "10")])
    .firing("9h", [firing(SYNC, "sync", "10")]),
    RuleTest::new(
        "two failures are no trend",
        [
            SHOP.series([(SLO, "0.99x600"), (SUCCEEDED, "0x600"), (FAILED, "0x100 1x10 2x490")]),
        ],
    )
    .silent("2h"),
    RuleTest::new(
        "not one run may fail",
        [
            SHOP.series([(SLO, "1x600"), (SUCCEEDED, "0+1x600"), (FAILED, "0x100 1 2 3x498")]),
            REPORT.series([(SLO, "1x600"), (SUCCEEDED, "0+1x600"), (FAILED, "0x600")]),
        ],
    )
    .firing("2h", [firing(SHOP, "db_backup", "+Inf")])])
}

fn slow(page: &str) -> Rule {
    let firing = |group: SampleLabels, job: &str, burn: &str| {
        let description = format!(
            "In the last 3 days {job} failed {burn} times as often as its slo allows. See its runs: metricsjob history {job}"
        );
        group.alert(
            "warning",
            &[],
            " burns its error budget too fast",
            &description,
        )
    };
    Rule::of_job(
        "BatchJobBudgetBurns",
        "In 3 days it uses up more than 3 days may, and it goes on failing.",
        "warning",
        "batch_job:failed_runs:ratio3d / (1 - max without (gateway_replica, task) (batch_job_slo_ratio)) > 1\n\
         and batch_job:failed_runs:increase3d >= 3\n\
         and batch_job:failed_runs:increase6h > 0",
        &[],
        page,
    )
    .says(
        " burns its error budget too fast",
        "In the last 3 days {{ $labels.job }} failed {{ $value | printf \"%.1f\" }} times as often as its slo allows. \
         See its runs: metricsjob history {{ $labels.job }}",
    )
    .tested([RuleTest::new(
        "one of 25 runs fails, for a while",
        [
            CUSTOMERS.series([(SLO, "0.99x800"), (SUCCEEDED, "0+0.96x300 288+1x500"), (FAILED, "0+0.04x300 12x500")]),
            SYNC.series([(SLO, "0.99x800"), (SUCCEEDED, "0+0.96x800"), (FAILED, "0+0.04x800")]),
            SHOP.series([(SLO, "0.95x800"), (SUCCEEDED, "0+0.96x800"), (FAILED, "0+0.04x800")]),
            REPORT.series([(SUCCEEDED, "0+0.96x800"), (FAILED, "0+0.04x800")]),
        ],
    )
    .silent("1h")
    .firing("5h", [firing(CUSTOMERS, "db_backup", "4.0"), firing(SYNC, "sync", "4.0")])
    .firing("12h", [firing(SYNC, "sync", "4.0")])])
}
