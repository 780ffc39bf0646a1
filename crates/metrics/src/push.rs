//! Pushes to a group.

use std::time::{Duration, SystemTime};

use super::check::{CheckError, check_push};
use super::family::Family;
use super::grouping_key::GroupingKey;
use super::method::Method;
use super::text;

/// A report for a group, checked as a client does before it sends.
#[derive(Debug, Clone, PartialEq)]
pub struct Push {
    key: GroupingKey,
    method: Method,
    families: Vec<Family>,
    text: String,
    produced_at: SystemTime,
    runners_own: Vec<String>,
    ttl: Option<Duration>,
}

impl Push {
    /// Creates a push of `families`, a report produced at `produced_at`, to the group of `key`.
    ///
    /// # Errors
    ///
    /// Returns the first problem that [`check_push`] finds.
    pub fn new(
        key: GroupingKey,
        method: Method,
        families: Vec<Family>,
        produced_at: SystemTime,
    ) -> Result<Self, CheckError> {
        check_push(&key, &families)?;
        Ok(Push::checked_before(key, method, families, produced_at))
    }

    /// Creates a push that was checked before, perhaps by an older version with fewer rules. The gateway decides
    /// whether it takes it.
    pub fn checked_before(
        key: GroupingKey,
        method: Method,
        families: Vec<Family>,
        produced_at: SystemTime,
    ) -> Self {
        Push {
            text: text::encode(&families),
            key,
            method,
            families,
            produced_at,
            runners_own: Vec::new(),
            ttl: None,
        }
    }

    /// Sets the names of the families that the runner produced. If the gateway refuses the push because of the job's
    /// own families, they are sent alone.
    pub fn with_runners_own(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.runners_own = names.into_iter().collect();
        self
    }

    /// Sets the time after which our gateway removes the group if nothing is pushed to it; zero for never. `None` leaves
    /// what is set there. Other gateways ignore it.
    #[must_use]
    pub fn with_ttl(mut self, ttl: Option<Duration>) -> Self {
        self.ttl = ttl;
        self
    }

    /// Returns the time to live that the push sets.
    pub fn ttl(&self) -> Option<Duration> {
        self.ttl
    }

    /// Returns the names of the families that the runner produced.
    pub fn runners_own(&self) -> &[String] {
        &self.runners_own
    }

    /// Creates a push of `families`, a part of its own, to the same group by `method`.
    pub fn part(&self, method: Method, families: Vec<Family>) -> Push {
        Push {
            text: text::encode(&families),
            key: self.key.clone(),
            method,
            families,
            produced_at: self.produced_at,
            runners_own: Vec::new(),
            ttl: self.ttl,
        }
    }

    /// Returns the key of the group.
    pub fn key(&self) -> &GroupingKey {
        &self.key
    }

    /// The method of the push.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Returns the families of the report.
    pub fn families(&self) -> &[Family] {
        &self.families
    }

    /// Returns the families in the text format 0.0.4.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the time when the report was produced.
    pub fn produced_at(&self) -> SystemTime {
        self.produced_at
    }

    /// Merges this push and then `newer`, to the same group, into one with the same effect: a PUT replaces what was
    /// before it, a POST the families of the same names.
    pub fn followed_by(&self, newer: &Push) -> Push {
        let ttl = newer.ttl.or(self.ttl);
        if newer.method == Method::Put {
            return newer.clone().with_ttl(ttl);
        }
        let is_replaced = |old: &Family| newer.families.iter().any(|new| new.name == old.name);
        let kept = self.families.iter().filter(|family| !is_replaced(family));
        let mut families: Vec<Family> = kept.chain(&newer.families).cloned().collect();
        families.sort_by(|a, b| a.name.cmp(&b.name));
        let old_own = self.runners_own.iter();
        let old_own = old_own.filter(|name| !newer.runners_own.contains(name));
        Push {
            text: text::encode(&families),
            key: newer.key.clone(),
            method: self.method,
            families,
            produced_at: newer.produced_at,
            runners_own: old_own.chain(&newer.runners_own).cloned().collect(),
            ttl,
        }
    }

    /// Returns true if nothing of `older`, to the same group, is left after this push.
    pub fn replaces(&self, older: &Push) -> bool {
        if older.ttl.is_some() && self.ttl.is_none() {
            return false;
        }
        match (older.method, self.method) {
            (_, Method::Put) => true,
            // The older PUT also drops families that this POST leaves alone.
            (Method::Put, Method::Post) => false,
            (Method::Post, Method::Post) => older.families.iter().all(|old| {
                let mut new = self.families.iter();
                new.any(|new| new.name == old.name)
            }),
        }
    }
}
