//! What can be saved of a corrupt database, carried over into the new one.
//!
//! By SQL nothing can be read that is behind a broken page, so the pages are read one by one. What a broken page
//! has left is not believed: a row is carried over only if its checksum is right.
//!
//! - [`pages`]: the pages of the file and of its log.
//! - [`node`]: a page of a tree, and its cells.
//! - [`record`]: the values of a row.
//! - [`survey`]: which pages have rows.
//! - [`summary`]: what became of them, in words.

mod node;
mod pages;
mod record;
mod summary;
mod survey;

use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use self::node::Node;
use self::pages::Pages;
use self::record::Row;
pub use self::summary::Salvaged;
use self::survey::{Survey, survey};
use super::checksum::{COUNTERS, GROUPS, OUTBOX, PUSH_LOG, RUNS, Table};
use super::error::brief;
use super::{counters, group_rows, history, in_transaction, outbox_rows};

/// What matters most comes first.
const TABLES: [&Table; 5] = [&OUTBOX, &COUNTERS, &RUNS, &GROUPS, &PUSH_LOG];

/// Brings what is in the database that `old` has open, and in its log at `wal`, into `fresh`, and to the disk.
pub(super) fn carry_over(old: &Connection, wal: &Path, fresh: &mut Connection) -> Salvaged {
    let pages = Pages::new(old, wal);
    let survey = survey(&pages, &TABLES);
    let mut carrier = Carrier {
        pages: &pages,
        survey: &survey,
        salvaged: Salvaged {
            pages: survey.broken,
            ..Salvaged::default()
        },
        groups: 0,
        changes: 0,
    };
    // Where this cannot be set, nothing can be written either, which is told then.
    let _ = fresh.execute_batch("PRAGMA synchronous = FULL");
    for table in TABLES {
        let leaves = survey.leaves.iter();
        let leaves = leaves.filter(|leaf| leaf.table == table.name);
        carrier.carry(fresh, leaves.map(|leaf| (leaf.number, Some(table))));
    }
    let orphans = survey.orphans.iter();
    carrier.carry(fresh, orphans.map(|number| (*number, None)));
    let mut salvaged = carrier.salvaged;
    let checked = in_transaction(fresh, |transaction| check(transaction, &mut salvaged));
    let _ = fresh.execute_batch("PRAGMA synchronous = NORMAL");
    if let Err(error) = checked {
        salvaged.problem.get_or_insert(brief(&error));
    }
    salvaged
}

/// Removes what cannot be read in spite of its checksum: it would make each run begin anew.
fn check(connection: &Connection, salvaged: &mut Salvaged) -> rusqlite::Result<()> {
    for (table, dropped) in [
        (&OUTBOX, outbox_rows::drop_unreadable(connection)?),
        (&COUNTERS, counters::drop_unreadable(connection)?),
        (&RUNS, history::drop_unreadable(connection)?),
    ] {
        salvaged.of(table).lose(dropped);
    }
    for table in [Some(&PUSH_LOG), Some(&GROUPS), None] {
        if let Ok(loaded) = group_rows::load(connection) {
            salvaged.groups.carried = loaded.store.groups().count() as u64;
            break;
        }
        if let Some(table) = table {
            let dropped = connection.execute(&format!("DELETE FROM {}", table.name), [])?;
            salvaged.of(table).lose(dropped as u64);
        }
    }
    Ok(())
}

struct Carrier<'a> {
    pages: &'a Pages<'a>,
    survey: &'a Survey,
    salvaged: Salvaged,
    /// How many groups, and rows of their log, were found so far.
    groups: i64,
    changes: i64,
}

