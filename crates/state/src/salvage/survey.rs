//! Search for the pages with rows in a broken database.
//!
//! These are pages that b-trees lead to, and orphans, whose parent is broken. Free pages may have rows too, but long
//! obsolete ones, such as delivered reports: they are never read.

use std::collections::{HashMap, HashSet};

use rusqlite::types::Value;

use super::node::{Layout, Node};
use super::pages::{Pages, word};
use super::record;
use crate::checksum::Table;
use crate::schema;

/// A page with rows.
pub struct Leaf {
    pub number: u32,
    /// The table whose tree led to the page.
    pub table: &'static str,
}

/// Result of the search.
pub struct Survey {
    /// Pages that trees led to, in the order of their rows.
    pub leaves: Vec<Leaf>,
    /// Pages with rows that no tree led to.
    pub orphans: Vec<u32>,
    /// True if the orphans may be free pages.
    pub are_orphans_doubtful: bool,
    /// The number of pages that a tree led to but that are missing, or not b-tree pages.
    pub broken: u64,
    /// True if the database is of a version without checksums.
    pub is_old: bool,
}

/// State of the walk through all trees.
struct Walk<'a> {
    pages: &'a Pages<'a>,
    seen: HashSet<u32>,
    /// Overflow pages of records.
    overflow: HashSet<u32>,
    leaves: Vec<Leaf>,
    broken: HashSet<u32>,
    is_whole: bool,
}

/// Searches all pages for rows of `tables`.
pub fn survey(pages: &Pages<'_>, tables: &[&'static Table]) -> Survey {
    let header = pages.page(1);
    let at = |offset| header.as_ref().map_or(0, |header| word(header, offset));
    let (version, copy) = (at(60), at(68));
    let is_old = (1..schema::FIRST_WITH_CHECKSUMS).contains(&version) && copy == 0;
    let mut walk = Walk {
        pages,
        seen: HashSet::new(),
        overflow: HashSet::new(),
        leaves: Vec::new(),
        broken: HashSet::new(),
        is_whole: true,
    };
    walk.tree(1, Some(Layout::Numbers), None);
    let schema = schema_of(pages);
    let usual = schema::roots().unwrap_or_default();
    for table in tables {
        let layout = if table.has_rowid {
            Layout::Numbers
        } else {
            Layout::Contents
        };
        let root = schema.get(table.name);
        walk.is_whole &= root.is_some() || is_old;
        if let Some(root) = root.or(usual.get(table.name)) {
            walk.tree(*root, Some(layout), Some(table.name));
        }
    }
    for (name, root) in &schema {
        if !tables.iter().any(|table| table.name == name) {
            walk.tree(*root, None, None);
        }
    }
    let free = free_pages(pages, at(32), at(36));
    // A free page in use shows that the list of free pages is broken.
    let free = free.filter(|free| free.is_disjoint(&walk.seen) && free.is_disjoint(&walk.overflow));
    let mut orphans = Vec::new();
    if free.is_some() || !walk.is_whole {
        for number in 2..=pages.count {
            let is_free = free.as_ref().is_some_and(|free| free.contains(&number));
            let is_known = is_free || walk.seen.contains(&number);
            let page = pages.page(number).filter(|_| !is_known);
            if page.is_some_and(|page| Node::read(&page, number).is_some()) {
                orphans.push(number);
            }
        }
    }
    Survey {
        leaves: walk.leaves,
        orphans,
        are_orphans_doubtful: free.is_none(),
        broken: walk.broken.difference(&walk.seen).count() as u64,
        is_old,
    }
}

impl Walk<'_> {
    /// Walks the tree with this root in the order of its rows.
    fn tree(&mut self, root: u32, layout: Option<Layout>, table: Option<&'static str>) {
        let mut layout = layout;
        let mut stack = vec![root];
        while let Some(number) = stack.pop() {
            if self.seen.contains(&number) {
                self.is_whole = false;
                continue;
            }
            let page = self.pages.page(number);
            let node = page.and_then(|page| Node::read(&page, number));
            let Some(node) = node.filter(|node| layout.is_none_or(|it| it == node.layout)) else {
                // The page may be sound, and of another tree.
                self.is_whole = false;
                if table.is_some() || number == 1 {
                    self.broken.insert(number);
                }
                continue;
            };
            layout = Some(node.layout);
            self.seen.insert(number);
            self.is_whole &= node.broken == 0;
            let records = node.cells.iter().filter_map(|cell| cell.record.as_ref());
            for record in records {
                self.overflow.extend(record.overflow(self.pages));
            }
            if let Some(table) = table
                && (node.is_leaf || node.layout == Layout::Contents)
            {
                self.leaves.push(Leaf { number, table });
            }
            let children = node.cells.iter().filter_map(|cell| cell.child);
            let children: Vec<u32> = children.chain(node.right).collect();
            stack.extend(children.into_iter().rev());
        }
    }
}

/// Returns the root pages by names of tables and indexes.
fn schema_of(pages: &Pages<'_>) -> HashMap<String, u32> {
    let mut roots = HashMap::new();
    let mut seen = HashSet::new();
    let mut stack = vec![1];
    while let Some(number) = stack.pop() {
        let node = pages.page(number);
        let node = node.and_then(|page| Node::read(&page, number));
        let Some(node) = node.filter(|_| seen.insert(number)) else {
            continue;
        };
        stack.extend(node.right);
        for cell in node.cells {
            stack.extend(cell.child);
            let record = cell.record.and_then(|it| it.whole(pages));
            let values = record.and_then(|record| record::decode(&record));
            if let Some([_, Value::Text(name), _, Value::Integer(root), _]) = values.as_deref()
                && let Ok(root @ 1..) = u32::try_from(*root)
            {
                roots.insert(name.clone(), root);
            }
        }
    }
    roots
}

/// Returns the pages in the free list that begins at `first`; `None` if it is broken or they are not `count`.
fn free_pages(pages: &Pages<'_>, first: u32, count: u32) -> Option<HashSet<u32>> {
    let mut free = HashSet::new();
    let mut add = |number: u32| (2..=pages.count).contains(&number) && free.insert(number);
    let mut trunk = first;
    while trunk != 0 {
        if !add(trunk) {
            return None;
        }
        let page = pages.page(trunk)?;
        let leaves = word(&page, 4) as usize;
        let numbers = page.get(8..8 + leaves.checked_mul(4)?)?;
        if !numbers.chunks_exact(4).all(|number| add(word(number, 0))) {
            return None;
        }
        trunk = word(&page, 0);
    }
    (free.len() == count as usize).then_some(free)
}
