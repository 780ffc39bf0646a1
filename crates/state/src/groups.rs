//! The embedded gateway's groups, and what a push does to them while no gateway serves them.

use std::hash::RandomState;
use std::path::Path;
use std::time::SystemTime;

use super::group_index::GroupIndex;
use super::group_rows::{Loaded, corrupt, forget_log, load, write_rows};
use super::{Damage, State, StateError};
use crate::store::{Rejection, RenderedPush, StoredGroup};
use metricsjob_metrics::{Group, LAST_SECOND, Method, Names, Push, unix_seconds};

/// Why the embedded gateway did not take a push.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The group is marked as failed and nothing else has changed.
    #[error("the embedded gateway refused the push: {0}")]
    Rejected(Rejection),
    /// Nothing has changed.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Result of an import of another gateway's groups.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Imported {
    pub imported: usize,
    /// Number of groups that have a newer push here.
    pub kept: usize,
    /// Why others could not be taken, for a person to read.
    pub refused: Vec<String>,
}

impl State {
    /// Does what a Pushgateway does with a push of `families` to the group of `key` at `now`, see
    /// [`Store::push`](crate::store::Store::push). The caller has locked the groups, see
    /// [`lock_groups`](crate::serving::lock_groups).
    ///
    /// # Errors
    ///
    /// [`PushError::Rejected`] if the push is inconsistent, by itself or with the other groups.
    pub fn push(&mut self, push: &Push, now: SystemTime) -> Result<(), PushError> {
        self.write_sync(|transaction| apply(&GroupIndex::open(transaction)?, push, now))?
            .map_err(PushError::Rejected)
    }

    /// Takes over the groups of another gateway with their push times, those excepted that were pushed to
    /// here since. The caller has locked the groups.
    pub fn import(&mut self, groups: Vec<Group>) -> Result<Imported, StateError> {
        self.write_sync(|transaction| {
            let mut loaded = load(transaction)?;
            let imported = import(&mut loaded, &groups);
            write_rows(transaction, &loaded.store, &loaded.outdated)?;
            forget_log(transaction, loaded.log_end)?;
            Ok(imported)
        })
    }

    /// All groups, sorted by key, but for those that the next gateway to serve them removes because of their age.
    pub fn groups(&mut self) -> Result<Vec<Group>, StateError> {
        let groups = self.load_groups()?.store.snapshot().sorted();
        let now = unix_seconds(SystemTime::now());
        let is_expired = |group: &StoredGroup| group.expires_at(None).is_some_and(|at| at < now);
        let groups = groups.iter().filter(|group| !is_expired(group));
        Ok(groups.map(|group| group.to_group()).collect())
    }

    /// Opens the database in `dir` for a gateway, with all groups. All of it is looked at: a corrupt one is replaced
    /// before anything of it is served, see [`take_damage`](Self::take_damage).
    pub fn open_to_serve(dir: &Path) -> Result<(State, Loaded), StateError> {
        let mut state = State::open(dir)?;
        state.with(|connection| {
            let check = "PRAGMA quick_check(1)";
            match connection.query_row(check, [], |row| row.get::<_, String>(0))? {
                verdict if verdict == "ok" => Ok(()),
                verdict => Err(corrupt(verdict)),
            }
        })?;
        let loaded = state.load_groups()?;
        Ok((state, loaded))
    }

    /// The damage of the database that had to be replaced, if that has not been taken yet.
    pub fn take_damage(&mut self) -> Option<Damage> {
        self.damage.take()
    }

    fn load_groups(&mut self) -> Result<Loaded, StateError> {
        self.with(|connection| {
            // One snapshot for both tables.
            let transaction = connection.transaction()?;
            load(&transaction)
        })
    }
}

fn apply(
    index: &GroupIndex<'_>,
    push: &Push,
    now: SystemTime,
) -> rusqlite::Result<Result<(), Rejection>> {
    let (key, method) = (push.key(), push.method());
    let hasher = RandomState::new();
    let report = RenderedPush::new(key, push.families().to_vec(), Names::Legacy, &hasher);
    let report = report.map(|report| report.with_ttl(push.ttl()));
    let mut candidates = index.candidates(key, report.as_ref().ok(), &hasher)?;
    let old = candidates.store.group_of(key).cloned();
    let pushed = candidates
        .store
        .push(key, method, report, unix_seconds(now));
    if let Some(undo) = &pushed.undo {
        index.write(&candidates, undo.slot(), old.as_deref())?;
    }
    Ok(pushed.result)
}

