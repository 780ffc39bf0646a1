//! Which names and series there are, over all groups.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use hashbrown::HashTable;

use super::group::{FamilyView, Meta, StoredGroup};
use super::{Rejection, lines, own};
use crate::metrics::{GroupingKey, Kind, excerpt};

/// How many metas with different help texts are shared of one name. More would take long to look through,
/// and hardly any are the same.
const SHARED_METAS: usize = 8;

/// What the check of a push needs to know of all groups.
pub struct Index {
    names: HashMap<Box<str>, Name>,
    next_id: u32,
    free_ids: Vec<u32>,
    /// Each series, and the slot of its group.
    series: HashTable<(u64, u32)>,
}

/// A name of families.
struct Name {
    id: u32,
    /// In how many groups it has each kind.
    groups: [u32; Kind::ALL.len()],
    /// A group that has had each kind; it may have gone.
    latest: [u32; Kind::ALL.len()],
    metas: Vec<Weak<Meta>>,
}

impl Index {
    /// That of no groups: the names of the gateway's own metrics are taken.
    pub fn new() -> Self {
        let mut index = Index {
            names: HashMap::new(),
            next_id: 0,
            free_ids: Vec::new(),
            series: HashTable::new(),
        };
        for (name, kind) in own::FAMILIES {
            index.name(name).groups[kind as usize] += 1;
        }
        index
    }

    /// How many series there are.
    pub fn series(&self) -> usize {
        self.series.len()
    }

    fn name(&mut self, name: &str) -> &mut Name {
        if !self.names.contains_key(name) {
            let id = self.free_ids.pop().unwrap_or_else(|| {
                self.next_id += 1;
                self.next_id - 1
            });
            self.add_name(name, id);
        }
        self.names.get_mut(name).expect("it was just made")
    }

    fn add_name(&mut self, name: &str, id: u32) {
        let new = Name {
            id,
            groups: [0; Kind::ALL.len()],
            latest: [u32::MAX; Kind::ALL.len()],
            metas: Vec::new(),
        };
        self.names.insert(name.into(), new);
    }

    /// The name of a family, which has its id. It may have been forgotten with the last group, and the group
    /// be there again, because what happened since was taken back: then its id is free.
    fn name_again(&mut self, meta: &Meta) -> &mut Name {
        if !self.names.contains_key(&meta.name) {
            let place = self.free_ids.iter().rposition(|free| *free == meta.id);
            debug_assert!(place.is_some(), "the id of {} has another name", meta.name);
            place.map(|place| self.free_ids.remove(place));
            self.add_name(&meta.name, meta.id);
        }
        self.names.get_mut(&meta.name).expect("it was just made")
    }

    /// The meta of a family, shared with others that are the same.
    pub fn meta(&mut self, name: &str, kind: Kind, help: &str, is_legacy: bool) -> Arc<Meta> {
        let entry = self.name(name);
        let is_it = |meta: &Arc<Meta>| {
            meta.kind == kind && *meta.help == *help && meta.is_legacy == is_legacy
        };
        if let Some(meta) = entry.metas.iter().filter_map(Weak::upgrade).find(is_it) {
            return meta;
        }
        let meta = Arc::new(Meta {
            name: name.into(),
            kind,
            help: help.into(),
            is_legacy,
            id: entry.id,
        });
        if entry.metas.len() == SHARED_METAS {
            entry.metas.retain(|meta| meta.strong_count() > 0);
        }
        if entry.metas.len() < SHARED_METAS {
            entry.metas.push(Arc::downgrade(&meta));
        }
        meta
    }

    /// Forgets the names that only `group` was to bring.
    pub fn forget(&mut self, group: &StoredGroup) {
        for family in group.families() {
            self.forget_unused(&family.meta.name);
        }
    }

    fn forget_unused(&mut self, name: &str) {
        if let Some(found) = self.names.get(name)
            && found.groups == [0; Kind::ALL.len()]
        {
            self.free_ids.push(found.id);
            self.names.remove(name);
        }
    }

