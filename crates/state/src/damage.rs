//! Replacement of a corrupt database by a new one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::error::brief;
use super::files::{FILES, LOG, beside};
use super::salvage::{self, Salvaged};
use super::{State, StateError, identity, outbox, resolve, schema};
use metricsjob_system::files::make_private;

/// Longest wait for processes that are writing to the corrupt database.
const PATIENCE: Duration = Duration::from_millis(500);

/// A corrupt database that was moved aside.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "the state database {path} was corrupt ({why}): it was moved to {aside} and a new one was created; {salvaged}"
)]
pub struct Damage {
    pub path: PathBuf,
    /// The path to which it was moved.
    pub aside: PathBuf,
    /// The first problem, in SQLite's words.
    pub why: String,
    /// The rows carried over into the new database, and those lost.
    pub salvaged: Salvaged,
}

/// Replaces the database of `state`, which is corrupt by `error`, unless another process has done so.
///
/// Processes that have the old one open keep using it under its new name: all its files are moved, and SQLite looks
/// them up by name only when it opens them.
pub(super) fn replace(state: &State, error: &rusqlite::Error) -> Result<State, StateError> {
    let mut aside = None;
    let mut salvaged = Salvaged::default();
    let mut replaced = || {
        let path = &state.path;
        let failed = |source| StateError::OpenFile {
            path: path.clone(),
            source,
        };
        let lock = schema::lock(path)?;
        // If it is a link, the link is moved, since its target may be anything.
        if identity(path).map_err(failed)? == Some(state.identity) {
            // Locks out others while it is salvaged. Must happen while it is in place, because it may open the log by
            // its name.
            let _ = state.connection.busy_timeout(PATIENCE);
            let _ = state.connection.execute_batch("BEGIN IMMEDIATE");
            aside = Some(move_aside(path, SystemTime::now()).map_err(failed)?);
        }
        make_private(path).map_err(failed)?;
        let mut fresh =
            State::connect(path)?.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        // If this one is corrupt too, replacing it again would not help.
        fresh.is_replaceable = false;
        match &aside {
            Some(aside) => {
                let log = beside(&resolve(aside)?, LOG);
                schema::make(&mut fresh, |connection| {
                    outbox::begin_at(connection, SystemTime::now())?;
                    salvaged = salvage::carry_over(&state.connection, &log, connection);
                    Ok(())
                })?;
            }
            None => schema::prepare(&mut fresh, Some(&lock))?,
        }
        // It works, and may become corrupt again during the months that a server keeps it open.
        fresh.is_replaceable = true;
        Ok(fresh)
    };
    let (path, why) = (state.path.clone(), brief(error));
    let replaced = replaced();
    if !state.connection.is_autocommit() {
        let _ = state.connection.execute_batch("ROLLBACK");
    }
    match replaced {
        Ok(mut fresh) => {
            fresh.damage = aside.map(|aside| Damage {
                path,
                aside,
                why,
                salvaged,
            });
            Ok(fresh)
        }
        Err(source) => Err(StateError::NotReplaced {
            path,
            why,
            aside,
            source: Box::new(source),
        }),
    }
}

