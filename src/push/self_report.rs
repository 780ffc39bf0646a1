//! Metrics of metricsjob itself: how its pushing goes.

use std::time::SystemTime;

use metricsjob_client::host;
use metricsjob_metrics::{Family, GroupingKey, Kind, Labels, Method, Metric, Push, Value};
use metricsjob_state::outbox::OutboxSize;
use metricsjob_state::push_stats::Attempts;

/// The job label of the group that it goes to.
const JOB: &str = "metricsjob";

/// The report of all `attempts` and of the size of the `outbox`, to a group of this host and user. `None` if it
/// cannot be made, which does no harm.
pub fn push(attempts: &Attempts, outbox: &OutboxSize, now: SystemTime) -> Option<Push> {
    let labels = [("instance", host::name()?), ("user", host::user())];
    let labels = labels.map(|(name, value)| (name.to_owned(), value));
    let key = GroupingKey::new(JOB, labels).ok()?;
    Push::new(key, Method::Put, families(attempts, outbox), now).ok()
}

/// Builds the families of such a report.
pub fn families(attempts: &Attempts, outbox: &OutboxSize) -> Vec<Family> {
    vec![
        by_label(
            "metricsjob_outbox_entries",
            "Reports in the outbox, by whether they wait to be delivered or were rejected.",
            Kind::Gauge,
            "status",
            &[("waiting", outbox.waiting), ("rejected", outbox.rejected)],
        ),
        by_label(
            "metricsjob_push_attempts_total",
            "Attempts to push a report, by their result.",
            Kind::Counter,
            "result",
            &[
                ("delivered", attempts.delivered),
                ("rejected", attempts.rejected),
                ("failed", attempts.failed),
            ],
        ),
        Family {
            name: "metricsjob_push_duration_seconds".into(),
            help: "How long attempts to push a report took.".into(),
            kind: Kind::Summary,
            metrics: vec![Metric {
                labels: Labels::new(),
                value: Value::Summary {
                    count: attempts.total(),
                    sum: attempts.duration.as_secs_f64(),
                    quantiles: Vec::new(),
                },
                timestamp_ms: None,
            }],
        },
    ]
}

fn by_label(name: &str, help: &str, kind: Kind, label: &str, values: &[(&str, u64)]) -> Family {
    let metric = |(value, number): &(&str, u64)| Metric {
        labels: Labels::from([(label, value)]),
        value: Value::Number(*number as f64),
        timestamp_ms: None,
    };
    Family {
        name: name.into(),
        help: help.into(),
        kind,
        metrics: values.iter().map(metric).collect(),
    }
}
