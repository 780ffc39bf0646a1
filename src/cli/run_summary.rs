//! What `metricsjob run` says about a run.

use std::fmt::Write;

use serde_json::json;

use super::{console, json};
use crate::job::Job;
use crate::metrics::check::CheckError;
use crate::metrics::{Family, Value, series_name, unix_seconds};
use crate::push::{Delivery, Gateway, Kept, Push};
use crate::run::Run;

/// All that there is to tell about a run.
pub struct Summary<'a> {
    pub job: &'a Job,
    pub run: &'a Run,
    pub gateway: &'a Gateway,
    /// Or why the report is none that a gateway could take as it is meant.
    pub push: Result<&'a Push, &'a CheckError>,
    /// `None` if nothing was sent.
    pub delivery: Option<&'a Delivery>,
}

impl Summary<'_> {
    /// For people. `status_command` shows what is at the gateway.
    pub fn text(&self, status_command: &str) -> String {
        let Summary { job, run, .. } = self;
        let mut text = String::new();
        let duration = console::rough(run.duration);
        let _ = writeln!(text, "{}: {} in {duration}", job.name, run.outcome);
        for family in &run.metrics {
            summarize(&mut text, family);
        }
        if let Ok(push) = self.push {
            let method = push.method().http();
            let place = self.gateway.group_place(push.key());
            let _ = match self.delivery {
                Some(Delivery::Delivered) => writeln!(
                    text,
                    "  reported by {method} to {place}\n  show it with: {status_command}"
                ),
                Some(Delivery::Undelivered { .. }) => {
                    writeln!(text, "  not reported: {method} to {place}")
                }
                None => writeln!(text, "  not sent (dry run): {method} to {place}"),
            };
        }
        text
    }

    /// For programs.
    pub fn json(&self) -> serde_json::Value {
        let Summary { job, run, .. } = self;
        let push = self.push.ok();
        let (error, entry) = match (self.push, self.delivery) {
            (Err(error), _) => (Some(error.to_string()), None),
            (_, Some(Delivery::Undelivered { error, kept })) => (
                Some(error.to_string()),
                match kept {
                    Kept::InOutbox { id, .. } => Some(*id),
                    Kept::Lost(_) | Kept::LostWithGateway => None,
                },
            ),
            (_, Some(Delivery::Delivered) | None) => (None, None),
        };
        json!({
            "name": job.name,
            "outcome": run.outcome.name(),
            "exit_code": run.outcome.exit_code(),
            "failure": run.failure,
            "start_timestamp_seconds": json::number(unix_seconds(run.started_at)),
            "completion_timestamp_seconds": json::number(unix_seconds(run.completed_at)),
            "duration_seconds": json::number(run.duration.as_secs_f64()),
            "attempts": run.attempts,
            "metrics": run.metrics.iter().map(json::family).collect::<Vec<_>>(),
            "push": {
                "gateway": self.gateway.to_string(),
                "method": job.method.name(),
                "grouping_key": push.map(Push::key),
                "url": push.map(|push| self.gateway.group_url(push.key())),
                "delivered": matches!(self.delivery, Some(Delivery::Delivered)),
                "error": error,
                "outbox_entry": entry,
            },
        })
    }
}

fn summarize(text: &mut String, family: &Family) {
    for metric in &family.metrics {
        let series = series_name(&family.name, &metric.labels);
        let _ = match &metric.value {
            Value::Number(value) => writeln!(text, "  {series} {value}"),
            Value::Summary { count, .. } | Value::Histogram { count, .. } => {
                writeln!(text, "  {series} {count} observed")
            }
        };
    }
}
