//! Detection and repair of damage in a database.

use std::path::Path;

use rusqlite::Connection;

use super::error::{brief, is_corruption};
use super::group_rows::{corrupt, load};
use super::{
    Damage, State, StateError, check_place, counters, damage, group_index, history, outbox_rows,
    schema,
};

/// Most problems of the file itself that are reported.
const MAX_PROBLEMS: u32 = 10;

/// Returns the problems of the database at `path`, which is not changed; `None` if there is none.
pub fn check(path: &Path) -> Result<Option<Vec<String>>, StateError> {
    let Some(mut state) = State::connect(path)? else {
        return Ok(None);
    };
    state.is_replaceable = false;
    match look(&mut state) {
        // A database that cannot be written may be readable nevertheless.
        Err(StateError::System { .. }) if !state.has_log() && state.make_immutable().is_ok() => {
            look(&mut state).map(Some)
        }
        looked => looked.map(Some),
    }
}

/// Replaces a corrupt database at `path` by a new one with what can be salvaged. Returns the damage; `None` if it is
/// sound, or there is none.
pub fn repair(path: &Path) -> Result<Option<Damage>, StateError> {
    check_place(path)?;
    let Some(mut state) = State::connect(path)? else {
        return Ok(None);
    };
    state.is_replaceable = false;
    match look(&mut state)?.into_iter().next() {
        None => Ok(None),
        Some(problem) => {
            // Otherwise another process may have moved it aside before its log was opened by name.
            if !state.is_in_place() {
                return repair(path);
            }
            Ok(damage::replace(&state, &corrupt(problem))?.damage.take())
        }
    }
}

fn look(state: &mut State) -> Result<Vec<String>, StateError> {
    match state.with(|connection| schema::set_up(connection)) {
        Err(StateError::Corrupt { source, .. }) => return Ok(vec![brief(&source)]),
        set_up => set_up?,
    }
    let version = schema::version(&state.connection);
    schema::check_version(state)?;
    match version {
        Err(error) if !is_corruption(&error) => {
            Err(StateError::of(&state.path, Some(&state.connection), error))
        }
        _ => Ok(problems(&state.connection)),
    }
}

/// Lists the problems of a database, each a line for the user; empty if it is sound.
pub(super) fn problems(connection: &Connection) -> Vec<String> {
    let mut problems = Vec::new();
    let version = schema::version(connection);
    match &version {
        Ok(0) => problems.extend(unfinished(connection).err().map(|error| brief(&error))),
        Ok(_) => {}
        Err(error) => problems.push(brief(error)),
    }
    match file_problems(connection) {
        Ok(found) => problems.extend(found),
        Err(error) => problems.push(brief(&error)),
    }
    // Older rows have no checksums.
    if matches!(version, Ok(version) if version >= i64::from(schema::FIRST_WITH_CHECKSUMS)) {
        for (count, what) in [
            (
                outbox_rows::unreadable(connection).map(|ids| ids.len()),
                "undelivered reports",
            ),
            (
                counters::unreadable(connection).map(|keys| keys.len()),
                "counters",
            ),
            (history::unreadable(connection).map(|ids| ids.len()), "runs"),
        ] {
            match count {
                Ok(0) => {}
                Ok(count) => {
                    problems.push(format!("{what} that are not as they were written: {count}"))
                }
                Err(error) => problems.push(format!("{what}: {}", brief(&error))),
            }
        }
        let has_index =
            matches!(version, Ok(version) if version >= i64::from(schema::FIRST_WITH_GROUP_INDEX));
        match check_groups(connection, has_index) {
            Ok(true) => {}
            Ok(false) => problems.push("the index of the groups does not fit them".into()),
            Err(error) => problems.push(format!("groups: {}", brief(&error))),
        }
    }
    problems.dedup();
    problems
}

/// Reads all groups. Returns false if an index does not lead to them.
fn check_groups(connection: &Connection, has_index: bool) -> rusqlite::Result<bool> {
    let snapshot = connection.unchecked_transaction()?;
    let loaded = load(&snapshot)?;
    Ok(!has_index || group_index::agrees(&snapshot, &loaded.store)?)
}

fn file_problems(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let check = format!("PRAGMA integrity_check({MAX_PROBLEMS})");
    let mut check = connection.prepare(&check)?;
    let lines = check.query_map([], |row| row.get(0))?;
    let lines: Vec<String> = lines.collect::<rusqlite::Result<_>>()?;
    Ok(lines.into_iter().filter(|line| line != "ok").collect())
}

/// Refuses a database with tables but without a version: its process was killed before all was carried over.
fn unfinished(connection: &Connection) -> rusqlite::Result<()> {
    let has_tables = "SELECT EXISTS (SELECT 1 FROM sqlite_schema)";
    if connection.query_row(has_tables, [], |row| row.get(0))? {
        Err(corrupt("it has tables, but no version".into()))
    } else {
        Ok(())
    }
}
