//! Deletions of the embedded gateway's groups, while no gateway serves them.

use std::hash::RandomState;

use super::group_index::GroupIndex;
use super::group_rows::{forget_log, load, write_rows};
use super::{State, StateError};
use metricsjob_metrics::GroupingKey;
use metricsjob_metrics::selector::GroupFilter;

impl State {
    /// Deletes the group with exactly this key. Returns whether there was one. The caller has locked the
    /// groups.
    pub fn delete(&mut self, key: &GroupingKey) -> Result<bool, StateError> {
        self.write_sync(|transaction| {
            let index = GroupIndex::open(transaction)?;
            let mut candidates = index.candidates(key, None, &RandomState::new())?;
            let old = candidates.store.group_of(key).cloned();
            let Some(undo) = candidates.store.delete(key) else {
                return Ok(false);
            };
            index.write(&candidates, undo.slot(), old.as_deref())?;
            Ok(true)
        })
    }

    /// Deletes the groups that `filter` includes, in one transaction. Returns their keys, sorted. The caller has locked the
    /// groups.
    pub fn delete_selected(
        &mut self,
        filter: &GroupFilter,
    ) -> Result<Vec<GroupingKey>, StateError> {
        self.write_sync(|transaction| {
            let mut loaded = load(transaction)?;
            let included = loaded.store.included(filter);
            for key in &included {
                if let Some(undo) = loaded.store.delete(key) {
                    loaded.outdated.insert(undo.slot());
                }
            }
            if !included.is_empty() {
                write_rows(transaction, &loaded.store, &loaded.outdated)?;
                forget_log(transaction, loaded.log_end)?;
            }
            Ok(included)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use metricsjob_metrics::selector::group_selectors;
    use metricsjob_metrics::{Method, Push, text};

    #[test]
    fn groups_that_are_selected() {
        let dir = tempfile::tempdir().unwrap();
        let mut state = State::open(dir.path()).unwrap();
        let key = |n: u32| GroupingKey::new("j", [("n".into(), n.to_string())]).unwrap();
        let push = |state: &mut State, n: u32| {
            let families = text::parse(b"m 1\n").unwrap();
            let at = UNIX_EPOCH + Duration::from_secs(u64::from(n));
            state
                .push(&Push::checked_before(key(n), Method::Put, families, at), at)
                .unwrap();
        };
        for n in 1..=4 {
            push(&mut state, n);
        }
        let filter = |selector: &str, not_pushed_since| GroupFilter {
            selectors: group_selectors(&[selector]).unwrap(),
            not_pushed_since,
        };
        let none = state.delete_selected(&filter("{n=~\"5|.1\"}", None));
        assert_eq!(none.unwrap(), []);
        let old = state.delete_selected(&filter("{n=~\"[1-3]\"}", Some(3.0)));
        assert_eq!(old.unwrap(), [key(1), key(2)]);
        // The index knows of it: what was deleted can be pushed again, and be deleted once.
        push(&mut state, 1);
        assert!(state.delete(&key(3)).unwrap());
        assert!(!state.delete(&key(2)).unwrap());
        let left = state.groups().unwrap();
        let left: Vec<&GroupingKey> = left.iter().map(|group| &group.key).collect();
        assert_eq!(left, [&key(1), &key(4)]);
        assert_eq!(crate::check::problems(&state.connection), [""; 0]);
        let all = state.delete_selected(&filter("{job=\"j\"}", None));
        assert_eq!(all.unwrap(), [key(1), key(4)]);
        assert!(state.groups().unwrap().is_empty());
    }
}