fn import(loaded: &mut Loaded, groups: &[Group]) -> Imported {
    let mut imported = Imported::default();
    for group in groups {
        let key = &group.key;
        let times = [group.push_time, group.push_failure_time];
        if let Some(time) = times
            .iter()
            .find(|time| !(0.0..=LAST_SECOND).contains(*time))
        {
            let problem = format!("group {{{key}}}: {time} is no time of a push");
            imported.refused.push(problem);
            continue;
        }
        let known = loaded.store.group_of(key);
        if known.is_some_and(|known| known.push_time > group.push_time) {
            imported.kept += 1;
            continue;
        }
        let hasher = loaded.store.hasher();
        let report = RenderedPush::new(key, group.families.clone(), Names::Utf8, &hasher);
        let report = report.map(|report| report.with_ttl(group.ttl));
        let pushed = loaded.store.push(key, Method::Put, report, group.push_time);
        match (pushed.result, pushed.undo) {
            (Ok(()), Some(undo)) => {
                let (time, failure) = (group.push_time, group.push_failure_time);
                loaded.store.set_times(undo.slot(), time, failure);
                loaded.outdated.insert(undo.slot());
                imported.imported += 1;
            }
            (Err(rejection), undo) => {
                undo.into_iter().for_each(|undo| loaded.store.undo(undo));
                imported
                    .refused
                    .push(format!("group {{{key}}}: {rejection}"));
            }
            (Ok(()), None) => {}
        }
    }
    imported
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use metricsjob_metrics::{GroupingKey, Kind, text};

    struct Gateway {
        state: State,
        _dir: tempfile::TempDir,
    }

    impl Gateway {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let state = State::open(dir.path()).unwrap();
            Gateway { state, _dir: dir }
        }

        fn push_at(
            &mut self,
            labels: &[(&str, &str)],
            method: Method,
            body: &str,
            at: u64,
        ) -> Result<(), PushError> {
            let families = text::parse(body.as_bytes()).unwrap();
            let at = UNIX_EPOCH + Duration::from_secs(at);
            let push = Push::checked_before(key(labels), method, families, at);
            self.state.push(&push, at)
        }

        fn rejected(&mut self, labels: &[(&str, &str)], body: &str) -> Rejection {
            match self.push_at(labels, Method::Post, body, 99) {
                Err(PushError::Rejected(rejection)) => rejection,
                other => panic!("not rejected: {other:?}"),
            }
        }

        fn post(&mut self, labels: &[(&str, &str)], body: &str) {
            self.push_at(labels, Method::Post, body, 10).unwrap();
        }

        fn sql(&self, sql: &str) {
            self.state.connection.execute_batch(sql).unwrap();
        }

        /// Asserts that nothing is wrong with the database, after which it is the same one still.
        fn is_sound(&self) {
            assert_eq!(crate::check::problems(&self.state.connection), [""; 0]);
            assert!(self.state.damage.is_none());
        }

        fn names(&mut self) -> Vec<String> {
            let groups = self.state.groups().unwrap();
            let families = groups.iter().flat_map(|group| &group.families);
            families.map(|family| family.name.clone()).collect()
        }
    }

    fn key(labels: &[(&str, &str)]) -> GroupingKey {
        let labels = labels.iter().map(|(n, v)| ((*n).into(), (*v).into()));
        GroupingKey::new("j", labels).unwrap()
    }

    #[test]
    fn the_keys_labels_overwrite_and_instance_is_added() {
        let mut gateway = Gateway::new();
        gateway.post(&[("db", "x")], "m{db=\"y\",job=\"k\",z=\"1\"} 1\n");
        let group = &gateway.state.groups().unwrap()[0];
        let labels = &group.families[0].metrics[0].labels;
        let pairs: Vec<_> = labels.iter().collect();
        assert_eq!(
            pairs,
            [("db", "x"), ("instance", ""), ("job", "j"), ("z", "1")]
        );
    }

    #[test]
    fn times_of_success_and_failure() {
        let mut gateway = Gateway::new();
        gateway.push_at(&[], Method::Put, "a 1\n", 10).unwrap();
        gateway.post(&[("l", "other")], "b 1\n");
        let times = |gateway: &mut Gateway| {
            let group = gateway.state.groups().unwrap().remove(0);
            (group.push_time, group.push_failure_time)
        };
        assert_eq!(times(&mut gateway), (10.0, 0.0));
        gateway.rejected(&[], "# TYPE b counter\nb 1\na 2\n");
        assert_eq!(times(&mut gateway), (10.0, 99.0));
        assert_eq!(gateway.names(), ["a", "b"]);
    }

    #[test]
    fn a_rejected_push_makes_the_group() {
        let mut gateway = Gateway::new();
        gateway.rejected(&[], "a{__x=\"\"} 1\n");
        let groups = gateway.state.groups().unwrap();
        assert_eq!(
            (groups[0].push_time, groups[0].push_failure_time),
            (0.0, 99.0)
        );
    }

    #[test]
    fn the_type_may_change_in_one_group_only() {
        let mut gateway = Gateway::new();
        gateway.post(&[], "# TYPE a gauge\na 1\n");
        gateway.post(&[], "# TYPE a counter\na 1\n");
        gateway.post(&[("l", "1")], "# TYPE a counter\na 1\n");
        let rejection = gateway.rejected(&[], "a 1\n");
        assert!(
            matches!(
                rejection,
                Rejection::Kind {
                    pushed: Kind::Untyped,
                    ..
                }
            ),
            "{rejection}"
        );
    }

    #[test]
    fn a_series_stands_in_one_group() {
        let mut gateway = Gateway::new();
        gateway.post(&[], "a{l=\"1\"} 1\n");
        let rejection = gateway.rejected(&[("l", "1")], "a 1\n");
        assert_eq!(
            rejection.to_string(),
            r#"the series a{instance="",job="j",l="1"} is already in the group {job="j"}"#
        );
        // An empty instance in the key is the one that a series without instance gets.
        gateway.rejected(&[("instance", "")], "a{l=\"1\"} 1\n");
        gateway.state.delete(&key(&[])).unwrap();
        gateway.post(&[("l", "1")], "a 1\n");
    }

    #[test]
    fn suffixes_collide_over_groups_in_both_directions() {
        let histogram = "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n";
        let summary = "# TYPE h summary\nh_sum 1\nh_count 1\n";
        for (first, second, collides) in [
            (histogram, "h_bucket 1\n", true),
            ("h_count 1\n", histogram, true),
            (summary, "h_sum 1\n", true),
            ("h_sum 1\n", summary, true),
            (summary, "h_bucket 1\n", false),
            ("h_bucket 1\n", summary, false),
            ("h_total 1\n", histogram, false),
        ] {
            let mut gateway = Gateway::new();
            gateway.post(&[("l", "1")], first);
            let second = gateway.push_at(&[("l", "2")], Method::Put, second, 10);
            assert_eq!(second.is_err(), collides, "{first} {second:?}");
        }
    }

    #[test]
    fn empty_bodies() {
        let mut gateway = Gateway::new();
        gateway.post(&[], "a 1\n");
        gateway.push_at(&[], Method::Post, "", 20).unwrap();
        assert_eq!(gateway.names(), ["a"]);
        gateway.push_at(&[], Method::Put, "", 30).unwrap();
        assert!(gateway.names().is_empty());
        assert_eq!(gateway.state.groups().unwrap()[0].push_time, 30.0);
    }

    #[test]
    fn the_gateways_own_times_cannot_be_pushed() {
        let mut gateway = Gateway::new();
        gateway.post(
            &[],
            "# TYPE push_time_seconds counter\npush_time_seconds 1\na 1\n",
        );
        assert_eq!(gateway.names(), ["a"]);
    }

    /// The index leads to all that a store with all groups would find.
    #[test]
    fn pushes_by_the_index_agree_with_a_store_of_all_groups() {
        use rand::RngExt;
        let mut random = rand::rng();
        let mut gateway = Gateway::new();
        let mut store = crate::store::Store::new();
        let mut rejected = 0;
        for step in 0..250_u64 {
            let values = ["", "1", "2"];
            let a = values[random.random_range(0..3)];
            let b = values[random.random_range(0..3)];
            let all = [("a", a), ("b", b)];
            let key = key(&all[..random.random_range(0..3)]);
            if random.random_range(0..8) == 0 {
                let deleted = gateway.state.delete(&key).unwrap();
                assert_eq!(deleted, store.delete(&key).is_some());
            } else {
                let mut body = String::new();
                let names = ["x", "x_sum", "x_count", "x_bucket", "y"];
                for name in names {
                    if random.random_range(0..3) > 0 {
                        continue;
                    }
                    let label = ["", "{a=\"1\"}", "{b=\"2\",z=\"\"}"][random.random_range(0..3)];
                    body += &match random.random_range(0..5) {
                        0 => format!("# TYPE {name} summary\n{name}_sum 1\n{name}_count 1\n"),
                        1 => format!("# TYPE {name} gauge\n{name}{label} 1\n"),
                        _ => format!("{name}{label} {step}\n"),
                    };
                }
                let Ok(families) = text::parse(body.as_bytes()) else {
                    continue;
                };
                let method = [Method::Put, Method::Post][random.random_range(0..2)];
                let now = UNIX_EPOCH + Duration::from_secs(step);
                let report =
                    RenderedPush::new(&key, families.clone(), Names::Legacy, &store.hasher());
                let expected = store.push(&key, method, report, step as f64).result;
                let found = match gateway.state.push(
                    &Push::checked_before(key.clone(), method, families, now),
                    now,
                ) {
                    Ok(()) => Ok(()),
                    Err(PushError::Rejected(rejection)) => Err(rejection),
                    Err(PushError::State(error)) => panic!("{error}"),
                };
                // Which of several groups a message names may differ.
                let kind = |result: &Result<(), Rejection>| {
                    result.as_ref().err().map(std::mem::discriminant)
                };
                assert_eq!(kind(&found), kind(&expected), "{found:?} {expected:?}");
                rejected += u32::from(found.is_err());
            }
            if step % 50 == 25 {
                gateway.sql("UPDATE groups SET id = id");
            }
            let expected = store.snapshot().sorted();
            let expected: Vec<_> = expected.iter().map(|group| group.to_group()).collect();
            assert_eq!(gateway.state.groups().unwrap(), expected, "step {step}");
        }
        assert!(rejected > 5, "{rejected}");
        gateway.is_sound();
    }

    fn numbered(number: u32) -> Group {
        let body = format!("x 1\n# TYPE y gauge\ny{{of=\"{number}\"}} 1\n");
        Group {
            key: key(&[("l", &number.to_string())]),
            families: text::parse(body.as_bytes()).unwrap(),
            push_time: 1.0,
            push_failure_time: 0.0,
            ttl: None,
        }
    }

    /// Counts the statements that a connection runs.
    fn statements(connection: &rusqlite::Connection, work: impl FnOnce()) -> u64 {
        use rusqlite::ffi;
        use std::ffi::{c_int, c_uint, c_void};
        extern "C" fn count(
            _: c_uint,
            counter: *mut c_void,
            _: *mut c_void,
            _: *mut c_void,
        ) -> c_int {
            // SAFETY: it is the counter below, which nobody else has meanwhile.
            unsafe { *counter.cast::<u64>() += 1 };
            0
        }
        let mut counter = 0_u64;
        let place: *mut u64 = &raw mut counter;
        // SAFETY: the connection is open, and forgets the counter before that is dropped.
        unsafe {
            ffi::sqlite3_trace_v2(
                connection.handle(),
                ffi::SQLITE_TRACE_STMT,
                Some(count),
                place.cast(),
            )
        };
        work();
        // SAFETY: as before.
        unsafe { ffi::sqlite3_trace_v2(connection.handle(), 0, None, std::ptr::null_mut()) };
        counter
    }

    #[test]
    fn a_push_costs_no_more_beside_many_groups() {
        let mut costs = Vec::new();
        for groups in [10, 10_000] {
            let mut gateway = Gateway::new();
            gateway
                .state
                .import((0..groups).map(numbered).collect())
                .unwrap();
            gateway.post(&[], "z 1\n");
            // The same series again, others, and a new group.
            for body in [
                "x 2\n",
                "x{a=\"b\"} 2\ny 1\n# TYPE h summary\nh_sum 1\nh_count 1\n",
            ] {
                for label in ["3", "new"] {
                    let key = key(&[("l", label)]);
                    let families = text::parse(body.as_bytes()).unwrap();
                    let transaction = gateway.state.connection.unchecked_transaction().unwrap();
                    costs.push(statements(&transaction, || {
                        let index = GroupIndex::open(&transaction).unwrap();
                        let push = Push::checked_before(key, Method::Post, families, UNIX_EPOCH);
                        let pushed = apply(&index, &push, UNIX_EPOCH);
                        pushed.unwrap().ok();
                    }));
                    transaction.commit().unwrap();
                }
            }
        }
        println!("statements: {costs:?}");
        let (few, many) = costs.split_at(costs.len() / 2);
        assert_eq!(few, many);
        assert!(few.iter().all(|count| *count < 60), "{few:?}");
    }
}
