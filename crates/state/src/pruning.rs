//! What is dropped when the database is larger than it may be.

use std::fmt;
use std::path::{Path, PathBuf};

use indicatif::BinaryBytes;
use rusqlite::Connection;

use super::outbox;

/// How much is dropped at a time, in bytes: others wait for it with what they have to write. The rest follows.
const MAX_DROPPED_BYTES: u64 = 16 * 1024 * 1024;

/// The size of a database, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Space {
    pub total: u64,
    /// What of it is written over before the file grows.
    pub free: u64,
}

impl Space {
    pub fn used(self) -> u64 {
        self.total - self.free
    }
}

/// How far below `limit` pruning begins, so that the file need not grow beyond it, and how much it then drops, so that it
/// is done now and then only. No less than a few runs write until it is looked at again.
pub(super) fn margin(limit: u64) -> u64 {
    let least = (limit / 4).min(512 * 1024);
    (limit / 16).clamp(least, MAX_DROPPED_BYTES)
}

pub(super) fn space(connection: &Connection) -> rusqlite::Result<Space> {
    let number = |pragma: &str| -> rusqlite::Result<u64> {
        let mut pragma = connection.prepare_cached(pragma)?;
        pragma.query_row([], |row| row.get(0))
    };
    let page = number("PRAGMA page_size")?;
    let (pages, free) = (
        number("PRAGMA page_count")?,
        number("PRAGMA freelist_count")?,
    );
    Ok(Space {
        total: pages * page,
        free: free.min(pages) * page,
    })
}

/// What was dropped from a database that was larger than its limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pruned {
    path: PathBuf,
    limit: u64,
    /// Runs of the history, the oldest of their jobs.
    pub runs: u64,
    /// Reports of the outbox that were not delivered when they were tried.
    pub reports: u64,
    /// What is still in use, if nothing is left that could be dropped, and how much of it the groups are.
    too_much: Option<(u64, u64)>,
}

impl fmt::Display for Pruned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Pruned {
            path,
            limit,
            runs,
            reports,
            too_much,
        } = self;
        let (path, limit) = (path.display(), BinaryBytes(*limit));
        let count = |count: u64, one: &str, many: &str| match count {
            0 => None,
            1 => Some(one.to_owned()),
            _ => Some(format!("{count} {many}")),
        };
        let dropped = [
            count(
                *runs,
                "the oldest run of the history",
                "oldest runs of the history",
            ),
            count(
                *reports,
                "the oldest undelivered report",
                "oldest undelivered reports",
            ),
        ];
        let dropped: Vec<String> = dropped.into_iter().flatten().collect();
        let dropped = match (dropped.join(" and "), runs + reports) {
            (nothing, 0) => nothing,
            (one, 1) => format!("{one} was dropped"),
            (several, _) => format!("{several} were dropped"),
        };
        match too_much {
            None => write!(
                f,
                "the state {path} is full: {dropped} (raise --state-limit, which is {limit}, or keep less with --keep \
                 and --tail)"
            ),
            Some((used, groups)) => {
                let dropped = if dropped.is_empty() {
                    "nothing in it may be dropped"
                } else {
                    &format!("{dropped}, and nothing else may be")
                };
                write!(
                    f,
                    "the state {path} is full: {dropped}, but it has {}, of which {} are groups of the embedded \
                     gateway (delete groups that are not needed, or raise --state-limit, which is {limit})",
                    BinaryBytes(*used),
                    BinaryBytes(*groups),
                )
            }
        }
    }
}

/// The runs that are not the last of their job, from the oldest on.
const OLD_RUNS: &str = "SELECT id FROM runs WHERE id > ?1 AND EXISTS
                 (SELECT 1 FROM runs AS newer WHERE newer.job = runs.job AND newer.id > runs.id)
                 ORDER BY id LIMIT 256";

/// The text of all groups, and what a gateway has not folded into them yet. The latter goes by itself.
const GROUP_BYTES: &str = "SELECT
                 (SELECT coalesce(sum(octet_length(exposition) + octet_length(natives)), 0) FROM groups),
                 (SELECT coalesce(sum(octet_length(entries)), 0) FROM push_log)";

/// Drops the oldest runs of the database at `path`, and then the oldest reports that were tried, until no more than
/// `limit` bytes are in use, or all that is done at a time. For groups that are too large by themselves nothing is
/// given up.
pub(super) fn prune(
    connection: &Connection,
    path: &Path,
    limit: u64,
) -> rusqlite::Result<Option<Pruned>> {
    let before = space(connection)?.used();
    let (groups, log): (u64, u64) =
        connection.query_row(GROUP_BYTES, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let goal = limit - 2 * margin(limit);
    // Another process may have done it meanwhile.
    if before.saturating_sub(log) <= limit - margin(limit) {
        return Ok(None);
    }
    let mut pruned = Pruned {
        path: path.to_owned(),
        limit,
        runs: 0,
        reports: 0,
        too_much: None,
    };
    let is_enough = || -> rusqlite::Result<bool> {
        let used = space(connection)?.used();
        Ok(used.saturating_sub(log) <= goal || before.saturating_sub(used) >= MAX_DROPPED_BYTES)
    };
    if groups <= goal {
        let mut drop_run = connection.prepare_cached("DELETE FROM runs WHERE id = ?")?;
        let mut last = i64::MIN;
        'enough: loop {
            let ids = ids(connection, OLD_RUNS, &[&last])?;
            let Some(newest) = ids.last() else { break };
            last = *newest;
            for id in ids {
                if is_enough()? {
                    break 'enough;
                }
                pruned.runs += drop_run.execute([id])? as u64;
            }
        }
        let mut drop_entry = connection.prepare_cached(outbox::DELETE)?;
        if !is_enough()? {
            for id in ids(connection, outbox::TRIED, &[])? {
                if is_enough()? {
                    break;
                }
                pruned.reports += drop_entry.execute([id])? as u64;
            }
        }
    }
    if !is_enough()? {
        pruned.too_much = Some((space(connection)?.used(), groups));
    }
    Ok(Some(pruned))
}

fn ids(
    connection: &Connection,
    query: &str,
    params: &[&dyn rusqlite::ToSql],
) -> rusqlite::Result<Vec<i64>> {
    let mut ids = connection.prepare_cached(query)?;
    ids.query_map(params, |row| row.get(0))?.collect()
}
