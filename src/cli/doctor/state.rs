//! The state directory and its database, and the outbox in it.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use indicatif::BinaryBytes;
use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access};

use super::Findings;
use crate::cli::console::count;
use crate::cli::when::age;
use metricsjob_metrics::unix_seconds;
use metricsjob_state::{FILE_NAME, State, size};

const PART: &str = "state";

/// Free space of the file system, in bytes, below which the next runs may not be recorded.
const LITTLE_SPACE: u64 = 64 << 20;

/// Checks the state in `dir`, and returns it if there is one that is sound.
pub fn check(dir: &Path, findings: &mut Findings) -> Option<State> {
    let shown = dir.display();
    let state = match State::open_existing(dir) {
        Ok(Some(state)) => state,
        Ok(None) => {
            absent(dir, findings);
            return None;
        }
        Err(error) => {
            findings.fail(PART, error.to_string(), "");
            return None;
        }
    };
    let before = findings.0.len();
    let mut state = state;
    match metricsjob_state::check(&dir.join(FILE_NAME)) {
        Ok(problems) => {
            let problems = problems.unwrap_or_default();
            let is_sound = problems.is_empty();
            for problem in problems {
                findings.fail(
                    PART,
                    problem,
                    "metricsjob state repair saves what can be saved",
                );
            }
            if !is_sound {
                return None;
            }
        }
        Err(error) => findings.fail(PART, error.to_string(), ""),
    }
    if let Err(error) = state.probe() {
        findings.fail(PART, error.to_string(), "");
    }
    little_space(dir, findings);
    if !findings.is_any_bad_since(before) {
        findings.ok(PART, format!("{shown}: sound, {}", BinaryBytes(size(dir))));
    }
    outbox(&mut state, findings);
    Some(state)
}

/// A run makes the directory, if it can.
fn absent(dir: &Path, findings: &mut Findings) {
    let shown = dir.display();
    let mut ancestors = dir.ancestors();
    let existing = ancestors.find(|path| fs::metadata(path).is_ok());
    let existing = existing.unwrap_or(Path::new("/"));
    match access(existing, AccessFlags::W_OK | AccessFlags::X_OK) {
        Ok(()) => {
            findings.ok(
                PART,
                format!("{shown}: no database yet, the first run makes it"),
            );
            little_space(existing, findings);
        }
        Err(_) => findings.fail(
            PART,
            if existing == dir {
                format!("{shown} is not writable")
            } else {
                let existing = existing.display();
                format!("{shown} cannot be made: {existing} is not writable")
            },
            "make it writable, or name another directory by METRICSJOB_STATE_DIR",
        ),
    }
}

fn little_space(dir: &Path, findings: &mut Findings) {
    let Ok(space) = statvfs(dir) else {
        return;
    };
    let free = space.blocks_available() * space.fragment_size();
    if free < LITTLE_SPACE {
        findings.warn(
            PART,
            format!(
                "{}: only {} are free on its disk",
                dir.display(),
                BinaryBytes(free)
            ),
            "runs go on without room, but are neither recorded nor kept for later: make room",
        );
    }
}

fn outbox(state: &mut State, findings: &mut Findings) {
    const PART: &str = "outbox";
    let entries = match state.outbox() {
        Ok(entries) => entries,
        Err(error) => return findings.fail(PART, error.to_string(), ""),
    };
    let (rejected, waiting): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| entry.is_rejected);
    if !rejected.is_empty() {
        findings.warn(
            PART,
            format!(
                "{} refused by its destination",
                count(rejected.len() as u64, "an entry was", "entries were")
            ),
            "metricsjob outbox list has the reasons",
        );
    }
    // One that was not tried yet may be on its way this moment.
    let oldest = waiting.iter().find(|entry| entry.attempts > 0);
    if let Some(oldest) = oldest {
        let age = age(
            unix_seconds(oldest.content.produced_at()),
            SystemTime::now(),
        );
        findings.warn(
            PART,
            format!(
                "{} not delivered yet, the oldest from {age}",
                count(waiting.len() as u64, "an entry is", "entries are")
            ),
            "metricsjob outbox list has the reasons, metricsjob outbox flush delivers them",
        );
    }
    if rejected.is_empty() && oldest.is_none() {
        findings.ok(PART, "nothing waits to be delivered");
    }
}
