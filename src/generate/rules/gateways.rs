//! Rules for several gateways that have the same groups, which Prometheus tells apart by the label `gateway_replica`.

use super::sample::{FiringAlert, RuleTest, SYNC, SampleLabels};
use super::{ALERTING_LABELS, Rule};

/// Recorded groups, as a gateway has them that another gateway is ahead of.
pub const OLDER: &str = "gateway:push_time_seconds:older";

/// Recorded severity, owner and runbook of jobs.
pub const ALERTING_INFO: &str = "batch_job:alerting_info";

/// Expression of [`OLDER`].
const IS_OLDER: &str = "push_time_seconds < ignoring (gateway_replica) group_left () max without (gateway_replica) (push_time_seconds)";

/// Expression whose value is the greatest of those that the gateways have.
pub fn greatest(expr: &str) -> String {
    let indented = expr.replace('\n', "\n  ");
    format!("max without (gateway_replica) (\n  {indented}\n)")
}

/// Expression of `condition` at the gateway with the newest push. `own` are labels of the condition that are not the
/// group's. For groups of rules that are evaluated apart from the one with [`OLDER`].
pub fn newest(condition: &str, own: &str) -> String {
    greatest(&format!(
        "{condition}\nunless ignoring ({own})\n({IS_OLDER})"
    ))
}

pub fn rules() -> Vec<Rule> {
    vec![
        Rule::recording(
            OLDER,
            "Groups for which another gateway has a newer push. A gateway that was down is behind until it has got what it\n\
             missed; what it shows meanwhile does not count.",
            IS_OLDER,
        ),
        Rule::recording(
            ALERTING_INFO,
            "Severity, owner and runbook: once for all gateways and all tasks of an array. While these differ, as most have them.",
            &format!(
                "group without () (\n  \
                   topk without ({ALERTING_LABELS}) (\n    \
                     1,\n    \
                     count without (gateway_replica, task) (\n      \
                       batch_job_alerting_info unless ignoring ({ALERTING_LABELS}) {OLDER}\n    \
                     )\n  )\n)"
            ),
        ),
    ]
}

/// A group with alerts of its own, at each of two gateways.
const AT_A: SampleLabels = SampleLabels {
    labels: &[
        ("job", "sync"),
        ("instance", "web1"),
        ("site", "berlin"),
        ("gateway_replica", "a"),
    ],
    ..SYNC
};

const AT_B: SampleLabels = SampleLabels {
    labels: &[
        ("job", "sync"),
        ("instance", "web1"),
        ("site", "berlin"),
        ("gateway_replica", "b"),
    ],
    ..SYNC
};

/// Tests of the alert about failures, which `firing` makes for the group.
pub fn failed_tests(firing: impl Fn(SampleLabels) -> FiringAlert) -> [RuleTest; 2] {
    let success = "batch_job_success";
    let pushed = "push_time_seconds";
    [
        RuleTest::new(
            "two gateways, each of which is down for a while during a failure",
            [
                AT_A.series([
                    (success, "1x9 0x9 stale _x8 0x30"),
                    (pushed, "60x9 660x9 stale _x8 660x30"),
                ]),
                AT_B.series([
                    (success, "1x9 0x29 stale _x8 0x10"),
                    (pushed, "60x9 660x29 stale _x8 660x10"),
                ]),
            ],
        )
        .silent("5m")
        .firing("15m", [firing(SYNC)])
        .firing("20m", [firing(SYNC)])
        .firing("25m", [firing(SYNC)])
        .firing("35m", [firing(SYNC)])
        .firing("45m", [firing(SYNC)])
        .firing("55m", [firing(SYNC)]),
        RuleTest::new(
            "one gateway was down and does not know of a failure, later the other one not of a success",
            [
                AT_A.series([
                    (success, "1x4 stale _x9 1x9 0x14 1x20"),
                    (pushed, "60x4 stale _x9 60x9 960x14 2460x20"),
                ]),
                AT_B.series([
                    (success, "1x9 0x19 stale _x9 0x20"),
                    (pushed, "61x9 660x19 stale _x9 660x20"),
                ]),
            ],
        )
        .silent("8m")
        .firing("12m", [firing(SYNC)])
        .firing("20m", [firing(SYNC)])
        .firing("33m", [firing(SYNC)])
        .silent("45m"),
    ]
}

/// Tests of the alert about refused pushes, which `firing` makes for the group.
pub fn rejected_tests(firing: impl Fn(SampleLabels) -> FiringAlert) -> [RuleTest; 1] {
    let good = "push_time_seconds";
    let bad = "push_failure_time_seconds";
    [RuleTest::new(
        "one of two gateways has refused a push, later both",
        [
            AT_A.series([(good, "60x30"), (bad, "0x9 120x20")]),
            AT_B.series([(good, "60x9 119x20"), (bad, "0x19 120x10")]),
        ],
    )
    .silent("5m")
    .firing("15m", [firing(SYNC)])
    .firing("25m", [firing(SYNC)])]
}
