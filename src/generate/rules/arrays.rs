//! Alerts about job arrays: one for all tasks in the same state, which differ in the label `task` alone.

use super::jobs::{
    EXPECTATION_NOT_MET, FAILED, LATE, PUSH_REJECTED, TAKES_TOO_LONG, UNUSUAL_VALUE,
};
use super::sample::{CUSTOMERS, FiringAlert, RuleTest, SampleLabels};
use super::{Rule, conditions, repeated};

/// Template of how many tasks an alert is about.
const TASKS: &str = "{{ $value }} {{ if eq $value 1.0 }}task{{ else }}tasks{{ end }}";

/// An array of a job that says who its alerts are for, without its label `task`.
const TRAIN: SampleLabels = SampleLabels {
    labels: &[("job", "train"), ("instance", ""), ("site", "berlin")],
    alerting: Some(["page", "ml", "https://wiki.example/train"]),
};

const TRAIN_0: SampleLabels = SampleLabels {
    labels: &[
        ("job", "train"),
        ("instance", ""),
        ("site", "berlin"),
        ("task", "0"),
    ],
    ..TRAIN
};

const TRAIN_1: SampleLabels = SampleLabels {
    labels: &[
        ("job", "train"),
        ("instance", ""),
        ("site", "berlin"),
        ("task", "1"),
    ],
    ..TRAIN
};

/// A task whose severity is another one, since its host has other settings.
const TRAIN_2: SampleLabels = SampleLabels {
    labels: &[
        ("job", "train"),
        ("instance", ""),
        ("site", "berlin"),
        ("task", "2"),
    ],
    alerting: Some(["warning", "ml", "https://wiki.example/train"]),
};

/// A task of another array.
const SYNC_7: SampleLabels = SampleLabels {
    labels: &[("job", "sync"), ("task", "7")],
    alerting: None,
};

const SYNC: SampleLabels = SampleLabels {
    labels: &[("job", "sync")],
    alerting: None,
};

pub fn rules(page: &str) -> Vec<Rule> {
    vec![
        late(page),
        failed(page),
        failed_repeatedly(page),
        takes_too_long(page),
        expectation_not_met(page),
        unusual(page),
        push_rejected(page),
    ]
}

/// The texts of an alert: the summary after the labels, and what is so of the tasks that `recorded` names.
fn says(rule: Rule, summary: &str, what: &str, recorded: &str) -> Rule {
    rule.says(
        summary,
        &format!(
            "{what} Prometheus knows which: {recorded}{{job={{{{ printf \"%q\" $labels.job }}}}}}"
        ),
    )
}

/// An alert about tasks of `array`, as [`says`] has its texts.
fn firing(
    array: SampleLabels,
    severity: &str,
    own: &[(&str, &str)],
    summary: &str,
    what: &str,
    recorded: &str,
) -> FiringAlert {
    let job = array.labels[0].1;
    let description = format!("{what} Prometheus knows which: {recorded}{{job=\"{job}\"}}");
    array.alert_of_tasks(severity, own, summary, &description)
}

fn late(page: &str) -> Rule {
    let deadline = "batch_job_deadline_timestamp_seconds";
    let success = "batch_job_success";
    let firing = |array, count, job| {
        let summary = format!(": {count} late");
        let what = format!("A success of {count} of {job} was due, and there was none.");
        firing(array, "warning", &[], &summary, &what, conditions::LATE)
    };
    let rule = Rule::of_tasks(
        LATE,
        "Each task has to succeed in time. The alert about tasks that failed counts those that are late for this reason.",
        "warning",
        &format!("({} unless {})", conditions::LATE, conditions::FAILED),
        &[],
        page,
    )
    .after("1m");
    says(
        rule,
        &format!(": {TASKS} late"),
        &format!("A success of {TASKS} of {{{{ $labels.job }}}} was due, and there was none."),
        conditions::LATE,
    )
    .tested([RuleTest::new(
        "the tasks of one array are late one after the other, and one failed; of the other array one task is late",
        [
            TRAIN_0.series([(deadline, "3600x180")]),
            TRAIN_1.series([(deadline, "7200x180")]),
            TRAIN_2.series([(deadline, "3600x180"), (success, "0x180")]),
            SYNC_7.series([(deadline, "7200x180")]),
            CUSTOMERS.series([(deadline, "99999x180")]),
        ],
    )
    .silent("60m")
    .firing("65m", [firing(TRAIN, "1 task", "train")])
    .firing(
        "130m",
        [
            firing(TRAIN, "2 tasks", "train"),
            firing(SYNC, "1 task", "sync"),
        ],
    )])
}

