//! History of finished runs.

use std::borrow::Cow;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::checksum::RUNS;
use super::counters::{self, Counter};
use super::notified::{self, Addressed, Notified};
use super::outbox_content::Content;
use super::{State, StateError, outbox, push_stats, reported};
use crate::key_column::KeyColumn;
use metricsjob_metrics::{Family, GroupingKey, Push, json, text};

/// A finished run. Times are in seconds since the epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedRun {
    /// Unique identifier.
    pub run_id: String,
    /// The job's name, which can differ from the label `job` of the grouping key.
    pub name: String,
    pub key: GroupingKey,
    pub started_at: f64,
    pub ended_at: f64,
    /// Seconds, by a monotonic clock.
    pub duration: f64,
    /// The outcome in one word.
    pub outcome: String,
    pub exit_code: u8,
    /// The reason why it did not succeed, beyond the outcome.
    pub failure: Option<String>,
    pub attempts: u32,
    /// CPU time in seconds.
    pub cpu_user: f64,
    pub cpu_system: f64,
    /// The peak of resident memory in bytes.
    pub max_rss: u64,
    /// The job's own metrics.
    pub metrics: Vec<Family>,
    /// The last lines of its stderr, if they were to be kept.
    pub tail: Vec<String>,
}

impl RecordedRun {
    /// Converts the run to JSON, as programs get it.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "run_id": self.run_id,
            "name": self.name,
            "job": self.key.job(),
            "grouping": self.key.labels(),
            "outcome": self.outcome,
            "exit_code": self.exit_code,
            "failure": self.failure,
            "start_timestamp_seconds": json::number(self.started_at),
            "completion_timestamp_seconds": json::number(self.ended_at),
            "duration_seconds": json::number(self.duration),
            "attempts": self.attempts,
            "cpu_user_seconds": json::number(self.cpu_user),
            "cpu_system_seconds": json::number(self.cpu_system),
            "max_rss_bytes": self.max_rss,
            "metrics": self.metrics.iter().map(json::family).collect::<Vec<_>>(),
            "tail": self.tail,
        })
    }
}

/// Past of a group, as far as a report needs it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GroupPast {
    /// Its counters that accumulate over runs.
    pub totals: Vec<Counter>,
    /// End of the last run that succeeded, in seconds since the epoch, if that was asked for and there was one.
    pub last_success: Option<f64>,
    /// Knowledge of those who are notified of the job, if that was asked for.
    pub notified: Notified,
}

/// Parameters of [`State::record`] besides the run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Recording<'a> {
    /// Increments of the group's counters.
    pub increments: &'a [Counter],
    /// How many runs of the job are kept.
    pub keep: u32,
    /// Everything that the report is for.
    pub destinations: &'a [String],
    /// The gateways among it.
    pub gateways: &'a [String],
    /// Prefix of the runner's metrics.
    pub prefix: &'a str,
    /// Name of the outcome of a success, if the report needs the time of the last one.
    pub success: Option<&'a str>,
    /// True if anybody is notified of the job's events.
    pub is_notified: bool,
}

/// Content that a run leaves to be delivered.
#[derive(Debug, Clone)]
pub struct Outgoing<E> {
    pub push: RecordedPush<E>,
    pub notifications: Vec<Addressed>,
    /// Knowledge of those who are notified of the job after that; unused unless [`Recording::is_notified`].
    pub notified: Notified,
}

/// Ids of the entries in the outbox of what a run leaves.
#[derive(Debug, Clone, Default)]
pub struct RunEntries {
    /// Entries of the report, one for each destination.
    pub of_push: Vec<i64>,
    /// One for each notification.
    pub of_notifications: Vec<i64>,
}

/// The push of a recorded run's report, or the reason why there is none; `None` if none was wanted.
pub type RecordedPush<E> = Option<Result<Push, E>>;

/// Runs whose id begins with a text.
#[derive(Debug, Clone, PartialEq)]
pub enum RunOfId {
    None,
    One(Box<RecordedRun>),
    /// Some of their ids.
    Several(Vec<String>),
}

