//! The embedded gateway: what a push does to its groups.
//!
//! The semantics are the Pushgateway's. The check of a push against all groups is done by indexes,
//! so its cost grows with the push and not with the number of groups.

use std::time::SystemTime;

use rusqlite::Error::FromSqlConversionFailure;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, params};

use super::{State, StateError};
use crate::metrics::check::{CheckError, check_families};
use crate::metrics::{
    Family, Group, GroupingKey, Kind, Method, TIME_SERIES, series_name, text, unix_seconds,
};

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

/// What made a push inconsistent.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum Rejection {
    #[error(transparent)]
    Check(#[from] CheckError),
    #[error(
        "the metric {name} is a {pushed} here, but a {existing} in the group {{{group}}}: \
         a name has one type over all groups"
    )]
    Kind {
        name: String,
        pushed: Kind,
        existing: String,
        group: GroupingKey,
    },
    #[error("the series {series} stands already in the group {{{group}}}")]
    Series { series: String, group: GroupingKey },
    #[error("the metric {name} collides with the {kind} {base}, whose series have this name too")]
    Suffix {
        name: String,
        kind: String,
        base: String,
    },
}

impl State {
    /// Does what a Pushgateway does with a push of `families` to the group of `key` at `now`.
    ///
    /// [`Method::Put`] replaces all families of the group, [`Method::Post`] those of the same name.
    /// The key's labels overwrite the series' own, and a series without `instance` gets an empty
    /// one. On success the push time is set. Families named like the gateway's two time series are
    /// dropped.
    ///
    /// # Errors
    ///
    /// [`PushError::Rejected`] if the push is inconsistent, by itself or with the other groups: then
    /// the group's failure time is set (the group is made if need be) and its data stay.
    pub fn push(
        &mut self,
        key: &GroupingKey,
        method: Method,
        families: &[Family],
        now: SystemTime,
    ) -> Result<(), PushError> {
        let families: Vec<Family> = families
            .iter()
            .filter(|family| !TIME_SERIES.contains(&family.name.as_str()))
            .map(|family| labelled(family, key))
            .collect();
        self.write_sync(|transaction| {
            let group = group_id(transaction, key)?;
            let savepoint = transaction.savepoint()?;
            let verdict = match check_families(&families) {
                Ok(()) => replace(&savepoint, group, method, &families)?,
                Err(inconsistent) => Err(inconsistent.into()),
            };
            let column = if verdict.is_ok() {
                savepoint.commit()?;
                "push_time"
            } else {
                // A savepoint that is not committed is rolled back.
                drop(savepoint);
                "push_failure_time"
            };
            transaction.execute(
                &format!("UPDATE groups SET {column} = ? WHERE id = ?"),
                params![unix_seconds(now), group],
            )?;
            Ok(verdict)
        })?
        .map_err(PushError::Rejected)
    }

    /// Deletes the group with exactly this key. Returns whether there was one.
    pub fn delete(&mut self, key: &GroupingKey) -> Result<bool, StateError> {
        self.with_sync(|connection| {
            connection.execute("DELETE FROM groups WHERE grouping_key = ?", [key])
        })
        .map(|deleted| deleted > 0)
    }

    /// All groups, sorted by key.
    pub fn groups(&mut self) -> Result<Vec<Group>, StateError> {
        self.with(|connection| {
            // One snapshot for both tables.
            let transaction = connection.transaction()?;
            let mut select_families = transaction
                .prepare("SELECT exposition FROM families WHERE group_id = ? ORDER BY name")?;
            let mut groups = transaction
                .prepare("SELECT id, grouping_key, push_time, push_failure_time FROM groups")?
                .query_map([], |row| {
                    let exposition = select_families
                        .query_map([row.get::<_, i64>(0)?], |row| row.get::<_, String>(0))?
                        .collect::<Result<String, _>>()?;
                    Ok(Group {
                        key: row.get(1)?,
                        push_time: row.get(2)?,
                        push_failure_time: row.get(3)?,
                        families: text::parse(exposition.as_bytes()).map_err(|error| {
                            FromSqlConversionFailure(0, Type::Text, error.into())
                        })?,
                    })
                })?
                .collect::<Result<Vec<Group>, _>>()?;
            groups.sort_by(|a, b| a.key.cmp(&b.key));
            Ok(groups)
        })
    }
}

/// The family with the labels that it has on a gateway.
fn labelled(family: &Family, key: &GroupingKey) -> Family {
    let mut family = family.clone();
    for metric in &mut family.metrics {
        // Later ones win.
        let labels = [("instance", "")].into_iter().chain(&metric.labels);
        metric.labels = labels
            .chain(key.labels())
            .chain([("job", key.job())])
            .collect();
    }
    family
}