    /// Whether `new`, in the slot in place of `old`, is consistent with all other groups, which `group`
    /// gives.
    pub fn check<'a>(
        &self,
        slot: u32,
        old: Option<&StoredGroup>,
        new: &StoredGroup,
        group: impl Fn(u32) -> Option<&'a StoredGroup>,
    ) -> Result<(), Rejection> {
        let others = Others { index: self, old };
        for family in new.families() {
            let Meta { name, kind, .. } = &**family.meta;
            if let Some((existing, slot)) = others.other_kind(name, *kind) {
                let owner = group(slot).filter(|group| group.family(name).is_some());
                return Err(Rejection::Kind {
                    name: shown(name),
                    pushed: *kind,
                    existing,
                    group: owner.map(|group| group.key.clone()),
                });
            }
            check_suffixes(&others, new, name, *kind)?;
            let old_series = old.and_then(|old| old.family(name));
            if old_series.is_some_and(|old| old.series == family.series) {
                continue;
            }
            if let Some((series, owner)) = self.taken(slot, &family, &group) {
                return Err(Rejection::Series {
                    series,
                    group: owner,
                });
            }
        }
        Ok(())
    }

    /// A series of the family that another group has already.
    fn taken<'a>(
        &self,
        slot: u32,
        family: &FamilyView<'_>,
        group: impl Fn(u32) -> Option<&'a StoredGroup>,
    ) -> Option<(String, GroupingKey)> {
        let name = &*family.meta.name;
        for (at, hash) in family.series.iter().enumerate() {
            let same = self.series.iter_hash(*hash);
            let others = same.filter(|(found, owner)| found == hash && *owner != slot);
            for owner in others.filter_map(|(_, owner)| group(*owner)) {
                let labels = family.labels().nth(at)?;
                let compared = lines::compared(labels);
                let mut theirs = owner.family(name)?.labels();
                if theirs.any(|other| lines::compared(other) == compared) {
                    let series = lines::series(name, labels);
                    let series = excerpt::written_series(&series).into_owned();
                    return Some((series, owner.key.clone()));
                }
            }
        }
        None
    }

    /// Takes note that `new` stands in the slot in place of `old`.
    pub fn change(&mut self, slot: u32, old: Option<&StoredGroup>, new: Option<&StoredGroup>) {
        if let (Some(old), Some(new)) = (old, new)
            && old.has_same_series(new)
        {
            return;
        }
        let is_kept = |family: &FamilyView<'_>, other: Option<&StoredGroup>| {
            let other = other.and_then(|other| other.family(&family.meta.name));
            other.is_some_and(|other| other.series == family.series)
        };
        // First what comes, so that no name goes in between that stays.
        for family in new.into_iter().flat_map(StoredGroup::families) {
            let name = self.name_again(family.meta);
            name.groups[family.meta.kind as usize] += 1;
            name.latest[family.meta.kind as usize] = slot;
        }
        for family in old.into_iter().flat_map(StoredGroup::families) {
            self.name(&family.meta.name).groups[family.meta.kind as usize] -= 1;
            self.forget_unused(&family.meta.name);
            if !is_kept(&family, new) {
                for hash in family.series {
                    let is_it = |entry: &(u64, u32)| *entry == (*hash, slot);
                    if let Ok(entry) = self.series.find_entry(*hash, is_it) {
                        entry.remove();
                    }
                }
            }
        }
        for family in new.into_iter().flat_map(StoredGroup::families) {
            if !is_kept(&family, old) {
                for hash in family.series {
                    self.series
                        .insert_unique(*hash, (*hash, slot), |(hash, _)| *hash);
                }
            }
        }
    }
}

/// All groups but the one that is about to be replaced.
struct Others<'a> {
    index: &'a Index,
    old: Option<&'a StoredGroup>,
}

