//! Alerts about this program's own servers and deliveries.

use super::sample::{FiringAlert, RuleTest, SampleLabels};
use super::{Rule, gateways};

/// A host that reports about its deliveries, with `--self-metrics`.
const HOST: SampleLabels = SampleLabels {
    labels: &[
        ("job", "metricsjob"),
        ("instance", "web1"),
        ("user", "root"),
    ],
    alerting: None,
};

/// A server that is scraped.
const SERVER: SampleLabels = SampleLabels {
    labels: &[("job", "metricsjob"), ("instance", "127.0.0.1:9464")],
    alerting: None,
};

/// Another one.
const OTHER: SampleLabels = SampleLabels {
    labels: &[("job", "metricsjob"), ("instance", "127.0.0.1:9465")],
    alerting: None,
};

/// A job of a server that is scraped.
const ASLEEP: SampleLabels = SampleLabels {
    labels: &[
        ("job", "sync"),
        ("instance", "127.0.0.1:9464"),
        ("job_name", "sync"),
    ],
    alerting: None,
};

/// The job on another server, with a grouping label.
const RESTARTED: SampleLabels = SampleLabels {
    labels: &[
        ("job", "sync"),
        ("instance", "127.0.0.1:9465"),
        ("job_name", "sync"),
        ("site", "berlin"),
    ],
    alerting: None,
};

/// The job on a server that pushes its own metrics.
const PUSHED: SampleLabels = SampleLabels {
    labels: &[
        ("job", "metricsjob"),
        ("exported_job", "sync"),
        ("instance", "web1"),
        ("job_name", "sync"),
    ],
    alerting: None,
};

pub fn rules(page: &str) -> Vec<Rule> {
    vec![
        outbox_backlog(page),
        push_rejected(page),
        gateway_commits_fail(page),
        gateway_down(page),
        schedule_lag(page),
        missed_runs(page),
        job_file_problems(page),
    ]
}

fn outbox_backlog(page: &str) -> Rule {
    let waiting = "metricsjob_outbox_entries{status=\"waiting\"}";
    let rejected = "metricsjob_outbox_entries{status=\"rejected\"}";
    let firing = |count| {
        HOST.fixed(
            "warning",
            &[],
            ": reports are waiting in the outbox",
            &format!(
                "{count} reports of this host have not reached their gateway for 15 minutes. See why: metricsjob outbox list"
            ),
        )
    };
    Rule::fixed(
        "MetricsjobOutboxBacklog",
        "",
        "warning",
        "max without (gateway_replica, status) (metricsjob_outbox_entries{status=\"waiting\"}) > 0",
        page,
    )
    .after("15m")
    .says(
        ": reports are waiting in the outbox",
        "{{ $value }} reports of this host have not reached their gateway for 15 minutes. See why: metricsjob outbox list",
    )
    .tested([RuleTest::new(
        "reports wait for long, and for a moment",
        [
            HOST.series([(waiting, "0x10 3x40 0x10"), (rejected, "0x60")]),
            SERVER.series([(waiting, "0x10 3x10 0x40"), (rejected, "1x60")]),
        ],
    )
    .silent("20m")
    .firing("30m", [firing(3)])
    .silent("55m")])
}

fn push_rejected(page: &str) -> Rule {
    let waiting = "metricsjob_outbox_entries{status=\"waiting\"}";
    let rejected = "metricsjob_outbox_entries{status=\"rejected\"}";
    let firing = |count| {
        HOST.fixed(
            "warning",
            &[],
            ": a gateway has refused reports",
            &format!(
                "{count} reports of this host were refused, and stay in its outbox until somebody decides: \
                 metricsjob outbox list; metricsjob outbox drop"
            ),
        )
    };
    Rule::fixed(
        "MetricsjobPushRejected",
        "",
        "warning",
        "max without (gateway_replica, status) (metricsjob_outbox_entries{status=\"rejected\"}) > 0",
        page,
    )
    .says(
        ": a gateway has refused reports",
        "{{ $value }} reports of this host were refused, and stay in its outbox until somebody decides: \
         metricsjob outbox list; metricsjob outbox drop",
    )
    .tested([RuleTest::new(
        "reports are refused, and dropped later",
        [
            HOST.series([(waiting, "0x30"), (rejected, "0x10 2x10 0x10")]),
            SERVER.series([(waiting, "5x30"), (rejected, "0x30")]),
        ],
    )
    .silent("5m")
    .firing("15m", [firing(2)])
    .silent("25m")])
}

fn gateway_commits_fail(page: &str) -> Rule {
    let failures = "metricsjob_gateway_commit_failures_total";
    let firing: FiringAlert = SERVER.fixed(
        "critical",
        &[],
        ": the gateway cannot write its state",
        "5 commits of the gateway failed in the last 5 minutes, so it refuses pushes. \
         See its log, the disk and: metricsjob state check",
    );
    Rule::fixed(
        "MetricsjobGatewayCommitsFail",
        "",
        "critical",
        "increase(metricsjob_gateway_commit_failures_total[5m]) > 0",
        page,
    )
    .says(
        ": the gateway cannot write its state",
        "{{ $value | printf \"%.0f\" }} commits of the gateway failed in the last 5 minutes, so it refuses pushes. \
         See its log, the disk and: metricsjob state check",
    )
    .tested([RuleTest::new(
        "commits fail for a while",
        [
            SERVER.series([(failures, "0x10 1+1x10 11x20")]),
            OTHER.series([(failures, "7x40")]),
        ],
    )
    .silent("10m")
    .firing("18m", [firing])
    .silent("30m")])
}

