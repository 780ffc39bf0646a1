//! Delivery, in one step, of the entries that wait for many groups of the embedded gateway.
//!
//! Each change of its groups reads all of them, to check it against them: for a hundred groups in turn that
//! would be a hundred times as much.

use std::path::Path;
use std::time::SystemTime;

use super::group_lock::GroupLocks;
use metricsjob_metrics::Push;
use metricsjob_state::push_stats::Attempts;
use metricsjob_state::serving::lock_groups;
use metricsjob_state::{LazyState, StateError};

/// How many groups are delivered in one step.
const MOST: usize = 1000;

/// All entries that wait for one group, as one push.
struct Waiting {
    push: Push,
    ids: Vec<i64>,
}

/// Delivers the entries that wait for the embedded gateway in `dir`, which the outbox knows as `name`, if no process
/// serves it and more than one group waits. `state_dir` has the locks of the groups. Returns how many reports were
/// delivered. Entries that are rejected, or that others are delivering, are left.
pub fn deliver(
    name: &str,
    dir: &Path,
    state_dir: &Path,
    state: &mut LazyState,
) -> Result<u64, StateError> {
    let keys = state.get()?.waiting_groups(name)?;
    if keys.len() < 2 {
        return Ok(0);
    }
    // Groups that cannot be locked are not delivered here.
    let Ok(locks) = GroupLocks::open(state_dir) else {
        return Ok(0);
    };
    let mut groups = Vec::new();
    for key in keys.iter().take(MOST) {
        if !matches!(locks.take(name, key), Ok(true)) {
            continue;
        }
        let entries = state.get()?.waiting(name, key)?;
        let ids = entries.iter().map(|entry| entry.id).collect();
        let pushes = entries.into_iter().map(|entry| entry.push);
        let together = pushes.reduce(|older, newer| older.followed_by(&newer));
        groups.extend(together.map(|push| Waiting { push, ids }));
    }
    let Some(_sole) = lock_groups(dir)? else {
        return Ok(0);
    };
    let now = SystemTime::now();
    let pushes: Vec<&Push> = groups.iter().map(|group| &group.push).collect();
    let results = state.get()?.push_together(&pushes, now)?;
    let delivered = groups.iter().zip(&results);
    let delivered: Vec<_> = delivered
        .filter(|(_, result)| result.is_ok())
        .map(|(group, _)| (group.push.key(), &group.ids[..]))
        .collect();
    let attempts = Attempts::default();
    state.get()?.delivered(name, &delivered, &attempts, now)?;
    Ok(delivered.iter().map(|(_, ids)| ids.len() as u64).sum())
}
