//! Index of names and series over all groups.

use std::hash::RandomState;
use std::sync::Arc;

use hashbrown::HashTable;

use super::group::{FamilyView, Meta, StoredGroup};
use super::names::{Name, NameTable};
use super::{Rejection, lines, own};
use metricsjob_metrics::{GroupingKey, Kind, excerpt};

/// Index of names and series over all groups, by which a push is checked.
pub struct Index {
    names: NameTable,
    /// The hash of each series, and the slot of its group.
    series: HashTable<(u64, u32)>,
}

impl Index {
    /// Creates the index of no groups, in which the names of the gateway's own metrics are taken.
    pub fn new(hasher: RandomState) -> Self {
        let mut names = NameTable::new(hasher.clone());
        for (name, kind) in own::FAMILIES {
            let meta = Meta::new(name, kind, String::new(), true, &hasher);
            let (id, meta) = names.share(meta.into());
            names.of(id, &meta).groups[kind as usize] += 1;
        }
        Index {
            names,
            series: HashTable::new(),
        }
    }

    /// Returns the number of series.
    pub fn series(&self) -> usize {
        self.series.len()
    }

    /// Releases the memory of removed names and series.
    pub fn shrink(&mut self) {
        self.names.shrink();
        let series = self.series.len();
        self.series.shrink_to(2 * series, |(hash, _)| *hash);
    }

    /// Reserves room for a push that is larger than all that is there, because growing in steps takes longer.
    pub fn reserve(&mut self, names: usize, series: usize) {
        self.names.reserve(names);
        if series > self.series.len() {
            self.series.reserve(series, |(hash, _)| *hash);
        }
    }

    /// See [`NameTable::share`].
    pub fn share(&mut self, meta: Arc<Meta>) -> (u32, Arc<Meta>) {
        self.names.share(meta)
    }

    /// Removes names that only `group`, which is not kept, has.
    pub fn forget(&mut self, group: &StoredGroup) {
        for family in group.families() {
            self.names.forget_unused(family.id);
        }
    }

    /// Checks that `new`, in the slot and in place of `old`, is consistent with all other groups, which `group`
    /// returns by slot.
    pub fn check<'a>(
        &self,
        slot: u32,
        old: Option<&StoredGroup>,
        new: &StoredGroup,
        group: impl Fn(u32) -> Option<&'a StoredGroup>,
    ) -> Result<(), Rejection> {
        let others = Others { index: self, old };
        for (family, old_family) in new.beside(old) {
            // A conflict with another family of the group is found at that, which has changed.
            if old_family
                .as_ref()
                .is_some_and(|old| family.is_unchanged(old))
            {
                continue;
            }
            let Meta { name, kind, .. } = &**family.meta;
            let old_kind = old_family.as_ref().map(|old| old.meta.kind);
            if let Some((existing, slot)) = others.other_kind(&family, old_kind) {
                let owner = group(slot).filter(|group| group.family(name).is_some());
                return Err(Rejection::Kind {
                    name: shown(name),
                    pushed: *kind,
                    existing,
                    group: owner.map(|group| group.key.clone()),
                });
            }
            check_suffixes(&others, new, name, *kind)?;
            if old_family.is_some_and(|old| old.series == family.series) {
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

    /// Finds a series of the family that another group already has.
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

    /// Records that `new` replaces `old` in the slot.
    pub fn change(&mut self, slot: u32, old: Option<&StoredGroup>, new: Option<&StoredGroup>) {
        if let (Some(old), Some(new)) = (old, new)
            && old.has_same_series(new)
        {
            return;
        }
        type Family<'a> = FamilyView<'a>;
        let is_unchanged = |family: &Family<'_>, other: &Option<Family<'_>>| {
            (other.as_ref()).is_some_and(|other| family.is_unchanged(other))
        };
        let has_same_series = |family: &Family<'_>, other: &Option<Family<'_>>| {
            (other.as_ref()).is_some_and(|other| family.series == other.series)
        };
        // Additions first, so that names that stay are never unused in between.
        for (family, old) in new.into_iter().flat_map(|new| new.beside(old)) {
            if is_unchanged(&family, &old) {
                continue;
            }
            let kind = family.meta.kind as usize;
            let name = self.names.of(family.id, family.meta);
            name.groups[kind] += 1;
            name.latest[kind] = slot;
        }
        for (family, new) in old.into_iter().flat_map(|old| old.beside(new)) {
            if is_unchanged(&family, &new) {
                continue;
            }
            self.names.of(family.id, family.meta).groups[family.meta.kind as usize] -= 1;
            self.names.forget_unused(family.id);
            if !has_same_series(&family, &new) {
                for hash in family.series {
                    let is_it = |entry: &(u64, u32)| *entry == (*hash, slot);
                    if let Ok(entry) = self.series.find_entry(*hash, is_it) {
                        entry.remove();
                    }
                }
            }
        }
        for (family, old) in new.into_iter().flat_map(|new| new.beside(old)) {
            if !has_same_series(&family, &old) {
                for hash in family.series {
                    self.series
                        .insert_unique(*hash, (*hash, slot), |(hash, _)| *hash);
                }
            }
        }
    }
}

/// All groups except the one to be replaced.
struct Others<'a> {
    index: &'a Index,
    old: Option<&'a StoredGroup>,
}

impl Others<'_> {
    /// Finds another kind of the family's name in these groups, and a group that has had it. `old` is its kind in the
    /// group to be replaced.
    fn other_kind(&self, family: &FamilyView<'_>, old: Option<Kind>) -> Option<(Kind, u32)> {
        let name = self.index.names.get(family.id)?;
        let mut kinds = Kind::ALL.into_iter();
        let other = kinds.find(|kind| *kind != family.meta.kind && groups(name, *kind, old) > 0)?;
        Some((other, name.latest[other as usize]))
    }

    /// Returns true if one of these groups has the name, with one of these kinds.
    fn has(&self, name: &str, kinds: &[Kind]) -> bool {
        let Some(found) = self.index.names.find(name) else {
            return false;
        };
        let old = self.old.and_then(|old| old.family(name));
        let old = old.map(|old| old.meta.kind);
        kinds.iter().any(|kind| groups(found, *kind, old) > 0)
    }
}

