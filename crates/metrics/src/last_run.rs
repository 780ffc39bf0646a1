//! The last run of a job, as a gateway's group tells it.

use super::family::Value;
use super::group::Group;

const ENDED_AT: &str = "last_completion_timestamp_seconds";
const STARTED_AT: &str = "start_timestamp_seconds";
const DEADLINE: &str = "deadline_timestamp_seconds";

/// Beginning of the names of metrics that every report may have, whatever the job's own prefix is.
const OF_ALL_JOBS: &str = "batch_job_";

/// The last run of a job, read from the metrics that a runner reports under the job's prefix.
///
/// The prefix is not in the report. It is found by the time of completion, or before the first completion by that of
/// the start. If a group has several, because the prefix was changed, the newest run counts; prefixes with the same
/// time are of one report, and complement each other. Where no run has left a time, the prefix is `batch_job`.
///
/// A field is `None` if the group has no such metric, all of them if no run is known.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct LastRun {
    /// True while another run is going on, of which only the start is known.
    pub is_running: bool,
    /// Start of the newest run, in seconds since the epoch.
    pub started_at: Option<f64>,
    /// End of the last run that has ended, in seconds since the epoch.
    pub ended_at: Option<f64>,
    /// True if that run succeeded.
    pub is_success: Option<bool>,
    /// Exit code of that run.
    pub exit_code: Option<f64>,
    /// Duration of that run in seconds.
    pub duration: Option<f64>,
    /// End of the last run that succeeded, in seconds since the epoch.
    pub last_success: Option<f64>,
    /// Time by which the job is to have succeeded again, in seconds since the epoch. It may have the prefix
    /// `batch_job` beside a job with another one.
    pub deadline: Option<f64>,
}

impl LastRun {
    /// Reads the last run of the job whose report the group holds.
    pub fn of(group: &Group) -> LastRun {
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
        names: impl Iterator<Item = &'a str> + Clone,
        value: impl Fn(&str) -> Option<f64>,
    ) -> LastRun {
        let mut prefixes = newest(names.clone(), ENDED_AT, &value);
        if prefixes.is_empty() {
            prefixes = newest(names, STARTED_AT, &value);
        }
        if prefixes.is_empty() {
            prefixes.push(OF_ALL_JOBS);
        }
        let metric = |name: &str| {
            let mut prefixes = prefixes.iter();
            prefixes.find_map(|prefix| value(&format!("{prefix}{name}")))
        };
        let exit_code = metric("exit_code");
        LastRun {
            is_running: metric("running") == Some(1.0),
            started_at: metric(STARTED_AT),
            ended_at: metric(ENDED_AT),
            is_success: match metric("success") {
                Some(success) => Some(success == 1.0),
                None => exit_code.map(|code| code == 0.0),
            },
            exit_code,
            duration: metric("duration_seconds"),
            last_success: metric("last_success_timestamp_seconds"),
            deadline: metric(DEADLINE).or_else(|| value(&format!("{OF_ALL_JOBS}{DEADLINE}"))),
        }
    }

    /// Returns the outcome in one word: `running`, `success` or `failure`.
    pub fn outcome(&self) -> Option<&'static str> {
        match self.is_success {
            _ if self.is_running => Some("running"),
            Some(true) => Some("success"),
            Some(false) => Some("failure"),
            None => None,
        }
    }

    /// Returns true if the run is known to have failed, and no other one is running.
    pub fn has_failed(&self) -> bool {
        self.is_success == Some(false) && !self.is_running
    }

    /// Returns true if the deadline has passed before `now`, in seconds since the epoch, and no run has succeeded since.
    /// Without a deadline no job is late.
    pub fn is_late(&self, now: f64) -> bool {
        self.deadline.is_some_and(|deadline| {
            let is_met = self.last_success.is_some_and(|success| success >= deadline);
            deadline < now && !is_met
        })
    }

    /// Returns the time of the last sign of a run, in seconds since the epoch: its start while it is running, else its
    /// end.
    pub fn last_sign(&self) -> Option<f64> {
        if self.is_running {
            self.started_at.or(self.ended_at)
        } else {
            self.ended_at.or(self.started_at)
        }
    }
}

