//! The form of a monitoring plugin: one line for Icinga, Nagios and what else reads their plugins, and an exit code.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::GroupRow;
use crate::cli::{console, exit};
use metricsjob::push::Gateway;
use metricsjob_metrics::{DEFAULT_PREFIX, Family, Group, Metric, Value, unix_seconds};

/// How many problems are in the line; the others are counted.
const MAX_PROBLEMS: usize = 5;

/// Longest name of a group, in characters.
const MAX_NAME: usize = 80;

/// Longest text before the performance data, in characters.
const MAX_TEXT: usize = 1000;

/// Size of the whole line in bytes: the smallest buffer that a release of Nagios has for it.
const MAX_LINE: usize = 4096;

/// Characters that are encoded in a label of performance data; quotes, `=` and `|` would end it.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'_')
    .remove(b'-')
    .remove(b'.')
    .remove(b':')
    .remove(b'@');

/// State of a service, the best first. Something unknown is worse than a warning, which would hide that a job may never
/// have run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServiceState {
    Ok,
    Warning,
    Unknown,
    Critical,
}

impl ServiceState {
    /// Returns the exit code by which a plugin says it.
    pub fn code(self) -> u8 {
        match self {
            ServiceState::Ok => 0,
            ServiceState::Warning => 1,
            ServiceState::Critical => 2,
            ServiceState::Unknown => exit::UNKNOWN,
        }
    }

    fn word(self) -> &'static str {
        match self {
            ServiceState::Ok => "OK",
            ServiceState::Warning => "WARNING",
            ServiceState::Unknown => "UNKNOWN",
            ServiceState::Critical => "CRITICAL",
        }
    }
}

/// Result of a check: the worst state of all, and the line about it.
pub struct Verdict {
    pub state: ServiceState,
    pub line: String,
}

/// A group, or a job without one, that is not as it should be.
struct Problem {
    state: ServiceState,
    job: String,
    text: String,
}

impl Verdict {
    /// Judges `rows`, which are those of `jobs` if any are given.
    pub fn of(rows: &[GroupRow], jobs: &[String], gateway: &Gateway, now: SystemTime) -> Verdict {
        // Others are of programs that push metrics and do not say how they end.
        let mut rows: Vec<&GroupRow> = rows.iter().filter(|row| is_of_runs(row)).collect();
        // A graph needs them in the same order each time.
        rows.sort_by(|a, b| a.group.key.cmp(&b.group.key));
        let seen: BTreeSet<&str> = rows.iter().map(|row| row.group.key.job()).collect();
        let jobs: BTreeSet<&str> = jobs.iter().map(String::as_str).collect();
        let unseen = jobs.difference(&seen).map(|job| Problem {
            state: ServiceState::Unknown,
            job: (*job).to_owned(),
            text: format!("{} has never reported a run", cut(job, MAX_NAME)),
        });
        let known = rows.iter().filter_map(|row| problem(row, now));
        let mut problems: Vec<Problem> = known.chain(unseen).collect();
        problems.sort_by_key(|problem| std::cmp::Reverse(problem.state));
        let state = match problems.first() {
            Some(worst) => worst.state,
            None if seen.is_empty() => ServiceState::Unknown,
            None => ServiceState::Ok,
        };
        let count = seen.union(&jobs).count();
        let text = match count {
            0 => format!("no job has reported a run to {}", gateway.place()),
            count => summary(count, &problems),
        };
        Verdict {
            state,
            line: line(state, &text, &rows, now),
        }
    }

    /// The check itself has failed.
    pub fn failed(error: &str) -> Verdict {
        let state = ServiceState::Unknown;
        Verdict {
            state,
            line: line(state, error.trim_end(), &[], SystemTime::now()),
        }
    }
}

/// Returns true if the group says how a run went, or would if its last push had not been refused.
fn is_of_runs(row: &GroupRow) -> bool {
    let run = &row.run;
    run.outcome().is_some()
        || run.last_sign().is_some()
        || run.deadline.is_some()
        || row.is_refused()
}

/// `12 jobs`, `2 of 12 jobs: a failed (exit code 3); b is late by 5m`.
fn summary(count: usize, problems: &[Problem]) -> String {
    let jobs = console::count(count as u64, "1 job", "jobs");
    if problems.is_empty() {
        return jobs;
    }
    let bad: BTreeSet<&str> = problems.iter().map(|it| it.job.as_str()).collect();
    let shown: Vec<&str> = problems.iter().map(|it| it.text.as_str()).collect();
    let rest = shown.len().saturating_sub(MAX_PROBLEMS);
    let shown = &shown[..shown.len() - rest];
    let mut text = format!("{} of {jobs}: {}", bad.len(), shown.join("; "));
    if rest > 0 {
        let _ = write!(text, "; and {rest} more");
    }
    text
}

