//! The file to which a running job appends its metrics.

use std::env;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use tempfile::TempPath;

use super::bounded_lines::BoundedLines;
use super::leftovers;
use metricsjob_system::files;

/// The file to which a running job appends its metrics; removed when this is dropped.
pub struct MetricsFile {
    path: TempPath,
    /// Locked for as long as it is open.
    _lock: File,
    limit: usize,
}

/// A reading of a metrics file from its beginning, as far as it has come.
#[derive(Clone)]
pub struct FileReading {
    /// How far it was read.
    offset: u64,
    lines: BoundedLines,
    /// How many bytes may still be read.
    left: u64,
}

/// Why a metrics file was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(
        "{0} bytes at the end are left out, because there are more than --metrics-limit allows for"
    )]
    TooLarge(u64),
    #[error("{0} bytes at the end are left out, because a signal came")]
    Interrupted(u64),
}

impl MetricsFile {
    /// Makes one in the directory for temporary files, for this user alone. Files that killed runs left there are
    /// removed.
    ///
    /// No more than `limit` bytes will be read of it.
    pub fn create(limit: usize) -> io::Result<Self> {
        let dir = env::temp_dir();
        let (path, lock) = leftovers::make(&dir)?;
        leftovers::sweep(&dir);
        Ok(MetricsFile {
            path,
            _lock: lock,
            limit,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A reading that has not begun.
    pub fn reading(&self) -> FileReading {
        FileReading {
            offset: 0,
            lines: BoundedLines::default(),
            left: self.limit as u64,
        }
    }
}

impl FileReading {
    /// Passes each new line of the file at `path`, with its number from 1, to `each`; `None` stands for one that is
    /// too long. The last one is not passed before it has a line feed, unless the call `is_final`. A file that has
    /// become shorter, because it was written anew, is read from its beginning. Data that is appended meanwhile is
    /// left to the next call, because a writer may never stop appending. `goes_on` is called now and then; reading
    /// ends once it returns false.
    pub fn read(
        &mut self,
        path: &Path,
        is_final: bool,
        goes_on: impl Fn() -> bool,
        mut each: impl FnMut(usize, Option<&[u8]>),
    ) -> Result<(), ReadError> {
        // The job may have put anything there.
        let mut file = files::open_to_read(path)?;
        let metadata = file.metadata()?;
        if metadata.len() < self.offset {
            self.offset = 0;
            self.lines = BoundedLines::default();
        }
        file.seek(SeekFrom::Start(self.offset))?;
        // Most jobs write nothing.
        let new = metadata.len() - self.offset;
        let mut buffer = vec![0; if new > 0 { 64 * 1024 } else { 0 }];
        let mut file = file.take(new.min(self.left));
        let mut is_stopped = false;
        loop {
            if !goes_on() {
                is_stopped = true;
                break;
            }
            let length = match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            self.offset += length as u64;
            self.left -= length as u64;
            self.lines.feed(&buffer[..length], &mut each);
        }
        let unread = metadata.len().saturating_sub(self.offset);
        if unread > 0 && is_stopped {
            return Err(ReadError::Interrupted(unread));
        }
        if unread > 0 && self.left == 0 {
            return Err(ReadError::TooLarge(unread));
        }
        // The content of a line that was cut off is unknown.
        if is_final {
            self.lines.finish(&mut each);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A carriage return is up to the parser of the lines.
    #[test]
    fn lines_end_at_line_feeds_alone() {
        let file = MetricsFile::create(1000).unwrap();
        fs::write(file.path(), "a 1\r\nb 2\rc 3\n\nd 4\r").unwrap();
        let mut lines = Vec::new();
        let each = |number, line: Option<&[u8]>| lines.push((number, line.unwrap().to_vec()));
        let mut reading = file.reading();
        reading.read(file.path(), true, || true, each).unwrap();
        let expected: [&[u8]; 4] = [b"a 1\r", b"b 2\rc 3", b"", b"d 4\r"];
        let expected: Vec<_> = (1..).zip(expected.map(<[u8]>::to_vec)).collect();
        assert_eq!(lines, expected);
    }
}
