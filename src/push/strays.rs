//! Groups of this host that something is wrong with, though each push to them went well.

use std::collections::BTreeSet;

use metricsjob_metrics::{Group, GroupingKey, Labels, TASK};
use metricsjob_state::reported::ReportedGroup;

/// Reports of another host are no concern once this host has not reported for so long, in seconds: the job has moved
/// there. A weekly job still counts.
const SHARED_FOR: f64 = 8.0 * 86_400.0;

/// Reason why a group is not what it seems to be.
#[derive(Debug, Clone, PartialEq)]
pub enum GroupConcern {
    /// This host no longer reports to it, because a setting has changed.
    Moved(Box<MovedGroup>),
    /// Another host reported to it last, and this one not long before. Not of tasks of a job array, which go from host to host.
    Shared {
        host: String,
        /// When this host reported to it last, in seconds since the epoch.
        ours_at: f64,
    },
}

/// A group that a job no longer reports to, because one of its settings has changed.
#[derive(Debug, Clone, PartialEq)]
pub struct MovedGroup {
    pub from: ReportedGroup,
    /// The group that the job has reported to since.
    pub to: ReportedGroup,
}

/// Groups that this host has reported to, by its state.
#[derive(Debug, Default)]
pub struct ReportedGroups {
    /// The one that was reported to last first.
    pub all: Vec<ReportedGroup>,
    /// Labels whose values the host's settings decide.
    pub host_labels: BTreeSet<String>,
    /// Name of this host, if it has one.
    pub host: Option<String>,
}

impl ReportedGroups {
    /// Returns the groups at any gateway that their jobs no longer report to because a setting has changed: the gateway,
    /// the prefix, or labels.
    ///
    /// A change of labels is one where a label has come or gone, or the value of a label has changed that the host's
    /// settings decide. Other values tell apart what a job is called for, such as databases. The job has to have reported
    /// to the new group only after the last report to the old one: a job that goes to both has not moved.
    pub fn moved(&self) -> Vec<MovedGroup> {
        let groups = self.all.iter();
        groups.filter_map(|from| self.moved_from(from)).collect()
    }

    /// Returns the move of `from`, if its job has moved.
    fn moved_from(&self, from: &ReportedGroup) -> Option<MovedGroup> {
        let mut others = self.all.iter();
        let to = others.find(|to| to.first_at > from.last_at && self.replaces(to, from))?;
        Some(MovedGroup {
            from: from.clone(),
            to: to.clone(),
        })
    }

    /// Returns true if a job that reports to `to` would have reported to `from` with other settings.
    fn replaces(&self, to: &ReportedGroup, from: &ReportedGroup) -> bool {
        if to.name != from.name {
            return false;
        }
        if to.key == from.key {
            let differ = |to: &Option<String>, from: &Option<String>| {
                to.as_ref()
                    .zip(from.as_ref())
                    .is_some_and(|(to, from)| to != from)
            };
            return differ(&to.gateway, &from.gateway) || differ(&to.prefix, &from.prefix);
        }
        let is_within = |inner: &GroupingKey, outer: &GroupingKey| {
            let mut labels = inner.labels().iter();
            labels.all(|(name, value)| {
                self.host_labels.contains(name) || outer.labels().get(name) == Some(value)
            })
        };
        is_within(&to.key, &from.key) || is_within(&from.key, &to.key)
    }

    /// Returns the concern about `group`, which `gateway` has. `now` is in seconds since the epoch.
    pub fn concern(&self, gateway: &str, group: &Group, now: f64) -> Option<GroupConcern> {
        let is_here = |reported: &ReportedGroup| {
            reported.key == group.key
                && reported.gateway.as_ref().is_none_or(|at| at == gateway)
                && has_report(group, reported.prefix.as_deref())
        };
        // There can be thousands of groups: only what was reported to this one is looked at.
        let mut here = self
            .all
            .iter()
            .filter(|reported| is_here(reported))
            .peekable();
        let ours = *here.peek()?;
        if let Some(moved) = here.find_map(|from| self.moved_from(from)) {
            return Some(GroupConcern::Moved(moved.into()));
        }
        let host = reporting_host(group).filter(|_| !group.key.has_label(TASK))?;
        let is_other = self.host.as_deref().is_some_and(|ours| ours != host);
        (is_other && now - ours.last_at < SHARED_FOR).then(|| GroupConcern::Shared {
            host: host.to_owned(),
            ours_at: ours.last_at,
        })
    }
}

/// Returns true if the group has a report of a run under `prefix`, or under any.
fn has_report(group: &Group, prefix: Option<&str>) -> bool {
    let mut families = group.families.iter();
    families.any(|family| {
        let found = family
            .name
            .strip_suffix("_last_completion_timestamp_seconds");
        found.is_some_and(|found| prefix.is_none_or(|prefix| prefix == found))
    })
}