const INSERT: &str =
    "INSERT INTO runs (id, run_id, name, job, grouping_key, started_at, ended_at, duration, outcome,
                     exit_code, failure, attempts, cpu_user, cpu_system, max_rss, metrics, tail, checksum)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
                     row_checksum('runs', ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15,
                         ?16, ?17))";

const NEXT_ID: &str = "SELECT coalesce(max(id), 0) + 1 FROM runs";

const IS_RECORDED: &str = "SELECT EXISTS (SELECT 1 FROM runs WHERE run_id = ?)";

/// Columns in the order of [`read`].
const COLUMNS: &str =
    "run_id, name, grouping_key, started_at, ended_at, duration, outcome, exit_code,
                       failure, attempts, cpu_user, cpu_system, max_rss, metrics, tail";

/// Deletes all but the last runs of a job.
const PRUNE: &str = "DELETE FROM runs WHERE job = ?1 AND id <=
                     (SELECT id FROM runs WHERE job = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)";

impl State {
    /// Prepares the statements of [`record`](Self::record), so that the first call is fast.
    pub(super) fn prepare_record(&mut self) -> Result<(), StateError> {
        self.with(|connection| {
            for statement in [
                INSERT,
                NEXT_ID,
                PRUNE,
                counters::ADD,
                counters::SELECT,
                outbox::INSERT,
                outbox::NEXT_ID,
                outbox::WAITING_IDS,
                outbox::DELETE,
                outbox::LEFT,
                push_stats::ADD,
                reported::UPDATE,
            ] {
                connection.prepare_cached(statement)?;
            }
            Ok(())
        })
    }

    /// Records `run`, adds the increments to the counters of its group, and enqueues what `report` makes from the past of
    /// the group, the run included: the push for each gateway, and the notifications. All of it is one transaction. Deletes
    /// all but the last runs of the job, which does not change counters. Returns what `report` has made, and the ids of
    /// its entries in the outbox.
    pub fn record<E>(
        &mut self,
        run: &RecordedRun,
        recording: &Recording<'_>,
        report: impl Fn(&GroupPast) -> Outgoing<E>,
    ) -> Result<(Outgoing<E>, RunEntries), StateError> {
        let Recording {
            increments,
            keep,
            destinations,
            gateways,
            prefix,
            success,
            is_notified,
        } = *recording;
        let past = |transaction: &Connection| -> rusqlite::Result<GroupPast> {
            let mut past = past(transaction, run, success)?;
            if is_notified {
                past.notified = notified::read(transaction, &run.name, &run.key)?;
            }
            Ok(past)
        };
        // An attempt that was committed to a database that was then moved aside may have been carried over into this
        // one.
        let mut before: Option<(Notified, RunEntries)> = None;
        self.write(|transaction| {
            if let Some((notified, entries)) = &before
                && transaction.query_row(IS_RECORDED, [&run.run_id], |row| row.get(0))?
            {
                let past = GroupPast {
                    notified: notified.clone(),
                    ..past(transaction)?
                };
                return Ok((report(&past), entries.clone()));
            }
            let job = run.key.job();
            let id: i64 = transaction
                .prepare_cached(NEXT_ID)?
                .query_row([], |row| row.get(0))?;
            transaction.prepare_cached(INSERT)?.execute(params![
                id,
                run.run_id,
                run.name,
                job,
                KeyColumn(&run.key),
                run.started_at,
                run.ended_at,
                run.duration,
                run.outcome,
                run.exit_code,
                run.failure,
                run.attempts,
                run.cpu_user,
                run.cpu_system,
                i64::try_from(run.max_rss).unwrap_or(i64::MAX),
                text::encode(&run.metrics),
                run.tail.join("\n"),
            ])?;
            transaction
                .prepare_cached(PRUNE)?
                .execute(params![job, keep])?;
            counters::add(transaction, &run.key, increments)?;
            let past = past(transaction)?;
            let outgoing = report(&past);
            let mut entries = RunEntries::default();
            if let Some(Ok(push)) = &outgoing.push {
                reported::note(transaction, run, gateways, prefix)?;
                let push = Content::Push(Cow::Borrowed(push));
                entries.of_push = outbox::enqueue(transaction, &push, destinations)?;
            }
            if is_notified {
                let job = (&*run.name, &run.key);
                notified::write(transaction, job, &outgoing.notified, run.ended_at)?;
                let notifications = &outgoing.notifications;
                entries.of_notifications = notified::enqueue(transaction, notifications)?;
            }
            before = Some((past.notified, entries.clone()));
            Ok((outgoing, entries))
        })
    }

