//! All jobs: how each is now, its durations and failures, what waits in outboxes.

use serde_json::Value as Json;

use super::board::Dashboard;
use super::panel::{Meaning, OUTCOMES, Panel};
use super::promql::{increase_by, mean_by, per_day_by, quantile_by};
use super::variable::DashboardVariable;

/// Outcome and lateness of a job as one number, the worst first.
const STATES: [Meaning; 4] = [
    (0, "Failed, late", "dark-red"),
    (1, "Failed", "red"),
    (2, "Late", "orange"),
    (3, "Success", "green"),
];

/// The number of [`STATES`]; a job without a deadline is never late.
const STATE: &str = "2 * batch_job_success{@} + (batch_job_deadline_timestamp_seconds{@} > bool time()) \
     or 2 * batch_job_success{@} + 1";

pub fn fleet() -> Json {
    Dashboard::new("metricsjob-fleet", "Batch jobs", SCOPE)
        .about("Every batch job that reports to the gateways and servers that Prometheus scrapes.")
        .from("now-7d")
        .variable(
            DashboardVariable::new("job", "Job", "batch_job_success", "job")
                .several()
                .all(".+"),
        )
        .variable(
            DashboardVariable::new(
                "instance",
                "Instance",
                "batch_job_success{job=~\"$job\"}",
                "instance",
            )
            .several()
            .all(".*"),
        )
        .variable(DashboardVariable::replica())
        .filters()
        .row("Now", now())
        .row("Durations", durations())
        .row("Outcomes", outcomes())
        .row("Delivery of reports", delivery())
        .row("Schedules of metricsjob serve", schedules())
        .into_json()
}

const SCOPE: &str = "job=~\"$job\",instance=~\"$instance\",gateway_replica=~\"|$replica\"";

/// Series of any job and host, once: what no gateway has, and what the chosen one has.
const ONCE: &str = "gateway_replica=~\"|$replica\"";

/// `expression`, with NaN for groups that it has no value of: rows of a table are joined right only where every query
/// has all groups.
fn for_each_group(expression: &str) -> String {
    format!("{expression} or batch_job_success{{@}} * NaN")
}

/// Quantile of each job's durations over the time range.
fn duration_quantile(quantile: &str) -> String {
    format!("quantile_over_time({quantile}, batch_job_duration_seconds{{@}}[$__range:$__interval])")
}

/// Quantile of each job's durations over the time range, without jobs that are gone.
fn usual(quantile: &str) -> String {
    for_each_group(&format!(
        "{} and batch_job_success{{@}}",
        duration_quantile(quantile)
    ))
}

fn now() -> [Panel; 7] {
    [
        Panel::stat("Groups", "none")
            .about("Jobs, counted once for each set of grouping labels.")
            .query("count(batch_job_success{@})", ""),
        Panel::stat("Failed", "none")
            .query("count(batch_job_success{@} == 0)", "")
            .or_else("0")
            .steps("green", &[(1.0, "red")]),
        Panel::stat("Late", "none")
            .about("The next success is overdue.")
            .query(
                "count(batch_job_deadline_timestamp_seconds{@} < time())",
                "",
            )
            .or_else("0")
            .steps("green", &[(1.0, "orange")]),
        Panel::stat("Took too long", "none")
            .about("The last run took longer than its max_duration.")
            .query(
                "count(batch_job_duration_seconds{@} > batch_job_max_duration_seconds{@})",
                "",
            )
            .or_else("0")
            .steps("green", &[(1.0, "orange")]),
        Panel::stat("Expectations not met", "none")
            .query("count(batch_job_expectation_met{@} == 0)", "")
            .or_else("0")
            .steps("green", &[(1.0, "orange")]),
        Panel::stat("Reports in outboxes", "none")
            .about("Reports that no gateway has yet, waiting or rejected.")
            .query(&format!("sum(metricsjob_outbox_entries{{{ONCE}}})"), "")
            .or_else("0")
            .steps("green", &[(1.0, "orange")]),
        Panel::table("Jobs")
            .about("The last run of each job. A job's name leads to its dashboard.")
            .label("job")
            .column("State", "none", STATE)
            .cell_meanings("State", &STATES)
            .sorted_by("State")
            .column(
                "Due in",
                "s",
                &for_each_group("batch_job_deadline_timestamp_seconds{@} - time()"),
            )
            .cell_steps("Due in", "red", &[(0.0, "orange"), (3600.0, "green")])
            .column(
                "Last success",
                "dateTimeFromNow",
                &for_each_group("batch_job_last_success_timestamp_seconds{@} * 1000"),
            )
            .column(
                "Last run",
                "dateTimeFromNow",
                &for_each_group("batch_job_last_completion_timestamp_seconds{@} * 1000"),
            )
            .column(
                "Took",
                "s",
                &for_each_group("batch_job_duration_seconds{@} * 1"),
            )
            .column("Usually from", "s", &usual("0.1"))
            .column("Usually to", "s", &usual("0.9"))
            .labels(
                "batch_job_info{@} * 1",
                &[("host", "Host"), ("version", "Version")],
            )
            .link_jobs(),
    ]
}

