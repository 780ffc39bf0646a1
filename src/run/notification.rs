//! Events of a job that somebody is notified of.

use std::time::SystemTime;

use serde_json::{Value as Json, json};

use super::expected::unmet;
use super::outcome::Outcome;
use super::report::outcome;
use crate::job::{Job, NotifyForm};
use metricsjob_client::host;
use metricsjob_metrics::json::number;
use metricsjob_metrics::{GroupingKey, system_time, unix_seconds};
use metricsjob_state::history::RecordedRun;
use metricsjob_state::notified::{Addressed, Notified};
use metricsjob_state::outbox::Notification;

/// Version of the JSON. It rises when a field changes or goes, and not for a new one.
const VERSION: u32 = 1;

/// Event of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobEvent {
    /// A success after a success, which only pings are sent for.
    Success,
    Failure,
    /// A success with a metric that is not in its expected range.
    ExpectationNotMet,
    /// The first run without a problem after one with a problem, or after the job was late.
    Recovery,
    /// The next success has not come by its deadline.
    Late,
}

impl JobEvent {
    pub fn name(self) -> &'static str {
        match self {
            JobEvent::Success => "success",
            JobEvent::Failure => "failure",
            JobEvent::ExpectationNotMet => "expectation_not_met",
            JobEvent::Recovery => "recovery",
            JobEvent::Late => "late",
        }
    }
}

/// Notifications that follow from the end of `run`, and what those who are notified know then, `past` being what they know
/// now. Skipped runs change nothing.
pub fn of_run(run: &RecordedRun, job: &Job, past: &Notified) -> (Vec<Addressed>, Notified) {
    let problem = match outcome(run) {
        Outcome::Skipped => return (Vec::new(), past.clone()),
        Outcome::Success(_) if unmet(run, job).is_empty() => None,
        Outcome::Success(_) => Some(JobEvent::ExpectationNotMet),
        _ => Some(JobEvent::Failure),
    };
    let notify = &job.policy.notify;
    let (is_due, known) = judge(problem, past, notify.every);
    let event = problem.unwrap_or(if is_due {
        JobEvent::Recovery
    } else {
        JobEvent::Success
    });
    let mut json = None;
    let targets = notify.to.iter();
    let wanted = targets.filter(|target| is_due || target.form == NotifyForm::Ping);
    let notifications = wanted.map(|target| {
        let json = json.get_or_insert_with(|| {
            let row = known.bad_runs.max(past.bad_runs);
            about_run(event, run, job, row).to_string()
        });
        (target.name(), notification(&run.key, json, run.ended_at))
    });
    (notifications.collect(), known)
}

/// Notifications that the job is late for `deadline`, which follows from its success at `last_success`, in seconds since
/// the epoch. Pings are none: who gets them keeps a deadline of its own.
pub fn of_late(
    job: &Job,
    key: &GroupingKey,
    last_success: f64,
    deadline: SystemTime,
) -> Vec<Addressed> {
    let json = about_late(job, key, last_success, deadline).to_string();
    let targets = job.policy.notify.to.iter();
    let wanted = targets.filter(|target| target.form != NotifyForm::Ping);
    let notifications = wanted.map(|target| {
        (
            target.name(),
            notification(key, &json, unix_seconds(deadline)),
        )
    });
    notifications.collect()
}

fn notification(key: &GroupingKey, json: &str, produced_at: f64) -> Notification {
    Notification {
        key: key.clone(),
        json: json.to_owned(),
        produced_at: system_time(produced_at),
    }
}

/// Returns whether a run with this problem is an event to notify of, and what is known then: the first problem of a row is one,
/// as are another kind of problem, each `every`th of the row (none if 0), and the end of the row.
fn judge(problem: Option<JobEvent>, past: &Notified, every: u32) -> (bool, Notified) {
    let Some(problem) = problem else {
        let is_recovery = past.bad_runs > 0 || past.late_for > 0.0;
        return (is_recovery, Notified::default());
    };
    let bad_runs = past.bad_runs.saturating_add(1);
    let is_nth = every > 0 && bad_runs.is_multiple_of(u64::from(every));
    let is_due = bad_runs == 1 || is_nth || past.problem != problem.name();
    let known = Notified {
        bad_runs,
        problem: problem.name().to_owned(),
        late_for: past.late_for,
    };
    (is_due, known)
}

