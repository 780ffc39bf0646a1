//! The last lines of a stream.

use std::collections::VecDeque;

/// The last lines of a stream.
#[derive(Default)]
pub struct Tail {
    capacity: usize,
    lines: VecDeque<Vec<u8>>,
}

/// Longer lines are kept up to this length.
const MAX_LINE: usize = 4096;

impl Tail {
    pub fn new(capacity: usize) -> Self {
        Tail {
            capacity,
            lines: VecDeque::new(),
        }
    }

    pub fn push(&mut self, line: &[u8]) {
        let mut kept = if self.lines.len() < self.capacity {
            Vec::new()
        } else {
            self.lines.pop_front().unwrap_or_default()
        };
        kept.clear();
        kept.extend_from_slice(&line[..line.len().min(MAX_LINE)]);
        if self.capacity > 0 {
            self.lines.push_back(kept);
        }
    }

    /// The lines in their order. What is not UTF-8 is replaced.
    pub fn text(&self) -> Vec<String> {
        let text = |line: &Vec<u8>| String::from_utf8_lossy(line).into_owned();
        self.lines.iter().map(text).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_is_the_end() {
        let mut tail = Tail::new(2);
        for line in ["1", "2", "3"] {
            tail.push(line.as_bytes());
        }
        assert_eq!(tail.text(), ["2", "3"]);
        let mut none = Tail::new(0);
        none.push(b"1");
        assert!(none.text().is_empty());
    }
}