    /// Returns the end of the last run with the outcome `outcome` of the job with this name and grouping key, in seconds
    /// since the epoch.
    pub fn last_end(
        &mut self,
        name: &str,
        key: &GroupingKey,
        outcome: &str,
    ) -> Result<Option<f64>, StateError> {
        self.with(|connection| last_end(connection, name, key, outcome))
    }

    /// Returns the past of the group of `run`, with the time of the last run of the outcome `success`; without what was
    /// notified of.
    pub fn past(
        &mut self,
        run: &RecordedRun,
        success: Option<&str>,
    ) -> Result<GroupPast, StateError> {
        self.with(|connection| past(connection, run, success))
    }

    /// Returns the run with this id.
    pub fn run(&mut self, run_id: &str) -> Result<Option<RecordedRun>, StateError> {
        self.with(|connection| {
            let is_right = RUNS.is_right_sql();
            let select = format!("SELECT {COLUMNS} FROM runs WHERE run_id = ? AND {is_right}");
            let mut statement = connection.prepare_cached(&select)?;
            statement.query_row([run_id], read).optional()
        })
    }

    /// Returns the run with this id, else the one whose id begins with it.
    pub fn run_of_id(&mut self, beginning: &str) -> Result<RunOfId, StateError> {
        if let Some(run) = self.run(beginning)? {
            return Ok(RunOfId::One(Box::new(run)));
        }
        let mut found: Vec<RecordedRun> = self.with(|connection| {
            let is_right = RUNS.is_right_sql();
            let select = format!(
                "SELECT {COLUMNS} FROM runs WHERE substr(run_id, 1, length(?1)) = ?1 AND ?1 <> '' AND {is_right}
                 ORDER BY id DESC LIMIT 2"
            );
            let mut select = connection.prepare(&select)?;
            select.query_map([beginning], read)?.collect()
        })?;
        Ok(match (found.pop(), found.is_empty()) {
            (None, _) => RunOfId::None,
            (Some(run), true) => RunOfId::One(Box::new(run)),
            (Some(run), false) => {
                let ids = found.into_iter().chain([run]).map(|run| run.run_id);
                RunOfId::Several(ids.collect())
            }
        })
    }

    /// Returns the last `last` runs of the job with both this name and this label `job`, the newest first.
    pub fn runs_of(
        &mut self,
        name: &str,
        job: &str,
        last: u32,
    ) -> Result<Vec<RecordedRun>, StateError> {
        self.with(|connection| {
            let is_right = RUNS.is_right_sql();
            let select = format!(
                "SELECT {COLUMNS} FROM runs WHERE job = ? AND name = ? AND {is_right}
                 ORDER BY id DESC LIMIT ?"
            );
            connection
                .prepare_cached(&select)?
                .query_map(params![job, name, last], read)?
                .collect()
        })
    }

    /// Returns the last run of this job with the outcome `outcome`.
    pub fn last_run(
        &mut self,
        name: &str,
        job: &str,
        outcome: &str,
    ) -> Result<Option<RecordedRun>, StateError> {
        self.with(|connection| {
            let is_right = RUNS.is_right_sql();
            let select = format!(
                "SELECT {COLUMNS} FROM runs WHERE job = ? AND name = ? AND outcome = ? AND {is_right}
                 ORDER BY id DESC LIMIT 1"
            );
            let mut statement = connection.prepare_cached(&select)?;
            statement
                .query_row(params![job, name, outcome], read)
                .optional()
        })
    }

    /// Returns the last `last` runs of the same job and grouping key as `run` with the outcome `outcome`, the newest first.
    pub fn last_runs(
        &mut self,
        run: &RecordedRun,
        outcome: &str,
        last: u32,
    ) -> Result<Vec<RecordedRun>, StateError> {
        self.with(|connection| {
            let is_right = RUNS.is_right_sql();
            let select = format!(
                "SELECT {COLUMNS} FROM runs WHERE job = ? AND name = ? AND grouping_key = ? AND outcome = ? AND {is_right}
                 ORDER BY id DESC LIMIT ?"
            );
            let key = KeyColumn(&run.key);
            connection
                .prepare_cached(&select)?
                .query_map(params![run.key.job(), run.name, key, outcome, last], read)?
                .collect()
        })
    }