/// Returns what stands before `mark` in the names of the families with the greatest value.
fn newest<'a>(
    names: impl Iterator<Item = &'a str>,
    mark: &str,
    value: impl Fn(&str) -> Option<f64>,
) -> Vec<&'a str> {
    let mut prefixes = Vec::new();
    let mut newest = f64::NEG_INFINITY;
    for name in names {
        let Some((prefix, time)) = name.strip_suffix(mark).zip(value(name)) else {
            continue;
        };
        if time > newest {
            prefixes.clear();
            newest = time;
        }
        if time == newest {
            prefixes.push(prefix);
        }
    }
    prefixes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Family, GroupingKey, Kind, Labels, text};

    fn group(families: Vec<Family>) -> Group {
        Group {
            key: GroupingKey::new("j", []).unwrap(),
            push_time: 1.0,
            push_failure_time: 0.0,
            ttl: None,
            families,
        }
    }

    fn last_run(families: &[(&str, f64)]) -> LastRun {
        let families = families.iter();
        let gauge = |(name, value): &(&str, f64)| Family::gauge(*name, "", *value);
        LastRun::of(&group(families.map(gauge).collect()))
    }

    #[track_caller]
    fn parsed(metrics: &str) -> LastRun {
        LastRun::of(&group(text::parse(metrics.as_bytes()).unwrap()))
    }

    #[test]
    fn no_run_was_reported() {
        let none = LastRun::default();
        assert_eq!(last_run(&[]), none);
        let others = [("a_success", 0.0), ("a_duration_seconds", 1.0)];
        assert_eq!(last_run(&others), none);
        assert_eq!(last_run(&[(ENDED_AT, f64::NAN)]), none);
        let summary = Value::zero(Kind::Summary);
        let family = Family::new(ENDED_AT, "", Kind::Summary, [(Labels::new(), summary)]);
        assert_eq!(LastRun::of(&group(vec![family])), none);
        assert_eq!((none.outcome(), none.last_sign()), (None, None));
        assert!(!none.has_failed() && !none.is_late(f64::INFINITY));
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
                (&name(STARTED_AT), 98.0),
                (&name("success"), 0.0),
                ("other_exit_code", 9.0),
            ]);
            let expected = LastRun {
                is_running: false,
                started_at: Some(98.0),
                ended_at: Some(100.0),
                is_success: Some(false),
                exit_code: Some(3.0),
                duration: Some(2.0),
                last_success: Some(50.0),
                deadline: None,
            };
            assert_eq!(run, expected, "{prefix}");
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
        };
        let newest = run(100.0, 200.0);
        assert_eq!((newest.ended_at, newest.has_failed()), (Some(200.0), false));
        assert!(!newest.is_late(1e9));
        // Two prefixes in one report complement each other.
        let both = run(200.0, 200.0);
        assert_eq!((both.has_failed(), both.exit_code), (true, Some(0.0)));
    }

    /// A report has families of its own prefix, and some of them under `batch_job` too.
    #[test]
    fn a_report_under_two_prefixes() {
        let own = "db_exit_code 3\ndb_last_completion_timestamp_seconds 100\ndb_start_timestamp_seconds 98\n\
                   db_success 0\n";
        let uniform = "batch_job_deadline_timestamp_seconds 50\nbatch_job_duration_seconds 2\n\
                       batch_job_last_completion_timestamp_seconds 100\n\
                       batch_job_last_success_timestamp_seconds 40\nbatch_job_success 0\n";
        let run = parsed(&format!("{own}{uniform}"));
        let expected = LastRun {
            is_running: false,
            started_at: Some(98.0),
            ended_at: Some(100.0),
            is_success: Some(false),
            exit_code: Some(3.0),
            duration: Some(2.0),
            last_success: Some(40.0),
            deadline: Some(50.0),
        };
        assert_eq!(run, expected);
        assert!(run.is_late(100.0));
        // The next run is on its way.
        let started = own.replace(" 98", " 110");
        let running = parsed(&format!("{started}db_running 1\n{uniform}"));
        let sign = (running.outcome(), running.last_sign());
        assert_eq!(sign, (Some("running"), Some(110.0)));
        assert_eq!(running.deadline, Some(50.0));
        // Those of `batch_job` are left over from an earlier report.
        let before = uniform.replace(" 100", " 90");
        let newer = parsed(&format!("{own}{before}"));
        assert_eq!((newer.duration, newer.last_success), (None, None));
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
            let run = parsed(&format!("{completed}{metrics}"));
            assert_eq!(run.outcome(), expected, "{metrics}");
            assert_eq!(run.has_failed(), expected == Some("failure"), "{metrics}");
        }
        assert_eq!(parsed("p_success 0\n").outcome(), None);
    }

    #[test]
    fn the_first_run_is_known_by_its_start() {
        let first =
            parsed("p_start_timestamp_seconds 7\np_running 1\nq_start_timestamp_seconds 6\n");
        let sign = (first.outcome(), first.last_sign(), first.ended_at);
        assert_eq!(sign, (Some("running"), Some(7.0), None));
        let second = parsed(
            "p_start_timestamp_seconds 7\np_running 1\nq_last_completion_timestamp_seconds 6\nq_success 1\n",
        );
        assert_eq!(second.outcome(), Some("success"));
    }

    #[test]
    fn late_only_if_the_report_tells_when_the_next_is_due() {
        let run = |deadline: &[(&str, f64)]| {
            let end = (ENDED_AT, 100.0);
            last_run(&[&[end], deadline].concat())
        };
        assert!(!run(&[]).is_late(1e12));
        let due = run(&[(DEADLINE, 150.0)]);
        assert!(!due.is_late(150.0) && due.is_late(150.1));
        assert!(!run(&[(DEADLINE, f64::NAN)]).is_late(1e12));
        let success = |at| ("last_success_timestamp_seconds", at);
        let deadline = (DEADLINE, 150.0);
        assert!(run(&[deadline, success(149.0)]).is_late(151.0));
        assert!(!run(&[deadline, success(150.0)]).is_late(151.0));
    }

    /// Somebody may push a deadline beside the reports of a job, or before the first of them.
    #[test]
    fn a_deadline_under_the_default_prefix() {
        let is_late = |metrics: &str| parsed(metrics).is_late(100.0);
        assert!(!is_late("batch_job_success 0\n"));
        assert!(is_late("batch_job_deadline_timestamp_seconds 99\n"));
        assert!(!is_late("batch_job_deadline_timestamp_seconds 100\n"));
        let met = "batch_job_last_success_timestamp_seconds 99\n";
        assert!(!is_late(&format!(
            "batch_job_deadline_timestamp_seconds 99\n{met}"
        )));
        let reported =
            "p_last_completion_timestamp_seconds 98\np_last_success_timestamp_seconds 98\n";
        let beside = |deadline: &str| is_late(&format!("{reported}{deadline}"));
        assert!(beside("batch_job_deadline_timestamp_seconds 99\n"));
        assert!(!beside("batch_job_deadline_timestamp_seconds 98\n"));
        // The job's own takes precedence.
        assert!(!beside(
            "batch_job_deadline_timestamp_seconds 99\np_deadline_timestamp_seconds 98\n"
        ));
    }
}
