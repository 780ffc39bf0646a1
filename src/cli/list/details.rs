//! `metricsjob list JOB`: all about one job.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use super::{description, params, schedule};
use crate::cli::console;
use crate::cli::when::date_and_age;
use metricsjob::job::{Job, Plan};
use metricsjob_metrics::unix_seconds;

pub fn text(job: &Job) -> String {
    let mut text = format!("{}\n", console::visible(&job.name));
    let mut field = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<11} {}", console::visible(value));
    };
    let about = description(job);
    if !about.is_empty() {
        field("description", &about);
    }
    field("runs", &job.work.to_string());
    field("file", &job.defined_in.to_string());
    field("job", &job.job);
    let grouping = job.grouping.to_string();
    if !grouping.is_empty() {
        field("grouping", &grouping);
    }
    if !job.gateways.is_empty() {
        let names = job.gateways.iter().map(ToString::to_string);
        field("gateway", &names.collect::<Vec<_>>().join(" "));
    }
    let notify = &job.policy.notify;
    if !notify.to.is_empty() {
        let targets = notify.to.iter().map(ToString::to_string);
        field("notify", &targets.collect::<Vec<_>>().join(" "));
    }
    field("prefix", &job.prefix);
    field("method", job.method.name());
    match &job.plan {
        Some(plan) => planned(&mut field, job, plan),
        None => field("schedule", "none: it runs on request"),
    }
    if let Some(timeout) = job.policy.timeout {
        field("timeout", &console::rough(timeout));
    }
    if job.policy.retries > 0 {
        field("retries", &job.policy.retries.to_string());
    }
    for rule in &job.metrics {
        let kind = rule.kind.name();
        field("metric", &format!("{} ({kind}) {}", rule.name, rule.help));
    }
    let params = params(job);
    if !params.is_empty() {
        text.push_str("parameters (--set NAME=VALUE)\n");
    }
    for (param, value) in params {
        let value = value.map_or_else(|| " (no value)".into(), |value| format!("={value}"));
        let _ = writeln!(text, "  {}{}", param.name, console::visible(&value));
        let _ = writeln!(text, "      {}", param.help);
    }
    text
}

fn planned(field: &mut impl FnMut(&str, &str), job: &Job, plan: &Plan) {
    let now = SystemTime::now();
    field("schedule", &schedule(plan));
    if let Some(next) = plan.schedule.next_after(now) {
        field("next", &date_and_age(unix_seconds(next), now));
    }
    if plan.jitter > Duration::ZERO {
        field("jitter", &console::rough(plan.jitter));
    }
    field("missed", plan.missed.name());
    field("overlap", job.overlap.name());
}
