//! Salvage of rows from a corrupt database into the new one.
//!
//! SQL reads nothing behind a broken page, so the pages are read one by one. Their content is not trusted: a row is
//! carried over only if its checksum is right.
//!
//! - [`pages`]: pages of the file and of its log.
//! - [`node`]: b-tree pages and their cells.
//! - [`record`]: values of a row.
//! - [`survey`]: search for the pages with rows.
//! - [`summary`]: result in words.

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

/// In order of importance.
const TABLES: [&Table; 5] = [&OUTBOX, &COUNTERS, &RUNS, &GROUPS, &PUSH_LOG];

/// Carries over the rows of the database that `old` has open, and of its log at `wal`, into `fresh`, and syncs them
/// to disk.
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
    // If this fails, so will the writes, which report it.
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

/// Deletes rows that cannot be read in spite of their checksum, since each would make the next run replace the
/// database again.
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
    /// Groups and log rows found so far, which number them anew.
    groups: i64,
    changes: i64,
}

impl Carrier<'_> {
    /// Carries over the rows of these pages. Each comes with the table whose tree led to it.
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

    /// Returns true if a row that no tree led to may be long obsolete, such as a delivered report, and thus harmful.
    /// Old runs and counters are harmless.
    fn is_doubtful(&self, table: &Table) -> bool {
        self.survey.are_orphans_doubtful && !matches!(table.name, "runs" | "counters")
    }

    /// Finds the table that a record is a row of.
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

    /// Inserts a row. Groups and log rows get new ids, which their checksums do not cover.
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
            // Trees give log rows in order. Without a tree, only its own id tells a row's place.
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
        // The larger value of a counter found twice is the later one.
        "counters" => {
            "DO UPDATE SET value = max(value, excluded.value),
                 checksum = iif(excluded.value > value, excluded.checksum, checksum)"
        }
        _ => "DO NOTHING",
    };
    format!("INSERT INTO {name} ({names}, checksum) VALUES ({places}?) ON CONFLICT {conflict}")
}
