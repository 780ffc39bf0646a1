//! One job: its last run, its history, its deadline and expectations, and the metrics of its own.

use serde_json::{Value as Json, json};

use super::board::Dashboard;
use super::panel::{Meaning, OUTCOMES, Panel};
use super::promql::{increase_by, per_day_by, quantile_by, success_ratio};
use super::variable::DashboardVariable;

const SCOPE: &str = "job=\"$job\",instance=~\"$instance\",gateway_replica=~\"|$replica\"";

const EXPECTATIONS: [Meaning; 2] = [(0, "Not met", "red"), (1, "Met", "green")];

pub fn job() -> Json {
    let of_job = |more: &str| format!("{{job=\"$job\"{more}}}");
    let own = |pattern: &str| of_job(&format!(",__name__=~\"{pattern}\",__name__!~\"{RUNNERS}\""));
    let completion = "(.+)_last_completion_timestamp_seconds";
    Dashboard::new("metricsjob-job", "Batch job", SCOPE)
        .about("One batch job: its runs, and the metrics that it reports itself.")
        .from("now-7d")
        .variable(DashboardVariable::new(
            "job",
            "Job",
            "batch_job_success",
            "job",
        ))
        .variable(
            DashboardVariable::new(
                "instance",
                "Instance",
                "batch_job_success{job=\"$job\"}",
                "instance",
            )
            .several()
            .all(".*"),
        )
        .variable(DashboardVariable::replica())
        // Names of the runner's metrics begin with it.
        .variable(
            DashboardVariable::new(
                "prefix",
                "Prefix",
                &of_job(&format!(",__name__=~\"{completion}\"")),
                "__name__",
            )
            .extract(completion)
            .several()
            .hidden(),
        )
        .variable(
            DashboardVariable::new("counter", "Counters", &own(".+_total"), "__name__").several(),
        )
        .variable(
            DashboardVariable::new(
                "gauge",
                "Gauges",
                &of_job(&format!(
                    ",__name__!~\".+_(total|bucket|sum|count|created)\",__name__!~\"{RUNNERS}\""
                )),
                "__name__",
            )
            .several(),
        )
        .variable(
            DashboardVariable::new("histogram", "Histograms", &own("(.+)_bucket"), "__name__")
                .extract("(.+)_bucket")
                .several(),
        )
        .filters()
        .row("Last run", last_run())
        .row("Runs", runs())
        .row("Deadline and expectations", expectations())
        .row("Counters", [counters()])
        .row("Gauges", [gauges()])
        .row_for_each("histogram", "$histogram", histogram())
        .into_json()
}

/// Metrics with the label of a job that are not the job's own: those of the runner under both prefixes, of servers
/// and gateways, and of rules, whose names have a colon.
const RUNNERS: &str = "(${prefix}|batch_job)_(success|exit_code|attempts|running|info|runs_total\
    |(last_)?(start|completion|success|deadline|next_run)_timestamp_seconds|(max_)?duration_seconds\
    |cpu_user_seconds|cpu_system_seconds|max_rss_bytes|expectation_met|slo_ratio|alerting_info\
    |anomaly_score)|metricsjob_.+|push_(failure_)?time_seconds|ALERTS.*|.+:.+";

fn last_run() -> [Panel; 8] {
    [
        Panel::stat("Outcome", "none")
            .query("batch_job_success{@}", "")
            .meanings(&OUTCOMES),
        Panel::stat("Next success due in", "s")
            .about("From the job's max_age or its schedule; negative when it is overdue.")
            .query("batch_job_deadline_timestamp_seconds{@} - time()", "")
            .steps("red", &[(0.0, "orange"), (3600.0, "green")]),
        Panel::stat("Last success", "dateTimeFromNow")
            .query("batch_job_last_success_timestamp_seconds{@} * 1000", ""),
        Panel::stat("Took", "s").query("batch_job_duration_seconds{@}", ""),
        Panel::stat("Successful runs", "percentunit")
            .about("Share of the runs in the time range, without skipped ones.")
            .query(&success_ratio("$__range"), "Runs")
            .query("max(batch_job_slo_ratio{@})", "Goal"),
        Panel::stat("Running", "none")
            .about("Runs in progress: by serve, and of jobs with push_start or push_interval.")
            .query("sum({__name__=~\"(${prefix}|batch_job)_running\",@})", "")
            .or_else("–"),
        Panel::table("Reported by")
            .labels(
                "batch_job_info{@}",
                &[("host", "Host"), ("version", "Version")],
            )
            .size(12, 6),
        Panel::table("Alerts")
            .labels(
                "batch_job_alerting_info{@}",
                &[
                    ("severity", "Severity"),
                    ("owner", "Owner"),
                    ("runbook", "Runbook"),
                ],
            )
            .property("Runbook", "links", runbook_link())
            .size(12, 6),
    ]
}

