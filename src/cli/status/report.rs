//! Last run of a job, as the report in its group tells it.

use std::time::SystemTime;

use metricsjob::job::DEFAULT_PREFIX;
use metricsjob::run::Outcome;
use metricsjob_metrics::{Group, Value, unix_seconds};

use crate::cli::color::RUNNING;

/// Names of metrics that each report of a run has, the first of them from its end on.
const MARKS: [&str; 2] = [
    "last_completion_timestamp_seconds",
    "start_timestamp_seconds",
];

/// Last run of a job as its group tells it; all `None` for metrics that no run has left.
#[derive(Debug, Default)]
pub struct LastReport {
    /// One word; `None` if no run is known.
    pub outcome: Option<&'static str>,
    pub exit_code: Option<f64>,
    pub start: Option<f64>,
    pub completion: Option<f64>,
    pub success: Option<f64>,
    /// Time by which the job is to have succeeded again.
    pub deadline: Option<f64>,
    pub duration: Option<f64>,
}

impl LastReport {
    pub fn of(group: &Group) -> Self {
        let deadline = |prefix: &str| number(group, prefix, "deadline_timestamp_seconds");
        let default = format!("{DEFAULT_PREFIX}_");
        let mut names = MARKS.iter();
        let prefix = names.find_map(|mark| {
            let mut families = group.families.iter();
            families.find_map(|family| family.name.strip_suffix(mark))
        });
        let Some(prefix) = prefix else {
            return LastReport {
                deadline: deadline(&default),
                ..LastReport::default()
            };
        };
        let number = |name| number(group, prefix, name);
        let exit_code = number("exit_code");
        LastReport {
            outcome: outcome(number("running"), number("success"), exit_code),
            exit_code,
            start: number("start_timestamp_seconds"),
            completion: number("last_completion_timestamp_seconds"),
            success: number("last_success_timestamp_seconds"),
            deadline: deadline(prefix).or_else(|| deadline(&default)),
            duration: number("duration_seconds"),
        }
    }

    /// Returns true if the last run that has ended failed, though another one may be running.
    pub fn is_failed(&self) -> bool {
        self.outcome == Some(Outcome::Failure(1).name())
    }

    /// Returns true if the deadline has passed without a success since. Where no deadline is reported, no job is late.
    pub fn is_late(&self, now: SystemTime) -> bool {
        self.deadline.is_some_and(|deadline| {
            let is_met = self.success.is_some_and(|success| success >= deadline);
            deadline < unix_seconds(now) && !is_met
        })
    }

    /// Time of the last sign of a run: its start while it is running, else its end.
    pub fn last_run(&self) -> Option<f64> {
        match self.outcome {
            Some(RUNNING) => self.start.or(self.completion),
            _ => self.completion.or(self.start),
        }
    }
}

fn outcome(
    running: Option<f64>,
    success: Option<f64>,
    exit_code: Option<f64>,
) -> Option<&'static str> {
    let is_success = match (success, exit_code) {
        (Some(success), _) => success == 1.0,
        (None, Some(code)) => code == 0.0,
        (None, None) => return (running == Some(1.0)).then_some(RUNNING),
    };
    Some(match (running, is_success) {
        (Some(1.0), _) => RUNNING,
        (_, true) => Outcome::Success(0).name(),
        (_, false) => Outcome::Failure(1).name(),
    })
}

/// Value of the group's metric whose name is `prefix` and `name`.
fn number(group: &Group, prefix: &str, name: &str) -> Option<f64> {
    let mut families = group.families.iter();
    let family = families.find(|family| family.name.strip_prefix(prefix) == Some(name))?;
    match family.metrics.first()?.value {
        Value::Number(value) => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use metricsjob_metrics::{GroupingKey, text};

    #[track_caller]
    fn report(metrics: &str) -> LastReport {
        LastReport::of(&Group {
            key: GroupingKey::new("j", []).unwrap(),
            push_time: 1.0,
            push_failure_time: 0.0,
            families: text::parse(metrics.as_bytes()).unwrap(),
        })
    }

    #[test]
    fn outcomes() {
        let completed = "p_last_completion_timestamp_seconds 5\n";
        for (metrics, expected) in [
            ("p_success 1\n", Some("success")),
            ("p_success 0\np_exit_code 0\n", Some("failure")),
            ("p_success NaN\n", Some("failure")),
            ("p_exit_code 0\n", Some("success")),
            ("p_exit_code 143\n", Some("failure")),
            ("p_running 0\np_success 1\n", Some("success")),
            ("p_running 1\np_success 0\n", Some("running")),
            // Of somebody else.
            ("q_success 0\n", None),
            ("", None),
        ] {
            let found = report(&format!("{completed}{metrics}")).outcome;
            assert_eq!(found, expected, "{metrics}");
        }
        assert_eq!(report("p_success 0\n").outcome, None);
        let first = report("p_start_timestamp_seconds 7\np_running 1\n");
        assert_eq!(
            (first.outcome, first.last_run()),
            (Some("running"), Some(7.0))
        );
    }

    #[test]
    fn late_is_who_has_a_deadline_and_did_not_meet_it() {
        let is_late = |metrics: &str| {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
            report(metrics).is_late(now)
        };
        assert!(!is_late("batch_job_success 0\n"));
        assert!(is_late("batch_job_deadline_timestamp_seconds 99\n"));
        assert!(!is_late("batch_job_deadline_timestamp_seconds 100\n"));
        assert!(!is_late("batch_job_deadline_timestamp_seconds NaN\n"));
        let prefixed = "p_last_completion_timestamp_seconds 98\np_deadline_timestamp_seconds 97\n";
        assert!(is_late(prefixed));
        assert!(is_late(&format!(
            "{prefixed}p_last_success_timestamp_seconds 96\n"
        )));
        assert!(!is_late(&format!(
            "{prefixed}p_last_success_timestamp_seconds 97\n"
        )));
    }
}
