//! The last run of a job, as a gateway's group tells it.

use super::family::Value;
use super::group::Group;

/// Suffix of the metric that every report of a run has, after the job's prefix.
const ENDED_AT: &str = "last_completion_timestamp_seconds";

/// The last run of a job, read from the metrics that a runner reports under the job's prefix.
///
/// The prefix is not in the report. It is found by the time of completion, which every report has; if a group
/// has several, because the prefix was changed, the newest run counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LastRun {
    /// End of the run, in seconds since the epoch.
    pub ended_at: f64,
    /// True if the run succeeded.
    pub is_success: Option<bool>,
    /// Exit code of the run.
    pub exit_code: Option<f64>,
    /// Duration of the run in seconds.
    pub duration: Option<f64>,
    /// End of the last run that succeeded, in seconds since the epoch.
    pub last_success: Option<f64>,
    /// Time by which the next report is due, in seconds since the epoch, if the report has
    /// `PREFIX_deadline_timestamp_seconds`.
    pub deadline: Option<f64>,
}

impl LastRun {
    /// Reads the last run of the job whose report the group holds. Returns `None` if no run has been reported.
    pub fn of(group: &Group) -> Option<LastRun> {
        let names = group.families.iter().map(|family| family.name.as_str());
        LastRun::find(names, |name| {
            let family = group.families.iter().find(|family| family.name == name)?;
            match family.metrics.first()?.value {
                Value::Number(value) => Some(value),
                _ => None,
            }
        })
    }

    /// Reads the last run from families with these `names`, of which `value` returns the value of the first
    /// series.
    pub fn find<'a>(
        names: impl Iterator<Item = &'a str>,
        value: impl Fn(&str) -> Option<f64>,
    ) -> Option<LastRun> {
        let ends = names.filter_map(|name| Some((name.strip_suffix(ENDED_AT)?, value(name)?)));
        let mut prefixes: Vec<&str> = Vec::new();
        let mut ended_at = f64::NEG_INFINITY;
        for (prefix, end) in ends {
            if end > ended_at {
                prefixes.clear();
                ended_at = end;
            }
            if end == ended_at {
                prefixes.push(prefix);
            }
        }
        if prefixes.is_empty() {
            return None;
        }
        let metric = |name: &str| {
            let mut prefixes = prefixes.iter();
            prefixes.find_map(|prefix| value(&format!("{prefix}{name}")))
        };
        Some(LastRun {
            ended_at,
            is_success: metric("success").map(|success| success != 0.0),
            exit_code: metric("exit_code"),
            duration: metric("duration_seconds"),
            last_success: metric("last_success_timestamp_seconds"),
            deadline: metric("deadline_timestamp_seconds"),
        })
    }

    /// Returns true if the run is known to have failed.
    pub fn has_failed(&self) -> bool {
        self.is_success == Some(false)
    }

    /// Returns true if the deadline has passed before `now`, in seconds since the epoch, and no run has succeeded since.
    pub fn is_late(&self, now: f64) -> bool {
        self.deadline.is_some_and(|deadline| {
            let is_met = self.last_success.is_some_and(|success| success >= deadline);
            deadline < now && !is_met
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Family, GroupingKey, Kind, Labels};

    fn last_run(families: &[(&str, f64)]) -> Option<LastRun> {
        let families = families.iter();
        LastRun::of(&Group {
            key: GroupingKey::new("j", []).unwrap(),
            push_time: 1.0,
            push_failure_time: 0.0,
            families: families
                .map(|(name, value)| Family::gauge(*name, "", *value))
                .collect(),
        })
    }

    #[test]
    fn no_run_was_reported() {
        assert_eq!(last_run(&[]), None);
        let others = [("a_success", 0.0), ("a_duration_seconds", 1.0)];
        assert_eq!(last_run(&others), None);
        assert_eq!(last_run(&[(ENDED_AT, f64::NAN)]), None);
        let summary = Value::zero(Kind::Summary);
        let family = Family::new(ENDED_AT, "", Kind::Summary, [(Labels::new(), summary)]);
        let group = Group {
            key: GroupingKey::new("j", []).unwrap(),
            push_time: 1.0,
            push_failure_time: 0.0,
            families: vec![family],
        };
        assert_eq!(LastRun::of(&group), None);
    }

    #[test]
    fn a_run_with_any_prefix() {
        for prefix in ["", "db_backup_", "a.b/"] {
            let name = |name| format!("{prefix}{name}");
            let run = last_run(&[
                (&name("duration_seconds"), 2.0),
                (&name("exit_code"), 3.0),
                (&name(ENDED_AT), 100.0),
                (&name("last_success_timestamp_seconds"), 50.0),
                (&name("success"), 0.0),
                ("other_exit_code", 9.0),
            ]);
            let expected = LastRun {
                ended_at: 100.0,
                is_success: Some(false),
                exit_code: Some(3.0),
                duration: Some(2.0),
                last_success: Some(50.0),
                deadline: None,
            };
            assert_eq!(run, Some(expected), "{prefix}");
        }
    }

    #[test]
    fn the_newest_run_counts() {
        let run = |old: f64, new: f64| {
            let (old_end, new_end) = (format!("a_{ENDED_AT}"), format!("b_{ENDED_AT}"));
            last_run(&[
                (&old_end, old),
                ("a_success", 0.0),
                ("a_deadline_timestamp_seconds", 10.0),
                (&new_end, new),
                ("b_success", 1.0),
                ("b_exit_code", 0.0),
            ])
            .unwrap()
        };
        let newest = run(100.0, 200.0);
        assert_eq!((newest.ended_at, newest.has_failed()), (200.0, false));
        assert!(!newest.is_late(1e9));
        // Two prefixes in one report complement each other.
        let both = run(200.0, 200.0);
        assert_eq!((both.has_failed(), both.exit_code), (true, Some(0.0)));
    }

    #[test]
    fn late_only_if_the_report_tells_when_the_next_is_due() {
        let run = |deadline: &[(&str, f64)]| {
            let end = (ENDED_AT, 100.0);
            last_run(&[&[end], deadline].concat()).unwrap()
        };
        assert!(!run(&[]).is_late(1e12));
        let due = run(&[("deadline_timestamp_seconds", 150.0)]);
        assert!(!due.is_late(150.0) && due.is_late(150.1));
        assert!(!run(&[("deadline_timestamp_seconds", f64::NAN)]).is_late(1e12));
        let success = |at| ("last_success_timestamp_seconds", at);
        let deadline = ("deadline_timestamp_seconds", 150.0);
        assert!(run(&[deadline, success(149.0)]).is_late(151.0));
        assert!(!run(&[deadline, success(150.0)]).is_late(151.0));
    }
}
