//! A report on its way to a group.

use std::time::SystemTime;

use super::check::{CheckError, check_push};
use super::family::Family;
use super::grouping_key::GroupingKey;
use super::method::Method;
use super::text;

/// A checked report on its way to a group.
#[derive(Debug, Clone, PartialEq)]
pub struct Push {
    key: GroupingKey,
    method: Method,
    families: Vec<Family>,
    text: String,
    produced_at: SystemTime,
    runners_own: Vec<String>,
}

impl Push {
    /// A push of `families`, produced at `produced_at`, to the group of `key`.
    ///
    /// # Errors
    ///
    /// What a gateway would refuse, or store otherwise than it was meant; see [`check_push`].
    pub fn new(
        key: GroupingKey,
        method: Method,
        families: Vec<Family>,
        produced_at: SystemTime,
    ) -> Result<Self, CheckError> {
        check_push(&key, &families)?;
        Ok(Push::checked_before(key, method, families, produced_at))
    }

    /// A push that was checked when it was made, perhaps by an older version with fewer rules: it is
    /// the gateway's now to say what becomes of it.
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
        }
    }

    /// Names the families that the runner has made. Where a gateway refuses the push, they are sent without the
    /// job's, which must not take them along.
    pub fn with_runners_own(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.runners_own = names.into_iter().collect();
        self
    }

    /// The names of the families that the runner has made.
    pub fn runners_own(&self) -> &[String] {
        &self.runners_own
    }

    /// A push of some of its `families` to the same group by `method`.
    pub fn part(&self, method: Method, families: Vec<Family>) -> Push {
        Push {
            text: text::encode(&families),
            key: self.key.clone(),
            method,
            families,
            produced_at: self.produced_at,
            runners_own: Vec::new(),
        }
    }

    /// The key of the group it goes to.
    pub fn key(&self) -> &GroupingKey {
        &self.key
    }

    /// The method of the push.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The families that are pushed.
    pub fn families(&self) -> &[Family] {
        &self.families
    }

    /// The families in the text format 0.0.4.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// When the report was produced.
    pub fn produced_at(&self) -> SystemTime {
        self.produced_at
    }

    /// The one push that does to the group what this one and then `newer`, which goes to the same
    /// group, would do: a PUT replaces what was before it, a POST the families of the same name.
    pub fn followed_by(&self, newer: &Push) -> Push {
        if newer.method == Method::Put {
            return newer.clone();
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
        }
    }

    /// Whether nothing of `older`, which goes to the same group, is left once this one is done.
    pub fn replaces(&self, older: &Push) -> bool {
        match (older.method, self.method) {
            (_, Method::Put) => true,
            // It drops families that this one leaves alone.
            (Method::Put, Method::Post) => false,
            (Method::Post, Method::Post) => older.families.iter().all(|old| {
                let mut new = self.families.iter();
                new.any(|new| new.name == old.name)
            }),
        }
    }
}
