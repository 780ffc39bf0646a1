//! Lines of a file or stream that comes in pieces.

/// A line that is longer is left out.
const MAX_LINE: usize = 64 * 1024;

/// Lines that come in pieces, of which no more is kept than a line may have. Only a line feed ends one.
#[derive(Clone, Default)]
pub struct BoundedLines {
    /// The number of the last line that has ended.
    number: usize,
    /// The beginning of a line whose end is not there yet.
    line: Vec<u8>,
    is_too_long: bool,
}

impl BoundedLines {
    /// Passes each line that `bytes` end, with its number from 1, to `each`; `None` stands for one that is too long.
    pub fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(usize, Option<&[u8]>)) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let text = piece.strip_suffix(b"\n");
            let room = MAX_LINE - self.line.len();
            let (kept, over) = piece_split(text.unwrap_or(piece), room);
            self.line.extend_from_slice(kept);
            self.is_too_long |= over;
            if text.is_some() {
                self.end_line(&mut each);
            }
        }
    }

    /// Passes a last line that no line feed ends.
    pub fn finish(&mut self, mut each: impl FnMut(usize, Option<&[u8]>)) {
        if !self.line.is_empty() {
            self.end_line(&mut each);
        }
    }

    fn end_line(&mut self, each: &mut impl FnMut(usize, Option<&[u8]>)) {
        self.number += 1;
        each(self.number, (!self.is_too_long).then_some(&self.line));
        self.line.clear();
        self.is_too_long = false;
    }
}

/// The beginning of `piece` that there is room for, and true if that is not all of it.
fn piece_split(piece: &[u8], room: usize) -> (&[u8], bool) {
    (&piece[..piece.len().min(room)], piece.len() > room)
}
