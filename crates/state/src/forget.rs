//! Forgetting a job: what the state knows of a group besides the group itself.

use rusqlite::params;

use super::{State, StateError, reported};
use crate::key_column::KeyColumn;
use metricsjob_metrics::GroupingKey;

/// How much was forgotten of a group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Runs in the history.
    pub runs: u64,
    /// Counters that accumulated over runs.
    pub counters: u64,
    /// Reports in the outbox, for any gateway.
    pub reports: u64,
}

/// Keys that cannot be read belong to no job; `state repair` drops their rows.
const KEYS: &str = "
    WITH keys (grouping_key, name) AS (
        SELECT grouping_key, name FROM runs
        UNION SELECT grouping_key, NULL FROM counters
        UNION SELECT grouping_key, NULL FROM outbox
        UNION SELECT grouping_key, name FROM reported_groups
    )
    SELECT DISTINCT grouping_key FROM keys
    WHERE json_valid(grouping_key) AND (name = ?1 OR json_extract(grouping_key, '$.job') = ?1)
    ORDER BY grouping_key";

impl State {
    /// Returns the grouping keys that runs, counters, reports and reported groups of `job` have, by its name or its label `job`, sorted.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn keys_of(&mut self, job: &str) -> Result<Vec<GroupingKey>, StateError> {
        self.with(|connection| {
            let mut select = connection.prepare(KEYS)?;
            let keys = select.query_map([job], |row| row.get::<_, KeyColumn<GroupingKey>>(0))?;
            keys.map(|key| Ok(key?.0)).collect()
        })
    }

    /// Deletes runs, counters and reports of `key`, in one transaction. The embedded gateway's group stays.
    ///
    /// # Errors
    ///
    /// The database cannot be written; nothing is deleted then.
    pub fn forget(&mut self, key: &GroupingKey) -> Result<Forgotten, StateError> {
        self.write(|transaction| {
            let delete = |table: &str| -> rusqlite::Result<u64> {
                let delete = format!("DELETE FROM {table} WHERE grouping_key = ?");
                let deleted = transaction.execute(&delete, params![KeyColumn(key)])?;
                Ok(deleted as u64)
            };
            reported::forget(transaction, key, None)?;
            delete("notified")?;
            Ok(Forgotten {
                runs: delete("runs")?,
                counters: delete("counters")?,
                reports: delete("outbox")?,
            })
        })
    }
}