fn group_id(connection: &Connection, key: &GroupingKey) -> rusqlite::Result<i64> {
    connection.execute(
        "INSERT INTO groups (grouping_key, push_time, push_failure_time) VALUES (?, 0, 0)
         ON CONFLICT DO NOTHING",
        [key],
    )?;
    connection.query_row(
        "SELECT id FROM groups WHERE grouping_key = ?",
        [key],
        |row| row.get(0),
    )
}

/// Puts `families` in place of what they replace, unless they are inconsistent with what stays. On
/// a rejection the caller rolls back.
fn replace(
    connection: &Connection,
    group: i64,
    method: Method,
    families: &[Family],
) -> rusqlite::Result<Result<(), Rejection>> {
    match method {
        Method::Put => {
            connection.execute("DELETE FROM families WHERE group_id = ?", [group])?;
        }
        Method::Post => {
            let mut delete =
                connection.prepare("DELETE FROM families WHERE group_id = ? AND name = ?")?;
            for family in families {
                delete.execute(params![group, family.name])?;
            }
        }
    }
    let mut insert_family = connection
        .prepare("INSERT INTO families (group_id, name, kind, exposition) VALUES (?, ?, ?, ?)")?;
    let mut insert_series = connection
        .prepare("INSERT INTO series (series, family_id) VALUES (?, ?) ON CONFLICT DO NOTHING")?;
    for family in families {
        if let Some(rejection) = kind_conflict(connection, family)? {
            return Ok(Err(rejection));
        }
        if let Some(rejection) = suffix_conflict(connection, family)? {
            return Ok(Err(rejection));
        }
        let mut exposition = String::new();
        text::encode::encode_family(&mut exposition, family);
        insert_family.execute(params![group, family.name, family.kind.name(), exposition])?;
        let family_id = connection.last_insert_rowid();
        // In the order of the index: many series at random places of it would not fit the cache.
        let metrics = family.metrics.iter();
        let mut all: Vec<String> = metrics
            .map(|metric| series_name(&family.name, &metric.labels))
            .collect();
        all.sort_unstable();
        for series in all {
            if insert_series.execute(params![series, family_id])? == 0 {
                let group = owner(connection, &series)?;
                return Ok(Err(Rejection::Series { series, group }));
            }
        }
    }
    Ok(Ok(()))
}

/// Two ranges of an index instead of `<>`, which would read all families of the name.
fn kind_conflict(connection: &Connection, family: &Family) -> rusqlite::Result<Option<Rejection>> {
    connection
        .prepare_cached(
            "SELECT kind, grouping_key FROM families JOIN groups ON groups.id = group_id
             WHERE (name = ?1 AND kind < ?2) OR (name = ?1 AND kind > ?2) LIMIT 1",
        )?
        .query_row(params![family.name, family.kind.name()], |row| {
            Ok(Rejection::Kind {
                name: family.name.clone(),
                pushed: family.kind,
                existing: row.get(0)?,
                group: row.get(1)?,
            })
        })
        .optional()
}

/// Whether the family's name is a series of a summary or histogram of some group, or the other way
/// round.
fn suffix_conflict(
    connection: &Connection,
    family: &Family,
) -> rusqlite::Result<Option<Rejection>> {
    let mut exists = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM families WHERE name = ? AND (?2 IS NULL OR kind = ?2))",
    )?;
    for kind in [Kind::Summary, Kind::Histogram] {
        for suffix in kind.suffixes() {
            if let Some(base) = family.name.strip_suffix(suffix)
                && exists.query_row(params![base, kind.name()], |row| row.get(0))?
            {
                return Ok(Some(Rejection::Suffix {
                    name: family.name.clone(),
                    kind: kind.name().into(),
                    base: base.into(),
                }));
            }
        }
    }
    for suffix in family.kind.suffixes() {
        let name = format!("{}{suffix}", family.name);
        if exists.query_row(params![name, None::<String>], |row| row.get(0))? {
            return Ok(Some(Rejection::Suffix {
                name,
                kind: family.kind.name().into(),
                base: family.name.clone(),
            }));
        }
    }
    Ok(None)
}

/// The group that has a series, for an error message.
fn owner(connection: &Connection, series: &str) -> rusqlite::Result<GroupingKey> {
    connection.query_row(
        "SELECT grouping_key FROM series
         JOIN families ON families.id = family_id
         JOIN groups ON groups.id = group_id
         WHERE series = ?",
        [series],
        |row| row.get(0),
    )
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

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
            self.state.push(
                &key(labels),
                method,
                &families,
                UNIX_EPOCH + Duration::from_secs(at),
            )
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
            r#"the series a{instance="",job="j",l="1"} stands already in the group {job="j"}"#
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
}