/// Renames the files of the database at `path`, and returns its new path. The caller must hold the lock.
fn move_aside(path: &Path, now: SystemTime) -> io::Result<PathBuf> {
    let time = humantime::format_rfc3339_seconds(now.max(SystemTime::UNIX_EPOCH));
    let time = time.to_string().replace(['-', ':'], "");
    let name = |count: u32| match count {
        0 => beside(path, &format!(".corrupt-{time}")),
        count => beside(path, &format!(".corrupt-{time}.{count}")),
    };
    let is_free = |name: &PathBuf| {
        FILES.iter().all(|suffix| {
            let there = beside(name, suffix).symlink_metadata();
            there.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        })
    };
    let aside = (0..1000).map(name).find(is_free);
    let aside = aside.ok_or(io::ErrorKind::AlreadyExists)?;
    for suffix in FILES {
        match fs::rename(beside(path, suffix), beside(&aside, suffix)) {
            Err(error) if suffix.is_empty() || error.kind() != io::ErrorKind::NotFound => {
                return Err(error);
            }
            _ => {}
        }
    }
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::history::{Outgoing, RecordedRun, Recording};
    use crate::notified::Notified;
    use crate::push_stats::Attempts;
    use metricsjob_metrics::{Family, GroupingKey, Method, Push};

    fn run(id: &str) -> RecordedRun {
        RecordedRun {
            run_id: id.into(),
            name: "j".into(),
            key: GroupingKey::new("j", []).unwrap(),
            started_at: 0.0,
            ended_at: 0.0,
            duration: 0.0,
            outcome: "success".into(),
            exit_code: 0,
            failure: None,
            attempts: 1,
            cpu_user: 0.0,
            cpu_system: 0.0,
            max_rss: 0,
            metrics: Vec::new(),
            tail: Vec::new(),
        }
    }

    const KEEP_TEN: Recording<'_> = Recording {
        increments: &[],
        keep: 10,
        destinations: &[],
        gateways: &[],
        prefix: "",
        success: None,
        is_notified: false,
    };

    fn nothing() -> Outgoing<()> {
        Outgoing {
            push: None,
            notifications: Vec::new(),
            notified: Notified::default(),
        }
    }

    fn ids(state: &mut State) -> Vec<String> {
        let runs = state.history(None, 10).unwrap();
        runs.into_iter().map(|run| run.run_id).collect()
    }

    #[test]
    fn what_is_being_written_while_it_is_moved_aside_is_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        let mut state = State::open(dir.path()).unwrap();
        let moves = std::cell::Cell::new(2);
        state
            .record(&run("a"), &KEEP_TEN, |_| {
                if moves.get() > 0 {
                    moves.set(moves.get() - 1);
                    move_aside(&path, UNIX_EPOCH).unwrap();
                }
                nothing()
            })
            .unwrap();
        assert_eq!(ids(&mut state), ["a"]);
        assert_eq!(ids(&mut State::open(dir.path()).unwrap()), ["a"]);
    }

    #[test]
    fn what_was_delivered_before_removes_nothing_of_the_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        let mut state = State::open(dir.path()).unwrap();
        let key = GroupingKey::new("j", []).unwrap();
        let push = || {
            let families = vec![Family::gauge("a", "", 1.0)];
            Push::new(key.clone(), Method::Post, families, SystemTime::now()).unwrap()
        };
        let gateways = ["g".to_owned()];
        let before = state.enqueue(&push(), &gateways).unwrap();
        fs::write(&path, [b'x'; 100_000]).unwrap();
        fs::write(beside(&path, "-wal"), "").unwrap();
        let mut state = State::open(dir.path()).unwrap();
        assert!(state.damage.is_some());
        let after = state.enqueue(&push(), &gateways).unwrap();
        let attempts = Attempts::default();
        state
            .delivered("g", &key, &before, &attempts, SystemTime::now())
            .unwrap();
        assert_eq!(state.waiting_ids("g", &key).unwrap(), after);
    }

    #[test]
    fn what_is_open_for_long_is_replaced_each_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        let mut state = State::open(dir.path()).unwrap();
        for id in ["a", "b", "c"] {
            // SQLite reads pages again only after another process changed the database.
            State::open(dir.path())
                .unwrap()
                .record(&run("other"), &KEEP_TEN, |_| nothing())
                .unwrap();
            for suffix in ["", "-wal"] {
                let file = fs::File::options().write(true).open(beside(&path, suffix));
                file.unwrap().write_all_at(&[b'x'; 100_000], 0).unwrap();
            }
            state.record(&run(id), &KEEP_TEN, |_| nothing()).unwrap();
            assert!(state.damage.take().is_some());
            assert_eq!(ids(&mut state), [id]);
        }
    }

    /// A newer version migrates the database while it is open here.
    #[test]
    fn values_of_a_newer_version_are_no_damage() {
        let dir = tempfile::tempdir().unwrap();
        let mut state = State::open(dir.path()).unwrap();
        let newer = "INSERT INTO counters VALUES ('{\"job\":\"j\"}', 'n', 'newer', 1, 2); PRAGMA user_version = 99;
                     PRAGMA application_id = 99";
        let other = State::open(dir.path()).unwrap();
        other.connection.execute_batch(newer).unwrap();
        let key = GroupingKey::new("j", []).unwrap();
        let read = state.counters(&key);
        assert!(matches!(read, Err(StateError::Newer { found: 99, .. })));
        assert!(state.damage.is_none());
        let back = "PRAGMA user_version = 7; PRAGMA application_id = 7";
        other.connection.execute_batch(back).unwrap();
        assert!(state.counters(&key).unwrap().is_empty());
        assert!(state.damage.is_some());
    }

    #[test]
    fn nothing_is_overwritten_and_no_file_left_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        for (now, content) in [(-1, "a"), (0, "b"), (0, "c"), (1_795_252_500, "d")] {
            for suffix in ["", "-wal"] {
                fs::write(beside(&path, suffix), content).unwrap();
            }
            let now = match u64::try_from(now) {
                Ok(now) => SystemTime::UNIX_EPOCH + Duration::from_secs(now),
                Err(_) => SystemTime::UNIX_EPOCH - Duration::from_secs(1),
            };
            let aside = move_aside(&path, now).unwrap();
            assert_eq!(fs::read_to_string(beside(&aside, "-wal")).unwrap(), content);
        }
        let entries = fs::read_dir(dir.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.retain(|name| !name.to_str().unwrap().ends_with("-wal"));
        names.sort();
        assert_eq!(
            names,
            [
                "state.db.corrupt-19700101T000000Z",
                "state.db.corrupt-19700101T000000Z.1",
                "state.db.corrupt-19700101T000000Z.2",
                "state.db.corrupt-20261121T091500Z",
            ]
        );
    }
}