    /// Returns the last `last` runs, the newest first, of all jobs or of those whose name or label `job` is `job`.
    pub fn history(
        &mut self,
        job: Option<&str>,
        last: u32,
    ) -> Result<Vec<RecordedRun>, StateError> {
        self.with(|connection| {
            let is_right = RUNS.is_right_sql();
            let select = format!(
                "SELECT {COLUMNS} FROM runs WHERE (?1 IS NULL OR job = ?1 OR name = ?1) AND {is_right}
                 ORDER BY id DESC LIMIT ?2"
            );
            connection
                .prepare(&select)?
                .query_map(params![job, last], read)?
                .collect()
        })
    }
}

fn past(
    connection: &Connection,
    run: &RecordedRun,
    success: Option<&str>,
) -> rusqlite::Result<GroupPast> {
    let last_success = match success {
        Some(success) => last_end(connection, &run.name, &run.key, success)?,
        None => None,
    };
    Ok(GroupPast {
        totals: counters::select(connection, &run.key)?,
        last_success,
        notified: Notified::default(),
    })
}

/// End of the job's last run of the outcome `outcome`, in seconds since the epoch.
pub(super) fn last_end(
    connection: &Connection,
    name: &str,
    key: &GroupingKey,
    outcome: &str,
) -> rusqlite::Result<Option<f64>> {
    let is_right = RUNS.is_right_sql();
    let select = format!(
        "SELECT ended_at FROM runs WHERE job = ? AND name = ? AND grouping_key = ? AND outcome = ? AND {is_right}
         ORDER BY id DESC LIMIT 1"
    );
    let mut select = connection.prepare_cached(&select)?;
    let row = params![key.job(), name, KeyColumn(key), outcome];
    select.query_row(row, |row| row.get(0)).optional()
}

/// Deletes runs that cannot be read. Returns their number.
pub(super) fn drop_unreadable(connection: &Connection) -> rusqlite::Result<u64> {
    let mut delete = connection.prepare("DELETE FROM runs WHERE id = ?")?;
    let ids = unreadable(connection)?;
    let dropped = ids.iter().map(|id| delete.execute([id]));
    Ok(dropped.sum::<rusqlite::Result<usize>>()? as u64)
}

/// Returns the rowids of runs that cannot be read or have a wrong checksum.
pub(super) fn unreadable(connection: &Connection) -> rusqlite::Result<Vec<i64>> {
    let select = format!("SELECT {COLUMNS}, id, {} FROM runs", RUNS.is_right_sql());
    let mut select = connection.prepare(&select)?;
    let mut rows = select.query([])?;
    let mut ids = Vec::new();
    while let Some(row) = rows.next()? {
        if !row.get::<_, bool>(16)? || read(row).is_err() {
            ids.push(row.get(15)?);
        }
    }
    Ok(ids)
}

fn read(row: &Row<'_>) -> rusqlite::Result<RecordedRun> {
    let (metrics, tail): (String, String) = (row.get(13)?, row.get(14)?);
    Ok(RecordedRun {
        run_id: row.get(0)?,
        name: row.get(1)?,
        key: row.get::<_, KeyColumn<GroupingKey>>(2)?.0,
        started_at: row.get(3)?,
        ended_at: row.get(4)?,
        duration: row.get(5)?,
        outcome: row.get(6)?,
        exit_code: row.get(7)?,
        failure: row.get(8)?,
        attempts: row.get(9)?,
        cpu_user: row.get(10)?,
        cpu_system: row.get(11)?,
        max_rss: row.get(12)?,
        // A run whose metrics cannot be parsed must not hide the others.
        metrics: text::parse(metrics.as_bytes()).unwrap_or_default(),
        tail: if tail.is_empty() {
            Vec::new()
        } else {
            tail.split('\n').map(str::to_owned).collect()
        },
    })
}