fn about_run(event: JobEvent, run: &RecordedRun, job: &Job, row: u64) -> Json {
    let mut about = about(event, &run.run_id, job, &run.key);
    let head = head(job, &run.key);
    let in_a_row = match row {
        0 | 1 => String::new(),
        row => format!(", {row} runs with a problem in a row"),
    };
    let words = outcome(run);
    let unmet = unmet(run, job);
    about["summary"] = match event {
        JobEvent::Recovery if row == 0 => format!("{head}: recovered, it was late"),
        JobEvent::Recovery if row == 1 => format!("{head}: recovered, after a run with a problem"),
        JobEvent::Recovery => format!("{head}: recovered, after {row} runs with a problem"),
        JobEvent::ExpectationNotMet => {
            let texts: Vec<&str> = unmet.iter().map(|unmet| &*unmet.text).collect();
            format!("{head}: {words}, but {}{in_a_row}", texts.join(", "))
        }
        _ => format!("{head}: {words}{in_a_row}"),
    }
    .into();
    let Json::Object(of_run) = run.to_json() else {
        return about;
    };
    for (name, value) in of_run {
        // They can be many, and are on the gateway.
        if name != "metrics" {
            about[name] = value;
        }
    }
    about["problems_in_a_row"] = row.into();
    about["unmet"] = unmet
        .into_iter()
        .map(|unmet| {
            json!({
                "metric": unmet.expected.metric,
                "min": unmet.expected.min,
                "max": unmet.expected.max,
                "text": unmet.text,
            })
        })
        .collect();
    about
}

fn about_late(job: &Job, key: &GroupingKey, last_success: f64, deadline: SystemTime) -> Json {
    let id = format!("{:016x}", last_success.to_bits());
    let mut about = about(JobEvent::Late, &id, job, key);
    let shown = humantime::format_rfc3339_seconds(deadline);
    let head = head(job, key);
    about["summary"] = format!("{head}: late, the next success was due by {shown}").into();
    about["deadline_timestamp_seconds"] = number(unix_seconds(deadline));
    about["last_success_timestamp_seconds"] = number(last_success);
    about
}

/// Fields of every event. The id is the same each time that the event is sent; `id` is that of its run, or stands for the
/// success that was the last one.
fn about(event: JobEvent, id: &str, job: &Job, key: &GroupingKey) -> Json {
    let expected = &job.policy.expected;
    let plan = job.plan.as_ref();
    let next = plan.and_then(|plan| plan.schedule.next_after(SystemTime::now()));
    json!({
        "version": VERSION,
        "id": format!("{id}-{}", event.name()),
        "event": event.name(),
        "name": job.name,
        "job": key.job(),
        "grouping": key.labels(),
        "host": host::name(),
        "next_run_timestamp_seconds": next.map(|next| number(unix_seconds(next))),
        "severity": expected.severity,
        "owner": expected.owner,
        "runbook": expected.runbook,
    })
}

/// `backup {job="db_backup",db="customers"} on web1`.
fn head(job: &Job, key: &GroupingKey) -> String {
    let host = host::name().map(|host| format!(" on {host}"));
    format!("{} {{{key}}}{}", job.name, host.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Events of runs with these problems, one after the other: `.` is a run without one.
    fn events(problems: &str, every: u32) -> String {
        let mut known = Notified::default();
        let mut events = String::new();
        for problem in problems.chars() {
            let problem = match problem {
                'f' => Some(JobEvent::Failure),
                'e' => Some(JobEvent::ExpectationNotMet),
                _ => None,
            };
            let (is_due, after) = judge(problem, &known, every);
            known = after;
            events.push(if is_due { '!' } else { '.' });
        }
        events
    }

    #[test]
    fn rows() {
        assert_eq!(events("..f..", 0), "..!!.");
        assert_eq!(events("ffff.f", 0), "!...!!");
        assert_eq!(events("ffffffff.", 3), "!.!..!..!");
        assert_eq!(events("ff", 1), "!!");
        assert_eq!(events("ffeef.", 0), "!.!.!!");
    }

    #[test]
    fn a_late_job_recovers() {
        let late = Notified {
            late_for: 5.0,
            ..Notified::default()
        };
        assert_eq!(judge(None, &late, 0), (true, Notified::default()));
        let (is_due, failed) = judge(Some(JobEvent::Failure), &late, 0);
        assert!(is_due && failed.late_for == 5.0);
    }
}
