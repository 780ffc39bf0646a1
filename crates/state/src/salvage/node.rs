//! B-tree pages and their cells.

use super::pages::{PAGE, Page, Pages, word};
use super::record::varint;

/// Key of a b-tree's rows: rowids in tables, and contents in indexes and tables without rowid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    Numbers,
    Contents,
}

/// A b-tree page.
pub struct Node {
    pub layout: Layout,
    pub is_leaf: bool,
    pub cells: Vec<Cell>,
    /// The number of further cells, which are broken.
    pub broken: u64,
    /// The rightmost child of an interior page.
    pub right: Option<u32>,
}

/// A cell: a row, a child page, or both.
pub struct Cell {
    pub child: Option<u32>,
    pub rowid: Option<i64>,
    pub record: Option<Record>,
}

/// Location of a record, which may continue on overflow pages.
pub struct Record {
    local: Vec<u8>,
    length: usize,
    overflow: Option<u32>,
}

impl Node {
    /// Parses a page; `None` if it is not a b-tree page.
    pub fn read(page: &Page, number: u32) -> Option<Node> {
        let start = if number == 1 { 100 } else { 0 };
        let (layout, is_leaf) = match page[start] {
            0x02 => (Layout::Contents, false),
            0x05 => (Layout::Numbers, false),
            0x0a => (Layout::Contents, true),
            0x0d => (Layout::Numbers, true),
            _ => return None,
        };
        let number_at = |at: usize| usize::from(u16::from_be_bytes([page[at], page[at + 1]]));
        let count = number_at(start + 3);
        let content = number_at(start + 5);
        let pointers = start + if is_leaf { 8 } else { 12 };
        if pointers + 2 * count > PAGE || content > PAGE {
            return None;
        }
        let mut node = Node {
            layout,
            is_leaf,
            cells: Vec::with_capacity(count),
            broken: 0,
            right: (!is_leaf).then(|| word(page, start + 8)),
        };
        for index in 0..count {
            let offset = number_at(pointers + 2 * index);
            // Bytes below are left over from deleted rows.
            let is_content = offset >= content.max(pointers + 2 * count);
            match page.get(offset..).filter(|_| is_content) {
                Some(bytes) => match Cell::read(bytes, layout, is_leaf) {
                    Some(cell) => node.cells.push(cell),
                    None => node.broken += 1,
                },
                None => node.broken += 1,
            }
        }
        Some(node)
    }
}

impl Cell {
    fn read(mut bytes: &[u8], layout: Layout, is_leaf: bool) -> Option<Cell> {
        let mut child = None;
        if !is_leaf {
            child = Some(word(bytes.get(..4)?, 0));
            bytes = &bytes[4..];
        }
        if layout == Layout::Numbers && !is_leaf {
            return Some(Cell {
                child,
                rowid: None,
                record: None,
            });
        }
        let (length, size) = varint(bytes)?;
        bytes = &bytes[size..];
        let length = usize::try_from(length).ok()?;
        let mut rowid = None;
        if layout == Layout::Numbers {
            let (number, size) = varint(bytes)?;
            rowid = Some(number);
            bytes = &bytes[size..];
        }
        let local = local_length(length, layout);
        let overflow = if local < length {
            Some(word(bytes.get(local..local + 4)?, 0))
        } else {
            None
        };
        let record = Record {
            local: bytes.get(..local)?.to_vec(),
            length,
            overflow,
        };
        Some(Cell {
            child,
            rowid,
            record: Some(record),
        })
    }
}

/// Returns the number of bytes of a record that are in the page itself.
fn local_length(length: usize, layout: Layout) -> usize {
    let most = match layout {
        Layout::Numbers => PAGE - 35,
        Layout::Contents => (PAGE - 12) * 64 / 255 - 23,
    };
    if length <= most {
        return length;
    }
    let least = (PAGE - 12) * 32 / 255 - 23;
    let fitting = least + (length - least) % (PAGE - 4);
    if fitting <= most { fitting } else { least }
}

impl Record {
    /// Reads the whole record, with its overflow pages; `None` if one of them is missing.
    pub fn whole(self, pages: &Pages<'_>) -> Option<Vec<u8>> {
        let mut bytes = self.local;
        if self.length > bytes.len().saturating_add(pages.count as usize * PAGE) {
            return None;
        }
        let mut next = self.overflow;
        while let Some(number) = next.take() {
            let page = pages.page(number)?;
            let missing = self.length - bytes.len();
            bytes.extend_from_slice(&page[4..4 + missing.min(PAGE - 4)]);
            if bytes.len() < self.length {
                next = Some(word(&page, 0));
            }
        }
        (bytes.len() == self.length).then_some(bytes)
    }

    /// Returns the overflow pages of the record, as far as they exist.
    pub fn overflow(&self, pages: &Pages<'_>) -> Vec<u32> {
        let mut numbers = Vec::new();
        let most = self
            .length
            .saturating_sub(self.local.len())
            .div_ceil(PAGE - 4);
        let mut next = self.overflow;
        while let Some(number) = next.take()
            && numbers.len() < most
        {
            let Some(page) = pages.page(number) else {
                break;
            };
            numbers.push(number);
            next = (numbers.len() < most).then(|| word(&page, 0));
        }
        numbers
    }
}
