//! Summary of a run, which `metricsjob run` and `exec` print.

use std::fmt::Write;

use serde_json::json;

use super::console::count;
use super::{console, json};
use metricsjob::job::Job;
use metricsjob::push::{Delivery, Gateway};
use metricsjob::run::{Outcome, Performed};
use metricsjob_metrics::{Family, GroupingKey, Value, series_name, unix_seconds};

/// Data for the summary of a run.
pub struct Summary<'a> {
    pub job: &'a Job,
    pub key: &'a GroupingKey,
    pub gateways: &'a [Gateway],
    pub performed: &'a Performed<'a>,
}

impl Summary<'_> {
    /// Summary for people. `status_command` returns the command that shows a gateway's groups.
    pub fn text(&self, status_command: impl Fn(&Gateway) -> String) -> String {
        let run = &self.performed.run;
        let mut text = format!("{}\n", self.head());
        if !run.outcome.is_success() {
            tail(&mut text, &run.tail);
        }
        for family in &run.metrics {
            summarize(&mut text, family);
        }
        let Some(Ok(push)) = &self.performed.push else {
            return text;
        };
        let method = push.method().http();
        for (index, gateway) in self.gateways.iter().enumerate() {
            let place = gateway.group_place(self.key);
            let _ = match self.performed.deliveries.get(index) {
                Some(Delivery {
                    result: Ok(()),
                    late,
                    ..
                }) => {
                    let late = match late {
                        0 => String::new(),
                        late => format!(
                            ", with {}",
                            count(*late, "an older report", "older reports")
                        ),
                    };
                    writeln!(
                        text,
                        "  reported by {method} to {place}{late}\n  show it with: {}",
                        status_command(gateway)
                    )
                }
                Some(_) => writeln!(text, "  not reported: {method} to {place}"),
                None => writeln!(text, "  not sent (dry run): {method} to {place}"),
            };
        }
        text
    }

    /// Failure of the run, with the last lines that the job wrote.
    pub fn failure_text(&self) -> String {
        let run = &self.performed.run;
        let mut text = match &run.failure {
            Some(failure) => format!("{}: {failure}\n", self.head()),
            None => format!("{}\n", self.head()),
        };
        tail(&mut text, &run.tail);
        text
    }

    /// How the run ended, in a line.
    fn head(&self) -> String {
        let (name, run) = (&self.job.name, &self.performed.run);
        if run.outcome == Outcome::Skipped {
            let why = run.failure.as_deref().unwrap_or_default();
            return format!("{name}: {}: {why}", run.outcome);
        }
        let attempts = match run.attempts {
            1 => String::new(),
            attempts => format!(" after {attempts} attempts"),
        };
        let duration = console::rough(run.duration);
        format!("{name}: {}{attempts} in {duration}", run.outcome)
    }

    /// For programs.
    pub fn json(&self) -> serde_json::Value {
        let Performed {
            run,
            push,
            deliveries,
            warnings,
            ..
        } = self.performed;
        let (push, unpushable) = match push {
            Some(Ok(push)) => (Some(push), None),
            Some(Err(error)) => (None, Some(error.to_string())),
            None => (None, None),
        };
        json!({
            "name": self.job.name,
            "run_id": run.id,
            "outcome": run.outcome.name(),
            "exit_code": run.outcome.exit_code(),
            "failure": run.failure,
            "start_timestamp_seconds": json::number(unix_seconds(run.started_at)),
            "completion_timestamp_seconds": json::number(unix_seconds(run.completed_at)),
            "duration_seconds": json::number(run.duration.as_secs_f64()),
            "attempts": run.attempts,
            "cpu_user_seconds": json::number(run.usage.cpu_user.as_secs_f64()),
            "cpu_system_seconds": json::number(run.usage.cpu_system.as_secs_f64()),
            "max_rss_bytes": run.usage.max_rss,
            "metrics": run.metrics.iter().map(json::family).collect::<Vec<_>>(),
            "tail": run.tail,
            "warnings": warnings,
            "push": {
                "method": push.map(|push| push.method().name()),
                "grouping_key": self.key,
                "error": unpushable,
                "deliveries": json::deliveries(self.gateways, self.key, deliveries),
            },
        })
    }
}

/// The last lines of a job's stderr, set off from our own.
fn tail(text: &mut String, lines: &[String]) {
    for line in lines {
        let _ = writeln!(text, "  | {}", console::visible(line));
    }
}

fn summarize(text: &mut String, family: &Family) {
    for metric in &family.metrics {
        let series = series_name(&family.name, &metric.labels);
        let _ = match &metric.value {
            Value::Number(value) => writeln!(text, "  {series} {value}"),
            Value::Summary { count, .. } => writeln!(text, "  {series} {count} observed"),
            Value::Histogram { count, .. } => writeln!(text, "  {series} {count} observed"),
        };
    }
}