/// Returns the number of groups in which a name has this kind, less one if that is `old`.
fn groups(name: &Name, kind: Kind, old: Option<Kind>) -> u32 {
    name.groups[kind as usize] - u32::from(old == Some(kind))
}

fn shown(name: &str) -> String {
    excerpt::word(name).into_owned()
}

/// Refuses a name that is also that of a series of a summary or histogram, in either direction.
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
            if is_in_new || others.has(base, &[base_kind]) {
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
        if new.family(&name).is_some() || others.has(&name, &Kind::ALL) {
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
    use crate::store::{RenderedPush, Store};
    use metricsjob_metrics::{GroupingKey, Method, Names, text};

    #[test]
    fn messages_have_excerpts_of_long_input() {
        let long = "x".repeat(100_000);
        let mut store = Store::new();
        let mut push = |b: &str, text: String| {
            let label = (!b.is_empty()).then(|| ("b".into(), b.into()));
            let key = GroupingKey::new("j", label).unwrap();
            let families = text::parse(text.as_bytes()).unwrap();
            let report = RenderedPush::new(&key, families, Names::Legacy, &store.hasher());
            store.push(&key, Method::Put, report, 1.0).result
        };
        let first = format!("{long} 1\ny{{a=\"{long}\"}} 1\n# TYPE {long}_s summary\n{long}_s 1\n");
        assert_eq!(push("c", first), Ok(()));
        for text in [
            format!("y{{a=\"{long}\",b=\"c\"}} 1\n"),
            format!("# TYPE {long} gauge\n{long} 1\n"),
            format!("# TYPE {long} histogram\n{long} 1\n"),
            format!("{long}_s_sum 1\n"),
            // Duplicates within the push.
            format!("y{{a=\"{long}\"}} 1\ny{{a=\"{long}\"}} 1\n"),
        ] {
            let error = push("", text).unwrap_err().to_string();
            assert!(error.len() < 300, "{error}");
        }
        let twice = text::parse(format!("{long} 1\n").as_bytes()).unwrap();
        let twice = [twice.clone(), twice].concat();
        let key = GroupingKey::new("j", []).unwrap();
        let error = RenderedPush::new(&key, twice, Names::Legacy, &store.hasher())
            .err()
            .unwrap();
        assert!(error.to_string().len() < 300, "{error}");
    }
}