fn failed(page: &str) -> Rule {
    let success = "batch_job_success";
    let firing = |array, count, job| {
        let summary = format!(": {count} failed");
        let what = format!("The last run of {count} of {job} did not succeed.");
        firing(array, "warning", &[], &summary, &what, conditions::FAILED)
    };
    let rule = Rule::of_tasks(FAILED, "", "warning", conditions::FAILED, &[], page);
    says(
        rule,
        &format!(": {TASKS} failed"),
        &format!("The last run of {TASKS} of {{{{ $labels.job }}}} did not succeed."),
        conditions::FAILED,
    )
    .tested([RuleTest::new(
        "one task fails, then all, beside a job without tasks",
        [
            TRAIN_0.series([(success, "1x10 0x10 1x10")]),
            TRAIN_1.series([(success, "0x30")]),
            TRAIN_2.series([(success, "1x10 0x10 1x10")]),
            SYNC_7.series([(success, "1x10 0x10 1x10")]),
            SYNC.series([(success, "0x30")]),
        ],
    )
    .firing(
        "5m",
        [firing(TRAIN, "1 task", "train"), failed_alone(SYNC, "sync")],
    )
    .firing(
        "15m",
        [
            firing(TRAIN, "3 tasks", "train"),
            firing(SYNC, "1 task", "sync"),
            failed_alone(SYNC, "sync"),
        ],
    )])
}

/// The alert about a group without tasks, of the same name.
fn failed_alone(group: SampleLabels, job: &str) -> FiringAlert {
    let description = format!(
        "The last run of {job} did not succeed: batch_job_success is 0. See why: metricsjob history {job}"
    );
    group.alert("warning", &[], " failed", &description)
}

fn failed_repeatedly(page: &str) -> Rule {
    let success = "batch_job_success";
    let succeeded = "batch_job_runs_total{outcome=\"success\"}";
    let failed = "batch_job_runs_total{outcome=\"failure\"}";
    let recorded = conditions::FAILED_REPEATEDLY;
    let rule = Rule::of_tasks(repeated::NAME, "", "critical", recorded, &[], page);
    says(
        rule,
        &format!(": {TASKS} failed several times running"),
        &format!(
            "Three runs or more of {TASKS} of {{{{ $labels.job }}}} have failed since the last success."
        ),
        recorded,
    )
    .tested([RuleTest::new(
        "two of three tasks fail again and again",
        [
            TRAIN_0.series([(success, "0x30"), (succeeded, "0x30"), (failed, "0+1x30")]),
            TRAIN_1.series([(success, "0x30"), (succeeded, "0x30"), (failed, "0+1x30")]),
            TRAIN_2.series([(success, "1x30"), (succeeded, "0+1x30"), (failed, "0x30")]),
        ],
    )
    .silent("2m")
    .firing(
        "5m",
        [firing(
            TRAIN,
            "critical",
            &[],
            ": 2 tasks failed several times running",
            "Three runs or more of 2 tasks of train have failed since the last success.",
            recorded,
        )],
    )])
}

fn takes_too_long(page: &str) -> Rule {
    let duration = "batch_job_duration_seconds";
    let most = "batch_job_max_duration_seconds";
    let recorded = conditions::TAKES_TOO_LONG;
    let rule = Rule::of_tasks(TAKES_TOO_LONG, "", "warning", recorded, &[], page);
    says(
        rule,
        &format!(": {TASKS} took too long"),
        &format!(
            "A run of {TASKS} of {{{{ $labels.job }}}} took longer than max_duration, or has run for longer."
        ),
        recorded,
    )
    .tested([RuleTest::new(
        "one task takes longer than the others",
        [
            TRAIN_0.series([(duration, "60x20"), (most, "600x20")]),
            TRAIN_1.series([(duration, "60x10 700x10"), (most, "600x20")]),
        ],
    )
    .silent("5m")
    .firing(
        "15m",
        [firing(
            TRAIN,
            "warning",
            &[],
            ": 1 task took too long",
            "A run of 1 task of train took longer than max_duration, or has run for longer.",
            recorded,
        )],
    )])
}

