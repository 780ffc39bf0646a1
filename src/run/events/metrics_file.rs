//! The file to which a running job appends its metrics.

use std::env;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use tempfile::TempPath;

use super::leftovers;
use crate::files;

/// A line that is longer is left out.
const MAX_LINE: usize = 64 * 1024;

/// The file to which a running job appends its metrics; removed when this is dropped.
pub struct MetricsFile {
    path: TempPath,
    /// Locked for as long as it is open.
    _lock: File,
    /// How far it was read.
    offset: u64,
    /// The number of the last line that was read.
    number: usize,
    /// The beginning of a line whose end is not there yet.
    line: Vec<u8>,
    is_too_long: bool,
}

impl MetricsFile {
    /// Makes one in the directory for temporary files, for this user alone. What killed runs left there is removed.
    pub fn create() -> io::Result<Self> {
        let dir = env::temp_dir();
        let (path, lock) = leftovers::make(&dir)?;
        leftovers::sweep(&dir);
        Ok(MetricsFile {
            path,
            _lock: lock,
            offset: 0,
            number: 0,
            line: Vec::new(),
            is_too_long: false,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives each line that is new, with its number from 1, to `each`; `None` is one that is too long. The last one is not given
    /// before it has a line feed, unless it `is_final`. A file that has become shorter, because it
    /// was written anew, is read from its beginning.
    pub fn read(
        &mut self,
        is_final: bool,
        mut each: impl FnMut(usize, Option<&[u8]>),
    ) -> io::Result<()> {
        // The job may have put anything there.
        let mut file = files::open_to_read(&self.path)?;
        let metadata = file.metadata()?;
        if metadata.len() < self.offset {
            (self.offset, self.number) = (0, 0);
            self.line.clear();
            self.is_too_long = false;
        }
        file.seek(SeekFrom::Start(self.offset))?;
        // Most jobs write nothing.
        let is_new = metadata.len() > self.offset;
        let mut buffer = vec![0; if is_new { 64 * 1024 } else { 0 }];
        loop {
            let length = match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.offset += length as u64;
            for piece in buffer[..length].split_inclusive(|&byte| byte == b'\n') {
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
        if is_final && !self.line.is_empty() {
            self.end_line(&mut each);
        }
        Ok(())
    }

    fn end_line(&mut self, each: &mut impl FnMut(usize, Option<&[u8]>)) {
        self.number += 1;
        each(self.number, (!self.is_too_long).then_some(&self.line));
        self.line.clear();
        self.is_too_long = false;
    }
}

/// What of `piece` there is room for, and whether that is not all.
fn piece_split(piece: &[u8], room: usize) -> (&[u8], bool) {
    (&piece[..piece.len().min(room)], piece.len() > room)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A carriage return is up to the parser of the lines.
    #[test]
    fn lines_end_at_line_feeds_alone() {
        let mut file = MetricsFile::create().unwrap();
        fs::write(file.path(), "a 1\r\nb 2\rc 3\n\nd 4\r").unwrap();
        let mut lines = Vec::new();
        file.read(true, |number, line| {
            lines.push((number, line.unwrap().to_vec()))
        })
        .unwrap();
        let expected: [&[u8]; 4] = [b"a 1\r", b"b 2\rc 3", b"", b"d 4\r"];
        let expected: Vec<_> = (1..).zip(expected.map(<[u8]>::to_vec)).collect();
        assert_eq!(lines, expected);
    }
}