impl Carrier<'_> {
    /// Carries over the rows of these pages, of each the table whose tree led to it.
    fn carry(
        &mut self,
        fresh: &mut Connection,
        pages: impl Iterator<Item = (u32, Option<&'static Table>)>,
    ) {
        let before = self.salvaged.clone();
        let written = in_transaction(fresh, |transaction| {
            for (number, table) in pages {
                self.page(transaction, number, table)?;
            }
            Ok(())
        });
        if let Err(error) = written {
            self.salvaged.give_up_since(&before);
            self.salvaged.problem.get_or_insert(brief(&error));
        }
    }

    fn page(
        &mut self,
        fresh: &Connection,
        number: u32,
        led: Option<&'static Table>,
    ) -> rusqlite::Result<()> {
        let page = self.pages.page(number);
        let Some(node) = page.and_then(|page| Node::read(&page, number)) else {
            return Ok(());
        };
        if let Some(table) = led {
            self.salvaged.of(table).lost += node.broken;
        }
        for cell in node.cells {
            let Some(record) = cell.record else {
                continue;
            };
            let record = record.whole(self.pages);
            let found = record.and_then(|record| self.row(&record, cell.rowid));
            match found {
                Some((table, _)) if led.is_none() && self.is_doubtful(table) => {}
                Some((table, row)) => self.insert(fresh, table, row)?,
                None => {
                    if let Some(table) = led {
                        self.salvaged.of(table).lost += 1;
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether a row that no tree led to may be one of long ago: a report that was delivered, for example. Runs
    /// and counters do no harm then.
    fn is_doubtful(&self, table: &Table) -> bool {
        self.survey.are_orphans_doubtful && !matches!(table.name, "runs" | "counters")
    }

    /// The row that a record is, in whichever table.
    fn row(&self, record: &[u8], rowid: Option<i64>) -> Option<(&'static Table, Row)> {
        let values = record::decode(record)?;
        let is_old = self.survey.is_old;
        TABLES.into_iter().find_map(|table| {
            let row = record::row(table, rowid, &values, is_old)?;
            let is_unknown = is_old && row.checksum == Value::Null && table.name != "push_log";
            let is_right = is_unknown || table.is_right(&row.values, &row.checksum);
            is_right.then_some((table, row))
        })
    }

    /// Groups and the rows of their log get new numbers: their checksums say nothing of the old ones.
    fn insert(
        &mut self,
        fresh: &Connection,
        table: &'static Table,
        mut row: Row,
    ) -> rusqlite::Result<()> {
        match table.name {
            "groups" => self.groups += 1,
            "push_log" => self.changes += 1,
            _ => {}
        }
        let number = match table.name {
            "groups" => Some(self.groups),
            // In the order of the trees. What no tree led to is known by its own number only.
            "push_log" if self.survey.orphans.is_empty() => Some(self.changes),
            _ => None,
        };
        if let (Some(number), Some(id)) = (number, row.values.first_mut()) {
            *id = Value::Integer(number);
        }
        if row.checksum == Value::Null {
            let checksum = match table.name {
                "groups" => group_rows::checksum_of(&row.values),
                _ => Some(table.checksum(&row.values)),
            };
            row.checksum = checksum.map_or(Value::Null, |checksum| Value::Integer(checksum.into()));
        }
        let values = row.values.iter().chain([&row.checksum]);
        let inserted = fresh
            .prepare_cached(&insert_sql(table))?
            .execute(params_from_iter(values))?;
        let tally = self.salvaged.of(table);
        match inserted {
            0 => tally.lost += 1,
            _ => tally.carried += 1,
        }
        Ok(())
    }
}

fn insert_sql(table: &Table) -> String {
    let names: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
    let places = "?, ".repeat(names.len());
    let (name, names) = (table.name, names.join(", "));
    let conflict = match name {
        // Of a counter that stands twice the larger value is the later one.
        "counters" => {
            "DO UPDATE SET value = max(value, excluded.value),
                 checksum = iif(excluded.value > value, excluded.checksum, checksum)"
        }
        _ => "DO NOTHING",
    };
    format!("INSERT INTO {name} ({names}, checksum) VALUES ({places}?) ON CONFLICT {conflict}")
}
