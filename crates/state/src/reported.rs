//! Groups that runs of this host report to, or once did.

use rusqlite::{Connection, Row, params};

use super::{State, StateError};
use crate::history::RecordedRun;
use crate::key_column::KeyColumn;
use metricsjob_metrics::GroupingKey;

/// A group of a gateway that runs of this host report to, or once did. Times are in seconds since the epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportedGroup {
    /// The job's name, which can differ from the label `job` of the grouping key.
    pub name: String,
    pub key: GroupingKey,
    /// The gateway's URL, or `embedded`; `None` if only the history of an older version knows of the group.
    pub gateway: Option<String>,
    /// Prefix of the runner's metrics; `None` as for the gateway.
    pub prefix: Option<String>,
    /// End of the first run that reported to it.
    pub first_at: f64,
    /// End of the last run that reported to it.
    pub last_at: f64,
}

/// Most rows that are kept: a label that is new with each run must not make the table grow for ever.
const MAX_ROWS: u32 = 1000;

pub(super) const UPDATE: &str = "UPDATE reported_groups SET last_at = ?5 WHERE name = ?1 AND grouping_key = ?2 AND gateway = ?3 AND prefix = ?4";

const INSERT: &str =
    "INSERT INTO reported_groups (name, grouping_key, gateway, prefix, first_at, last_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?5)";

const PRUNE: &str = "DELETE FROM reported_groups WHERE last_at <
         (SELECT last_at FROM reported_groups ORDER BY last_at DESC LIMIT 1 OFFSET ?)";

/// Notes that `run` reports under `prefix` to its group at each of `gateways`.
pub(super) fn note(
    connection: &Connection,
    run: &RecordedRun,
    gateways: &[String],
    prefix: &str,
) -> rusqlite::Result<()> {
    for gateway in gateways {
        let row = params![run.name, KeyColumn(&run.key), gateway, prefix, run.ended_at];
        if connection.prepare_cached(UPDATE)?.execute(row)? == 0 {
            connection.execute(INSERT, row)?;
            connection.execute(PRUNE, [MAX_ROWS])?;
        }
    }
    Ok(())
}

/// Forgets that runs have reported to the group of `key`, at `gateway` or at all.
pub(super) fn forget(
    connection: &Connection,
    key: &GroupingKey,
    gateway: Option<&str>,
) -> rusqlite::Result<()> {
    connection.execute(
        "DELETE FROM reported_groups WHERE grouping_key = ?1 AND gateway IN ('', coalesce(?2, gateway))",
        params![KeyColumn(key), gateway],
    )?;
    Ok(())
}

impl State {
    /// Returns the groups that runs have reported to, the one that was reported to last first.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn reported_groups(&mut self) -> Result<Vec<ReportedGroup>, StateError> {
        self.with(|connection| {
            let mut select = connection.prepare(
                "SELECT name, grouping_key, gateway, prefix, first_at, last_at FROM reported_groups
                 WHERE json_valid(grouping_key) ORDER BY last_at DESC, name, grouping_key, gateway, prefix",
            )?;
            select.query_map([], read)?.collect()
        })
    }

    /// Forgets that runs have reported to the group of `key` at `gateway`, which has been deleted there.
    ///
    /// # Errors
    ///
    /// The database cannot be written.
    pub fn forget_reported(&mut self, key: &GroupingKey, gateway: &str) -> Result<(), StateError> {
        self.write(|transaction| forget(transaction, key, Some(gateway)))
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<ReportedGroup> {
    let known = |column: usize| -> rusqlite::Result<Option<String>> {
        let text: String = row.get(column)?;
        Ok((!text.is_empty()).then_some(text))
    };
    Ok(ReportedGroup {
        name: row.get(0)?,
        key: row.get::<_, KeyColumn<GroupingKey>>(1)?.0,
        gateway: known(2)?,
        prefix: known(3)?,
        first_at: row.get(4)?,
        last_at: row.get(5)?,
    })
}