fn expectation_not_met(page: &str) -> Rule {
    let rows = "batch_job_expectation_met{metric=\"rows\"}";
    let bytes = "batch_job_expectation_met{metric=\"bytes\"}";
    let recorded = conditions::EXPECTATION_NOT_MET;
    let firing = |metric, count| {
        firing(
            TRAIN,
            "warning",
            &[("metric", metric)],
            &format!(": {metric} is not as expected in {count}"),
            &format!("{count} of train did not report what the job file expects of {metric}."),
            recorded,
        )
    };
    let rule = Rule::of_tasks(
        EXPECTATION_NOT_MET,
        "",
        "warning",
        recorded,
        &["metric"],
        page,
    );
    says(
        rule,
        &format!(": {{{{ $labels.metric }}}} is not as expected in {TASKS}"),
        &format!(
            "{TASKS} of {{{{ $labels.job }}}} did not report what the job file expects of {{{{ $labels.metric }}}}."
        ),
        recorded,
    )
    .tested([RuleTest::new(
        "one metric of two tasks, and one of one",
        [
            TRAIN_0.series([(rows, "0x10"), (bytes, "1x10")]),
            TRAIN_1.series([(rows, "0x10"), (bytes, "0x10")]),
            TRAIN_2.series([(rows, "1x10"), (bytes, "1x10")]),
        ],
    )
    .firing("5m", [firing("rows", "2 tasks"), firing("bytes", "1 task")])])
}

fn unusual(page: &str) -> Rule {
    let score = "batch_job_anomaly_score{metric=\"duration_seconds\"}";
    let recorded = conditions::UNUSUAL_VALUE;
    let rule =
        Rule::of_tasks(UNUSUAL_VALUE, "", "info", recorded, &["metric"], page).always("info");
    let mut firing = firing(
        TRAIN,
        "info",
        &[("metric", "duration_seconds")],
        ": duration_seconds is unusual in 2 tasks",
        "In the last success of 2 tasks of train, duration_seconds was far from what it was in those before.",
        recorded,
    );
    firing.labels.insert("severity", "info");
    says(
        rule,
        &format!(": {{{{ $labels.metric }}}} is unusual in {TASKS}"),
        &format!(
            "In the last success of {TASKS} of {{{{ $labels.job }}}}, {{{{ $labels.metric }}}} was far from what it was in those before."
        ),
        recorded,
    )
    .tested([RuleTest::new(
        "scores on both sides",
        [
            TRAIN_0.series([(score, "7x10")]),
            TRAIN_1.series([(score, "-4x10")]),
            TRAIN_2.series([(score, "1x10")]),
        ],
    )
    .firing("5m", [firing])])
}

fn push_rejected(page: &str) -> Rule {
    let good = "push_time_seconds";
    let bad = "push_failure_time_seconds";
    let recorded = conditions::PUSH_REJECTED;
    let rule = Rule::of_tasks(PUSH_REJECTED, "", "warning", recorded, &[], page);
    says(
        rule,
        &format!(": the push of {TASKS} was refused"),
        &format!(
            "The gateway refused the last push to the group of {TASKS} of {{{{ $labels.job }}}}: what it shows is older."
        ),
        recorded,
    )
    .tested([RuleTest::new(
        "the pushes of two tasks were refused",
        [
            TRAIN_0.series([(good, "60x20"), (bad, "0x10 120x10")]),
            TRAIN_1.series([(good, "60x20"), (bad, "0x10 120x10")]),
            TRAIN_2.series([(good, "60x20"), (bad, "0x20")]),
        ],
    )
    .silent("5m")
    .firing(
        "15m",
        [firing(
            TRAIN,
            "warning",
            &[],
            ": the push of 2 tasks was refused",
            "The gateway refused the last push to the group of 2 tasks of train: what it shows is older.",
            recorded,
        )],
    )])
}