/// All that is wrong with a group.
fn problem(row: &GroupRow, now: SystemTime) -> Option<Problem> {
    let GroupRow { group, run, .. } = row;
    let now = unix_seconds(now);
    let mut found = Vec::new();
    let grave = match severity(group) {
        Some("warning" | "info") => ServiceState::Warning,
        _ => ServiceState::Critical,
    };
    if run.has_failed() {
        let code = run.exit_code.filter(|code| *code != 0.0);
        let code = code.map(|code| format!(" (exit code {code})"));
        found.push((grave, format!("failed{}", code.unwrap_or_default())));
    }
    if let Some(deadline) = run.deadline.filter(|_| row.is_late) {
        found.push((grave, format!("is late by {}", rough(now - deadline))));
    }
    if let Some(longest) = own_number(group, "max_duration_seconds") {
        let started_at = run.started_at.filter(|_| run.is_running);
        let (took, word) = match started_at {
            Some(started_at) => (Some(now - started_at), "has run for"),
            None => (run.duration, "took"),
        };
        if let Some(took) = took.filter(|took| *took > longest) {
            let text = format!("{word} {} (at most {})", rough(took), rough(longest));
            found.push((ServiceState::Warning, text));
        }
    }
    if row.is_refused() {
        let text = "had its last push refused".to_owned();
        found.push((ServiceState::Warning, text));
    }
    let unmet: Vec<&str> = own_series(group, "expectation_met")
        .filter(|metric| metric.value == Value::Number(0.0))
        .map(|metric| metric.labels.get("metric").unwrap_or_default())
        .collect();
    if !unmet.is_empty() {
        let text = format!("has unexpected values of {}", unmet.join(", "));
        found.push((ServiceState::Warning, text));
    }
    let state = found.iter().map(|(state, _)| *state).max()?;
    let texts: Vec<String> = found.into_iter().map(|(_, text)| text).collect();
    Some(Problem {
        state,
        job: group.key.job().to_owned(),
        text: format!("{} {}", name(group), texts.join(", ")),
    })
}

/// Severity of alerts about the job, if it gives one.
fn severity(group: &Group) -> Option<&str> {
    own_series(group, "alerting_info").find_map(|metric| metric.labels.get("severity"))
}

fn own_number(group: &Group, name: &str) -> Option<f64> {
    own_series(group, name).find_map(|metric| match metric.value {
        Value::Number(value) => Some(value),
        _ => None,
    })
}

/// Series of a metric that has the same name for all jobs.
fn own_series<'a>(group: &'a Group, name: &str) -> impl Iterator<Item = &'a Metric> {
    let name = format!("{DEFAULT_PREFIX}_{name}");
    let is_meant = move |family: &&Family| family.name == name;
    let family = group.families.iter().find(is_meant);
    family.into_iter().flat_map(|family| &family.metrics)
}

/// `db_backup db=customers`.
fn name(group: &Group) -> String {
    let labels = console::labels(group.key.labels());
    let name = if labels.is_empty() {
        group.key.job().to_owned()
    } else {
        format!("{} {labels}", group.key.job())
    };
    cut(&name, MAX_NAME)
}

/// Puts the line together. Whatever its parts contain, it is one line with at most one `|`.
fn line(state: ServiceState, text: &str, rows: &[&GroupRow], now: SystemTime) -> String {
    let text = text.lines().collect::<Vec<_>>().join("; ");
    let text = console::visible(&text).replace('|', "\\u{7c}");
    let mut line = format!("JOBS {} - {}", state.word(), cut(&text, MAX_TEXT));
    let mut separator = " | ";
    for item in rows.iter().flat_map(|row| performance(row, now)) {
        // With its separator and the line feed. A graph may miss one, but no half of one.
        if line.len() + separator.len() + item.len() < MAX_LINE {
            line = line + separator + &item;
            separator = " ";
        }
    }
    line + "\n"
}

/// Age of the last success, with the deadline as its limit, and the duration of the last run.
fn performance(row: &GroupRow, now: SystemTime) -> Vec<String> {
    let GroupRow { group, run, .. } = row;
    let mut label = utf8_percent_encode(group.key.job(), ENCODED).to_string();
    for (name, value) in group.key.labels().iter() {
        let _ = write!(
            label,
            "/{}/{}",
            utf8_percent_encode(name, ENCODED),
            utf8_percent_encode(value, ENCODED)
        );
    }
    // `'label'=value[UOM];[warn];[crit];[min];[max]`; a limit is a range that begins at 0.
    let item = |what: &str, value: f64, warning: String, critical: String| {
        let value = value.max(0.0);
        format!("'{label}_{what}'={value}s;{warning};{critical};0")
    };
    let mut items = Vec::new();
    if let Some(success) = run.last_success.filter(|time| time.is_finite()) {
        let allowed = run.deadline.map(|deadline| (deadline - success).ceil());
        let allowed = allowed.filter(|allowed| allowed.is_finite() && *allowed >= 0.0);
        let allowed = allowed.map(|allowed| allowed.to_string());
        let limits = match (allowed, severity(group)) {
            (Some(allowed), Some("warning" | "info")) => (allowed, String::new()),
            (allowed, _) => (String::new(), allowed.unwrap_or_default()),
        };
        let age = (unix_seconds(now) - success).floor();
        items.push(item("age", age, limits.0, limits.1));
    }
    if let Some(duration) = run.duration.filter(|duration| duration.is_finite()) {
        let longest = own_number(group, "max_duration_seconds").filter(|limit| limit.is_finite());
        let longest = longest.map(|longest| longest.to_string());
        let rounded = (duration * 1000.0).round() / 1000.0;
        let longest = longest.unwrap_or_default();
        items.push(item("duration", rounded, longest, String::new()));
    }
    items
}

fn rough(seconds: f64) -> String {
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) => console::rough(duration),
        Err(_) => format!("{seconds}s"),
    }
}

/// The first characters of `text`, with an ellipsis where some are missing.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