fn gateway_down(page: &str) -> Rule {
    let a = SampleLabels {
        labels: &[
            ("job", "gateways"),
            ("instance", "gateway-a:9091"),
            ("gateway_replica", "a"),
        ],
        alerting: None,
    };
    let b = SampleLabels {
        labels: &[
            ("job", "gateways"),
            ("instance", "gateway-b:9091"),
            ("gateway_replica", "b"),
        ],
        alerting: None,
    };
    let up = "up";
    let firing = a.fixed(
        "warning",
        &[],
        ": the gateway is down",
        "Prometheus cannot scrape gateway-a:9091. The other gateway has what jobs report meanwhile, and their hosts keep it \
         for this one: metricsjob outbox list",
    );
    Rule::fixed(
        "MetricsjobGatewayDown",
        "Of two gateways that get the same reports; while there is the other one, no alert about a job says so.",
        "warning",
        "up{gateway_replica!=\"\"} == 0",
        page,
    )
    .after("2m")
    .says(
        ": the gateway is down",
        "Prometheus cannot scrape {{ $labels.instance }}. The other gateway has what jobs report meanwhile, and their hosts \
         keep it for this one: metricsjob outbox list",
    )
    .tested([RuleTest::new(
        "one gateway is down for a while, the other for a moment, and so is a server",
        [
            a.series([(up, "1x10 0x10 1x10")]),
            b.series([(up, "1x10 0 1x20")]),
            SERVER.series([(up, "0x30")]),
        ],
    )
    .silent("12m")
    .firing("15m", [firing])
    .silent("25m")])
}

fn schedule_lag(page: &str) -> Rule {
    let bucket = |le: &str| format!("metricsjob_schedule_lag_seconds_bucket{{le=\"{le}\"}}");
    let (fast, slow, all) = (bucket("5"), bucket("60"), bucket("+Inf"));
    let firing = SERVER.fixed(
        "warning",
        &[],
        ": runs begin late",
        "A tenth of the runs of the last 30 minutes began 32s after they were due, or later. \
         See what takes the slots (--concurrency) and the machine",
    );
    Rule::fixed(
        "MetricsjobScheduleLag",
        "",
        "warning",
        &format!(
            "{} > 5",
            gateways::greatest("histogram_quantile(0.9, rate(metricsjob_schedule_lag_seconds_bucket[30m]))")
        ),
        page,
    )
    .after("5m")
    .says(
        ": runs begin late",
        "A tenth of the runs of the last 30 minutes began {{ $value | printf \"%.0f\" }}s after they were due, or later. \
         See what takes the slots (--concurrency) and the machine",
    )
    .tested([RuleTest::new(
        "a fifth of the runs begins late, and none",
        [
            SERVER.series([(&*fast, "0+8x60 480+10x60"), (&*slow, "0+10x120"), (&*all, "0+10x120")]),
            OTHER.series([(&*fast, "0+10x120"), (&*slow, "0+10x120"), (&*all, "0+10x120")]),
        ],
    )
    .firing("40m", [firing])
    .silent("110m")])
}

fn missed_runs(page: &str) -> Rule {
    let missed = "metricsjob_missed_runs_total";
    let firing = |job: SampleLabels, count| {
        job.fixed(
            "warning",
            &[],
            ": runs did not take place",
            &format!(
                "{count} runs of sync were due in the last hour while nobody could start them. \
                 See that the machine does not sleep, and the key missed of the job"
            ),
        )
    };
    Rule::fixed(
        "MetricsjobMissedRuns",
        "The first part finds what was missed while there was no scrape either, the second what was since a restart.",
        "warning",
        &gateways::greatest(
            "metricsjob_missed_runs_total - last_over_time(metricsjob_missed_runs_total[1d] offset 1h) > 0\n\
             or\n\
             increase(metricsjob_missed_runs_total[1h]) > 0",
        ),
        page,
    )
    .says(
        ": runs did not take place",
        "{{ $value | printf \"%.0f\" }} runs of {{ or $labels.exported_job $labels.job }} were due in the last hour while \
         nobody could start them. See that the machine does not sleep, and the key missed of the job",
    )
    .tested([RuleTest::new(
        "a machine sleeps for three hours, a server begins anew",
        [
            ASLEEP.series([(missed, "0x90 _x180 4x200")]),
            RESTARTED.series([(missed, "7x150 0x19 2x300")]),
            PUSHED.series([(missed, "0x400 3x60")]),
        ],
    )
    .silent("80m")
    .firing("175m", [firing(RESTARTED, 2)])
    .firing("280m", [firing(ASLEEP, 4)])
    .silent("350m")
    .firing("410m", [firing(PUSHED, 3)])])
}

fn job_file_problems(page: &str) -> Rule {
    let problems = "metricsjob_job_file_problems";
    let firing = SERVER.fixed(
        "warning",
        &[],
        ": job files have mistakes",
        "2 job files could not be read; their jobs are as they were, or not there. See where: metricsjob check",
    );
    Rule::fixed(
        "MetricsjobJobFileProblems",
        "",
        "warning",
        "max without (gateway_replica) (metricsjob_job_file_problems) > 0",
        page,
    )
    .says(
        ": job files have mistakes",
        "{{ $value }} job files could not be read; their jobs are as they were, or not there. See where: metricsjob check",
    )
    .tested([RuleTest::new(
        "mistakes that are mended",
        [
            SERVER.series([(problems, "0x5 2x10 0x5")]),
            OTHER.series([(problems, "0x20")]),
        ],
    )
    .silent("5m")
    .firing("10m", [firing])
    .silent("18m")])
}