/// A runbook that is a URL opens at a click.
fn runbook_link() -> Json {
    json!([{"title": "Open the runbook", "url": "${__value.raw}", "targetBlank": true}])
}

fn runs() -> [Panel; 6] {
    let runners = |name: &str| format!("{{__name__=~\"${{prefix}}_{name}\",@}}");
    let usual = |quantile: &str| {
        format!(
            "quantile_over_time({quantile}, batch_job_duration_seconds{{@}}[7d:$__rate_interval])"
        )
    };
    [
        Panel::states("Outcome of the last run", &OUTCOMES).query("batch_job_success{@}", ""),
        Panel::bars("Runs by outcome and day", "none")
            .query(
                &per_day_by("outcome", "batch_job_runs_total{@}"),
                "{{outcome}}",
            )
            .every("1d"),
        Panel::graph("Duration", "s")
            .about("Usually: between the 10 % and the 90 % quantile of the last seven days.")
            .query("batch_job_duration_seconds{@}", "")
            .query(&format!("max({})", usual("0.9")), "usually to")
            .query(&format!("min({})", usual("0.1")), "usually from")
            .query("max(batch_job_max_duration_seconds{@})", "at most")
            .dashed("usually to", "green")
            .dashed("usually from", "green")
            .dashed("at most", "red"),
        Panel::graph("Attempts and exit code", "none")
            .query(&format!("max({})", runners("attempts")), "attempts")
            .query(&format!("max({})", runners("exit_code")), "exit code"),
        Panel::graph("Processor time", "s")
            .query(&format!("sum({})", runners("cpu_user_seconds")), "user")
            .query(&format!("sum({})", runners("cpu_system_seconds")), "system"),
        Panel::graph("Most memory of a process", "bytes")
            .query(&format!("max({})", runners("max_rss_bytes")), "resident"),
    ]
}

fn expectations() -> [Panel; 4] {
    [
        Panel::graph("Time to the deadline", "s")
            .query("batch_job_deadline_timestamp_seconds{@} - time()", ""),
        Panel::states("Expectations", &EXPECTATIONS).query(
            "min by (metric) (batch_job_expectation_met{@})",
            "{{metric}}",
        ),
        Panel::graph("Unusual values", "none")
            .about(
                "How far the last success is from the last fifty, in robust standard deviations.",
            )
            .query("max by (metric) (batch_job_anomaly_score{@})", "{{metric}}")
            .limit(3.5),
        Panel::graph("Successful runs of the last seven days", "percentunit")
            .query(&success_ratio("7d"), "runs")
            .query("max(batch_job_slo_ratio{@})", "goal")
            .dashed("goal", "orange"),
    ]
}

fn counters() -> Panel {
    Panel::bars("$counter", "short")
        .query("increase({__name__=~\"$counter\",@}[$__rate_interval])", "")
        .for_each("counter", 3)
}

fn gauges() -> Panel {
    Panel::graph("$gauge", "short")
        .query("{__name__=~\"$gauge\",@}", "")
        .for_each("gauge", 3)
}

fn histogram() -> [Panel; 2] {
    let buckets = "{__name__=~\"${histogram}_bucket\",@}";
    let quantile = |quantile: f64| quantile_by(quantile, "", buckets);
    [
        Panel::heatmap("$histogram", "short").query(&increase_by("le", buckets), "{{le}}"),
        Panel::graph("Quantiles of $histogram", "short")
            .query(&quantile(0.5), "half of all")
            .query(&quantile(0.9), "90 %")
            .query(&quantile(0.99), "99 %"),
    ]
}