impl Others<'_> {
    /// In how many of them `name` has each kind, and a group that has had it.
    fn kinds(&self, name: &str) -> impl Iterator<Item = (Kind, u32, u32)> {
        let found = self.index.names.get(name);
        let old = self.old.and_then(|old| old.family(name));
        let old = old.map(|old| old.meta.kind);
        Kind::ALL.into_iter().filter_map(move |kind| {
            let found = found?;
            let own = u32::from(old == Some(kind));
            Some((
                kind,
                found.groups[kind as usize] - own,
                found.latest[kind as usize],
            ))
        })
    }

    fn other_kind(&self, name: &str, kind: Kind) -> Option<(Kind, u32)> {
        self.kinds(name)
            .find(|(other, groups, _)| *other != kind && *groups > 0)
            .map(|(other, _, slot)| (other, slot))
    }

    fn has(&self, name: &str) -> bool {
        self.kinds(name).any(|(_, groups, _)| groups > 0)
    }

    fn has_kind(&self, name: &str, kind: Kind) -> bool {
        self.kinds(name)
            .any(|(found, groups, _)| found == kind && groups > 0)
    }
}

fn shown(name: &str) -> String {
    excerpt::word(name).into_owned()
}

/// Whether the name is a series of a summary or histogram, or the other way round.
fn check_suffixes(
    others: &Others<'_>,
    new: &StoredGroup,
    name: &str,
    kind: Kind,
) -> Result<(), Rejection> {
    for base_kind in [Kind::Summary, Kind::Histogram] {
        for suffix in base_kind.suffixes() {
            let Some(base) = name.strip_suffix(suffix) else {
                continue;
            };
            let is_in_new = new.family(base).is_some_and(|f| f.meta.kind == base_kind);
            if is_in_new || others.has_kind(base, base_kind) {
                return Err(Rejection::Suffix {
                    name: shown(name),
                    kind: base_kind,
                    base: shown(base),
                });
            }
        }
    }
    for suffix in kind.suffixes() {
        let name = format!("{name}{suffix}");
        if new.family(&name).is_some() || others.has(&name) {
            return Err(Rejection::Suffix {
                name: shown(&name),
                kind,
                base: shown(&name[..name.len() - suffix.len()]),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::metrics::{GroupingKey, Method, Names, text};
    use crate::store::{Report, Store};

    #[test]
    fn messages_have_excerpts_of_long_input() {
        let long = "x".repeat(100_000);
        let mut store = Store::new();
        let mut push = |b: &str, text: String| {
            let label = (!b.is_empty()).then(|| ("b".into(), b.into()));
            let key = GroupingKey::new("j", label).unwrap();
            let families = text::parse(text.as_bytes()).unwrap();
            let report = Report::new(&key, families, Names::Legacy, &store.hasher());
            store.push(&key, Method::Put, report, 1.0).result
        };
        let first = format!("{long} 1\ny{{a=\"{long}\"}} 1\n# TYPE {long}_s summary\n{long}_s 1\n");
        assert_eq!(push("c", first), Ok(()));
        for text in [
            format!("y{{a=\"{long}\",b=\"c\"}} 1\n"),
            format!("# TYPE {long} gauge\n{long} 1\n"),
            format!("# TYPE {long} histogram\n{long} 1\n"),
            format!("{long}_s_sum 1\n"),
            // By themselves.
            format!("y{{a=\"{long}\"}} 1\ny{{a=\"{long}\"}} 1\n"),
        ] {
            let error = push("", text).unwrap_err().to_string();
            assert!(error.len() < 300, "{error}");
        }
        let twice = text::parse(format!("{long} 1\n").as_bytes()).unwrap();
        let twice = [twice.clone(), twice].concat();
        let key = GroupingKey::new("j", []).unwrap();
        let error = Report::new(&key, twice, Names::Legacy, &store.hasher())
            .err()
            .unwrap();
        assert!(error.to_string().len() < 300, "{error}");
    }
}
