//! Summary of a run, which `metricsjob run` and `exec` print.

use std::fmt::Write;
use std::time::Duration;

use serde_json::json;

use super::console::count;
use super::{console, json};
use metricsjob::job::NotifyTarget;
use metricsjob::push::{Delivery, DeliveryTarget, Gateway};
use metricsjob::run::{Comparison, Outcome, Run};
use metricsjob_metrics::{Family, Push, Value, series_name};

/// Data for the summary of a run.
pub struct Summary<'a> {
    pub destinations: &'a [DeliveryTarget],
    pub run: &'a Run,
}

impl Summary<'_> {
    /// Summary for people. `status_command` returns the command that shows a gateway's groups.
    pub fn text(&self, status_command: impl Fn(&Gateway) -> String) -> String {
        let Run { record, push, .. } = self.run;
        let mut text = format!("{}\n", self.head());
        if !self.run.outcome().is_success() {
            tail(&mut text, &record.tail);
        }
        for family in &record.metrics {
            summarize(&mut text, family);
        }
        for comparison in self.run.comparisons.iter().filter(|it| it.is_unusual()) {
            let Comparison {
                metric,
                value,
                usual: (low, high),
                ..
            } = comparison;
            let (what, shown): (String, fn(f64) -> String) = match metric.as_str() {
                Comparison::DURATION => ("took".into(), rough_seconds),
                metric => (format!("{metric} is"), rounded),
            };
            let _ = writeln!(
                text,
                "  unusual: {what} {}, usually {} to {}",
                shown(*value),
                shown(*low),
                shown(*high)
            );
        }
        if let Some(Ok(push)) = push {
            self.reported(&mut text, push, status_command);
        }
        for (target, _) in self.notified().filter(|(_, is_delivered)| *is_delivered) {
            let _ = writeln!(text, "  notified {target}");
        }
        text
    }

    /// The destinations of notifications that there were, and whether they got them.
    fn notified(&self) -> impl Iterator<Item = (&NotifyTarget, bool)> {
        let notified = self.run.notified.iter();
        notified.map(|(target, delivery)| (target, delivery.result.is_ok()))
    }

    /// Adds what became of the report at each gateway.
    fn reported(
        &self,
        text: &mut String,
        push: &Push,
        status_command: impl Fn(&Gateway) -> String,
    ) {
        let method = push.method().http();
        for (index, destination) in self.destinations.iter().enumerate() {
            let place = destination.group_place(push.key());
            let (by, way) = match destination {
                DeliveryTarget::Gateway(_) => {
                    (format!(" by {method}"), format!("{method} to {place}"))
                }
                _ => (String::new(), place.clone()),
            };
            let _ = match self.run.deliveries.get(index) {
                Some(Delivery {
                    result: Ok(()),
                    delivered,
                    ..
                }) => {
                    let late = match delivered {
                        0 => String::new(),
                        delivered => format!(
                            ", with {}",
                            count(*delivered, "an older report", "older reports")
                        ),
                    };
                    let gateway = destination.gateway();
                    let show = gateway
                        .map(|gateway| format!("\n  show it with: {}", status_command(gateway)));
                    let show = show.unwrap_or_default();
                    writeln!(text, "  reported{by} to {place}{late}{show}")
                }
                Some(Delivery {
                    result: Err(undelivered),
                    ..
                }) if !undelivered.error.refused_families().is_empty() => {
                    let refused = undelivered.error.refused_families().join(", ");
                    writeln!(text, "  reported{by} to {place}, without {refused}")
                }
                Some(_) => writeln!(text, "  not reported: {way}"),
                None => writeln!(text, "  not sent (dry run): {way}"),
            };
        }
    }

    /// Failure of the run, with the last lines that the job wrote.
    pub fn failure_text(&self) -> String {
        let run = &self.run.record;
        let mut text = match &run.failure {
            Some(failure) => format!("{}: {failure}\n", self.head()),
            None => format!("{}\n", self.head()),
        };
        tail(&mut text, &run.tail);
        text
    }

    /// How the run ended, in a line.
    fn head(&self) -> String {
        let (outcome, run) = (self.run.outcome(), &self.run.record);
        let name = &run.name;
        if outcome == Outcome::Skipped {
            let why = run.failure.as_deref().unwrap_or_default();
            return format!("{name}: {outcome}: {why}");
        }
        let attempts = match run.attempts {
            1 => String::new(),
            attempts => format!(" after {attempts} attempts"),
        };
        let duration = Duration::try_from_secs_f64(run.duration).unwrap_or_default();
        let duration = console::rough(duration);
        format!("{name}: {outcome}{attempts} in {duration}")
    }

    /// For programs: the run as the history shows it, and what became of its report.
    pub fn json(&self) -> serde_json::Value {
        let Run {
            record,
            push,
            deliveries,
            warnings,
            ..
        } = self.run;
        let (push, unpushable) = match push {
            Some(Ok(push)) => (Some(push), None),
            Some(Err(error)) => (None, Some(error.to_string())),
            None => (None, None),
        };
        let mut json = json::run(record);
        json["warnings"] = json!(warnings);
        json["push"] = json!({
            "method": push.map(|push| push.method().name()),
            "grouping_key": record.key,
            "error": unpushable,
            "deliveries": json::deliveries(self.destinations, &record.key, deliveries),
        });
        json["notifications"] = json::notifications(&self.run.notified);
        json
    }
}

/// The last lines of a job's stderr, set off from our own.
pub fn tail(text: &mut String, lines: &[String]) {
    for line in lines {
        let _ = writeln!(text, "  | {}", console::visible(line));
    }
}

/// Adds a line for each series of `family`.
pub fn summarize(text: &mut String, family: &Family) {
    for metric in &family.metrics {
        let series = series_name(&family.name, &metric.labels);
        let _ = match &metric.value {
            Value::Number(value) => writeln!(text, "  {series} {value}"),
            Value::Summary { count, .. } => writeln!(text, "  {series} {count} observed"),
            Value::Histogram { count, .. } => writeln!(text, "  {series} {count} observed"),
        };
    }
}
/// The number with three significant digits.
fn rounded(number: f64) -> String {
    let text = format!("{number:.2e}");
    let rounded: f64 = text.parse().unwrap_or(number);
    rounded.to_string()
}

fn rough_seconds(seconds: f64) -> String {
    let duration = Duration::try_from_secs_f64(seconds);
    duration.map_or_else(|_| seconds.to_string(), console::rough)
}