/// Returns the host that reported the last run, by the label `host` of `PREFIX_info`.
pub fn reporting_host(group: &Group) -> Option<&str> {
    let mut families = group.families.iter();
    families.find_map(|family| {
        let prefix = family.name.strip_suffix("_info")?;
        let labels: &Labels = &family.metrics.first()?.labels;
        labels
            .get("host")
            .filter(|_| has_report(group, Some(prefix)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use metricsjob_metrics::text;

    const NOW: f64 = 1e9;

    fn reported(prefix: &str, at: f64) -> ReportedGroup {
        ReportedGroup {
            name: "j".into(),
            key: GroupingKey::new("j", []).unwrap(),
            gateway: Some("g".into()),
            prefix: Some(prefix.into()),
            first_at: at,
            last_at: at,
        }
    }

    fn concern(all: Vec<ReportedGroup>, gateway: &str, metrics: &str) -> Option<GroupConcern> {
        let groups = ReportedGroups {
            all,
            host_labels: BTreeSet::new(),
            host: Some("a".into()),
        };
        let group = Group {
            key: GroupingKey::new("j", []).unwrap(),
            push_time: NOW,
            push_failure_time: 0.0,
            ttl: None,
            families: text::parse(metrics.as_bytes()).unwrap(),
        };
        groups.concern(gateway, &group, NOW)
    }

    fn report(prefix: &str, host: &str) -> String {
        format!(
            "{prefix}_info{{host=\"{host}\"}} 1\n{prefix}_last_completion_timestamp_seconds 1\n"
        )
    }

    #[test]
    fn another_host() {
        let ours = |ago| vec![reported("p", NOW - ago)];
        let shared = |host: &str, ago| GroupConcern::Shared {
            host: host.into(),
            ours_at: NOW - ago,
        };
        let found = concern(ours(60.0), "g", &report("p", "b"));
        assert_eq!(found, Some(shared("b", 60.0)));
        assert_eq!(concern(ours(60.0), "g", &report("p", "a")), None);
        assert_eq!(concern(ours(60.0), "other", &report("p", "b")), None);
        assert_eq!(concern(ours(SHARED_FOR), "g", &report("p", "b")), None);
        assert_eq!(concern(Vec::new(), "g", &report("p", "b")), None);
        // Of somebody else.
        assert_eq!(concern(ours(60.0), "g", "x_info{host=\"b\"} 1\n"), None);
    }

    #[test]
    fn a_task_goes_from_host_to_host() {
        let of_task = |label: &str| {
            let key = GroupingKey::new("j", [(label.to_owned(), "3".to_owned())]).unwrap();
            let ours = ReportedGroup {
                key: key.clone(),
                ..reported("p", NOW - 60.0)
            };
            let groups = ReportedGroups {
                all: vec![ours],
                host_labels: BTreeSet::new(),
                host: Some("a".into()),
            };
            let group = Group {
                key,
                push_time: NOW,
                push_failure_time: 0.0,
                ttl: None,
                families: text::parse(report("p", "b").as_bytes()).unwrap(),
            };
            groups.concern("g", &group, NOW)
        };
        assert_eq!(of_task("task"), None);
        assert!(matches!(of_task("db"), Some(GroupConcern::Shared { .. })));
    }

    #[test]
    fn another_prefix() {
        let (old, new) = (reported("old", NOW - 60.0), reported("new", NOW - 30.0));
        let both = || vec![new.clone(), old.clone()];
        let moved = GroupConcern::Moved(Box::new(MovedGroup {
            from: old.clone(),
            to: new.clone(),
        }));
        let left = report("old", "a") + &report("new", "a");
        assert_eq!(concern(both(), "g", &left), Some(moved));
        assert_eq!(concern(both(), "g", &report("new", "a")), None);
    }

    fn group(labels: &[(&str, &str)], gateway: &str, prefix: &str, at: [f64; 2]) -> ReportedGroup {
        let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let labels = Labels::from_pairs(labels).unwrap();
        ReportedGroup {
            name: "backup".into(),
            key: GroupingKey::new("backup", labels).unwrap(),
            gateway: known(gateway),
            prefix: known(prefix),
            first_at: at[0],
            last_at: at[1],
        }
    }

    /// Returns true if the first of two groups has moved to the second.
    fn has_moved(from: ReportedGroup, to: ReportedGroup) -> bool {
        let groups = ReportedGroups {
            all: vec![to.clone(), from.clone()],
            host_labels: BTreeSet::from(["instance".to_owned(), "site".to_owned()]),
            host: None,
        };
        let moved = groups.moved();
        let expected = MovedGroup { from, to };
        assert!(moved.iter().all(|moved| *moved == expected));
        !moved.is_empty()
    }

    #[test]
    fn settings_that_move_groups() {
        let (before, after) = ([1.0, 5.0], [6.0, 9.0]);
        let old = || group(&[("db", "a")], "g", "p", before);
        let new = |labels: &[(&str, &str)]| group(labels, "g", "p", after);
        assert!(has_moved(old(), new(&[("db", "a"), ("instance", "h")])));
        assert!(has_moved(old(), new(&[])));
        assert!(has_moved(old(), group(&[("db", "a")], "other", "p", after)));
        assert!(has_moved(old(), group(&[("db", "a")], "g", "other", after)));
        let site = |site, at| group(&[("db", "a"), ("site", site)], "g", "p", at);
        assert!(has_moved(site("berlin", before), site("paris", after)));
        // The history of an older version does not know gateways and prefixes.
        let unknown = || group(&[("db", "a")], "", "", before);
        assert!(has_moved(unknown(), new(&[("db", "a"), ("site", "x")])));
        assert!(!has_moved(unknown(), new(&[("db", "a")])));
    }

    #[test]
    fn groups_beside_each_other() {
        let (before, after) = ([1.0, 5.0], [6.0, 9.0]);
        let old = || group(&[("db", "a")], "g", "p", before);
        assert!(!has_moved(old(), group(&[("db", "b")], "g", "p", after)));
        let beside = [5.0, 9.0];
        assert!(!has_moved(
            old(),
            group(&[("db", "a")], "other", "p", beside)
        ));
        let mut other_job = group(&[], "g", "p", after);
        other_job.name = "other".into();
        assert!(!has_moved(old(), other_job));
    }
}
