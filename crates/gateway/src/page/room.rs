//! Size limit of a page.

use maud::Markup;

/// Remaining size of a page: it counts down as the series of the groups are written.
pub struct Room {
    bytes: usize,
}

impl Room {
    /// Enough for about 20,000 series with a few labels each, with which browsers remain fast.
    pub fn new() -> Self {
        Room { bytes: 4 << 20 }
    }

    pub fn is_left(&self) -> bool {
        self.bytes > 0
    }

    /// Returns `markup` unchanged, after subtracting its size.
    pub fn take(&mut self, markup: Markup) -> Markup {
        self.bytes = self.bytes.saturating_sub(markup.0.len());
        markup
    }
}