fn durations() -> [Panel; 3] {
    [
        Panel::graph("Durations", "s")
            .query("batch_job_duration_seconds{@}", "{{job}} {{instance}} {{task}}")
            .link_series(),
        Panel::ranking("Last run against its own range", "percentunit")
            .about("Duration of the last run, as a share of the time that nine of ten runs stay below.")
            .query(
                &format!(
                    "sort_desc(topk(20, batch_job_duration_seconds{{@}} / {}))",
                    duration_quantile("0.9")
                ),
                "{{job}} {{instance}} {{task}}",
            )
            .steps("green", &[(1.25, "orange"), (2.0, "red")])
            .link_series(),
        Panel::ranking("Unusual values", "none")
            .about("How far the last success is from the last fifty, in robust standard deviations.")
            .query("sort_desc(topk(20, batch_job_anomaly_score{@}))", "{{job}} {{instance}} {{task}} {{metric}}")
            .steps("green", &[(3.5, "orange"), (7.0, "red")])
            .link_series()
            .size(24, 8),
    ]
}

/// Counters of the runs that did not succeed.
const FAILURES: &str = "batch_job_runs_total{@,outcome=~\"failure|signal|timeout\"}";

fn outcomes() -> [Panel; 3] {
    [
        Panel::states("Outcome of the last run", &OUTCOMES)
            .query("min by (job) (batch_job_success{@})", "{{job}}")
            .link_series()
            .size(24, 8),
        Panel::bars("Failures by day", "none")
            .about("Runs that failed, were ended by a signal or took too long.")
            .query(&per_day_by("job", FAILURES), "{{job}}")
            .every("1d")
            .link_series(),
        Panel::bars("Runs by outcome and day", "none")
            .query(
                &per_day_by("outcome", "batch_job_runs_total{@}"),
                "{{outcome}}",
            )
            .every("1d"),
    ]
}

fn delivery() -> [Panel; 3] {
    [
        Panel::graph("Reports in outboxes", "none")
            .about(
                "By the host that keeps them. Hosts say so with self-metrics, servers at /metrics.",
            )
            .query(
                &format!("sum by (instance, user, status) (metricsjob_outbox_entries{{{ONCE}}})"),
                "{{instance}} {{user}} {{status}}",
            )
            .size(8, 8),
        Panel::bars("Attempts to push", "none")
            .query(
                &increase_by(
                    "result",
                    &format!("metricsjob_push_attempts_total{{{ONCE}}}"),
                ),
                "{{result}}",
            )
            .size(8, 8),
        Panel::graph("Time for a push", "s")
            .query(
                &mean_by(
                    "instance",
                    "metricsjob_push_duration_seconds",
                    &format!("{{{ONCE}}}"),
                ),
                "{{instance}}",
            )
            .size(8, 8),
    ]
}

fn schedules() -> [Panel; 5] {
    [
        Panel::table("Next runs")
            .label("job")
            .column(
                "Next run",
                "dateTimeFromNow",
                "batch_job_next_run_timestamp_seconds{@} * 1000",
            )
            .link_jobs()
            .size(8, 8),
        Panel::graph("Running and waiting", "none")
            .query(
                &format!("sum by (instance) (metricsjob_run_slots_taken{{{ONCE}}})"),
                "{{instance}} running",
            )
            .query(
                &format!("sum by (instance) (metricsjob_queued_runs{{{ONCE}}})"),
                "{{instance}} waiting",
            )
            .query(
                &format!("sum by (instance) (metricsjob_run_slots{{{ONCE}}})"),
                "{{instance}} at most",
            )
            .size(8, 8),
        Panel::graph("Delay of starts", "s")
            .about("How late runs began, against their schedules: nine of ten were not later.")
            .query(
                &quantile_by(
                    0.9,
                    "instance",
                    &format!("metricsjob_schedule_lag_seconds_bucket{{{ONCE}}}"),
                ),
                "{{instance}}",
            )
            .size(8, 8),
        Panel::bars("Missed runs by day", "none")
            .query(
                &per_day_by("job", "metricsjob_missed_runs_total{@}"),
                "{{job}}",
            )
            .every("1d")
            .link_series(),
        Panel::graph("Job files that could not be loaded", "none").query(
            &format!("sum by (instance) (metricsjob_job_file_problems{{{ONCE}}})"),
            "{{instance}}",
        ),
    ]
}
