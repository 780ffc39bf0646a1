//! Removal of old rows from a database beyond its size limit.

use std::fmt;
use std::path::{Path, PathBuf};

use indicatif::BinaryBytes;
use rusqlite::Connection;

use super::outbox;

/// Most bytes dropped in one transaction, for which other writers wait. The rest follows later.
const MAX_DROPPED_BYTES: u64 = 16 * 1024 * 1024;

/// Size of a database, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Space {
    pub total: u64,
    /// Free pages, which are reused before the file grows.
    pub free: u64,
}

impl Space {
    pub fn used(self) -> u64 {
        self.total - self.free
    }
}

/// Bytes below `limit` at which pruning begins, so that the file does not exceed it, and bytes that it then drops, so
/// that it happens rarely. Not less than a few runs write before the next check.
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

/// Rows dropped from a database that exceeded its limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pruned {
    path: PathBuf,
    limit: u64,
    /// Runs of the history, each job's last one excepted.
    pub runs: u64,
    /// Undelivered reports of the outbox that were tried.
    pub reports: u64,
    /// Bytes still in use, and those of groups among them, if nothing else may be dropped.
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

/// Runs other than the last of their job, the oldest first.
const OLD_RUNS: &str = "SELECT id FROM runs WHERE id > ?1 AND EXISTS
                 (SELECT 1 FROM runs AS newer WHERE newer.job = runs.job AND newer.id > runs.id)
                 ORDER BY id LIMIT 256";

/// Bytes of all groups, and of the log, which shrinks by itself when it is folded.
const GROUP_BYTES: &str = "SELECT
                 (SELECT coalesce(sum(octet_length(exposition) + octet_length(natives)), 0) FROM groups),
                 (SELECT coalesce(sum(octet_length(entries)), 0) FROM push_log)";

/// Drops the oldest runs of the database at `path`, and then the oldest reports that were tried, until `limit` is
/// kept with some margin or [`MAX_DROPPED_BYTES`] are dropped. Drops nothing if the groups by themselves are too
/// large.
pub(super) fn prune(
    connection: &Connection,
    path: &Path,
    limit: u64,
) -> rusqlite::Result<Option<Pruned>> {
    let before = space(connection)?.used();
    let (groups, log): (u64, u64) =
        connection.query_row(GROUP_BYTES, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let goal = limit - 2 * margin(limit);
    // Another process may have pruned it meanwhile.
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
