//! How much one page may hold.

use maud::Markup;

/// What a page has room for: it counts down as the series of its groups are written.
pub struct Room {
    bytes: usize,
}

impl Room {
    /// Enough for about 20,000 series with a few labels each. Browsers stay quick with that.
    pub fn new() -> Self {
        Room { bytes: 4 << 20 }
    }

    pub fn is_left(&self) -> bool {
        self.bytes > 0
    }

    /// The same markup, counted.
    pub fn take(&mut self, markup: Markup) -> Markup {
        self.bytes = self.bytes.saturating_sub(markup.0.len());
        markup
    }
}
