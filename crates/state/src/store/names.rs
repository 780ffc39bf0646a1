//! Names of families over all groups, each with an id for constant-time lookup.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Weak};

use hashbrown::HashTable;
use smallvec::SmallVec;

use super::group::Meta;
use metricsjob_metrics::Kind;

/// Most metadata with different help texts shared per name. More would take long to search, and are hardly ever
/// equal.
const SHARED_METAS: usize = 8;

/// All names in groups, or about to be.
pub struct NameTable {
    hasher: RandomState,
    /// Names by id. Free ids are in `free`.
    names: Vec<Option<Name>>,
    free: Vec<u32>,
    ids: HashTable<u32>,
}

/// A name of families.
pub struct Name {
    hash: u64,
    name: Arc<str>,
    /// The number of groups in which it has each kind.
    pub groups: [u32; Kind::ALL.len()],
    /// The slot of a group that has had each kind; it may be gone.
    pub latest: [u32; Kind::ALL.len()],
    /// Metadata to share. Hardly any name has more than one.
    metas: SmallVec<[Weak<Meta>; 1]>,
}

impl Name {
    fn is_unused(&self) -> bool {
        self.groups == [0; Kind::ALL.len()]
    }
}

impl NameTable {
    /// Creates it with the hasher of the [`Store`](super::Store).
    pub fn new(hasher: RandomState) -> Self {
        NameTable {
            hasher,
            names: Vec::new(),
            free: Vec::new(),
            ids: HashTable::new(),
        }
    }

    /// Reserves room for `more` names, because growing in steps takes longer.
    pub fn reserve(&mut self, more: usize) {
        let names = &self.names;
        self.ids.reserve(more, |id| hash_of(names, *id));
        self.names.reserve(more.saturating_sub(self.free.len()));
    }

    /// Releases the memory of removed names.
    pub fn shrink(&mut self) {
        while let Some(None) = self.names.last() {
            self.names.pop();
        }
        let end = self.names.len();
        self.free.retain(|id| (*id as usize) < end);
        self.names.shrink_to(2 * end);
        self.free.shrink_to(2 * self.free.len());
        let names = &self.names;
        self.ids
            .shrink_to(2 * self.ids.len(), |id| hash_of(names, *id));
    }

    /// Returns the entry of `name`.
    pub fn find(&self, name: &str) -> Option<&Name> {
        self.get(self.id_of(self.hasher.hash_one(name), name)?)
    }

    pub fn get(&self, id: u32) -> Option<&Name> {
        self.names.get(id as usize)?.as_ref()
    }

    fn id_of(&self, hash: u64, name: &str) -> Option<u32> {
        let is_it = |id: &u32| self.get(*id).is_some_and(|found| *found.name == *name);
        self.ids.find(hash, is_it).copied()
    }

    /// Returns the id of a family's name, which gets one if necessary.
    fn id(&mut self, meta: &Meta) -> u32 {
        if let Some(id) = self.id_of(meta.hash, &meta.name) {
            return id;
        }
        let id = self.free.pop().unwrap_or_else(|| {
            self.names.push(None);
            (self.names.len() - 1) as u32
        });
        self.add(id, meta);
        id
    }

    fn add(&mut self, id: u32, meta: &Meta) {
        self.names[id as usize] = Some(Name {
            hash: meta.hash,
            name: meta.name.clone(),
            groups: [0; Kind::ALL.len()],
            latest: [u32::MAX; Kind::ALL.len()],
            metas: SmallVec::new(),
        });
        let names = &self.names;
        self.ids
            .insert_unique(meta.hash, id, |id| hash_of(names, *id));
    }

    /// Returns the entry of a family's name by its id. If it was removed with its last group, and an undo brought
    /// that back, its id is free, and the entry is created again.
    pub fn of(&mut self, id: u32, meta: &Meta) -> &mut Name {
        let place = id as usize;
        if place >= self.names.len() {
            let more = self.names.len() as u32..=id;
            self.free.extend(more);
            self.names.resize_with(place + 1, || None);
        }
        if self.names[place].is_none() {
            let free = self.free.iter().rposition(|free| *free == id);
            free.map(|free| self.free.remove(free));
            self.add(id, meta);
        }
        let name = self.names[place].as_mut().expect("it was just made");
        debug_assert_eq!(name.name, meta.name, "its id has another name");
        name
    }

    /// Removes a name that no group has.
    pub fn forget_unused(&mut self, id: u32) {
        let Some(name) = self.names.get_mut(id as usize) else {
            return;
        };
        if let Some(unused) = name.take_if(|name| name.is_unused()) {
            self.free.push(id);
            let is_it = |found: &u32| *found == id;
            if let Ok(entry) = self.ids.find_entry(unused.hash, is_it) {
                entry.remove();
            }
        }
    }

    /// Returns the id of a family's name, and its metadata shared with equal ones.
    pub fn share(&mut self, meta: Arc<Meta>) -> (u32, Arc<Meta>) {
        let id = self.id(&meta);
        let entry = self.names[id as usize].as_mut().expect("it has an id");
        let mut known = entry.metas.iter().filter_map(Weak::upgrade);
        if let Some(known) = known.find(|known| *known == meta) {
            return (id, known);
        }
        if entry.metas.len() == SHARED_METAS {
            entry.metas.retain(|meta| meta.strong_count() > 0);
        }
        if entry.metas.len() < SHARED_METAS {
            entry.metas.push(Arc::downgrade(&meta));
        }
        (id, meta)
    }
}

fn hash_of(names: &[Option<Name>], id: u32) -> u64 {
    let name = names.get(id as usize).and_then(Option::as_ref);
    name.map_or(0, |name| name.hash)
}
