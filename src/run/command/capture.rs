//! A command's output that is only read along, and not passed on.

use std::io::{self, PipeReader, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::watch::Watch;

/// How much is read at a time.
const PIECE: usize = 64 * 1024;

/// One stream of a command. Unlike a [`Passage`](super::output::Passage) it needs no thread: nothing can hold it
/// up, so the thread that waits for the command reads it too.
pub struct Capture {
    /// `None` once all of it is read.
    source: Option<PipeReader>,
    watch: Watch,
    buffer: Vec<u8>,
}

impl Capture {
    /// Shows to `watch` all data that is written to the returned end of a pipe.
    pub fn start(watch: Watch) -> io::Result<(Self, io::PipeWriter)> {
        let (source, end) = io::pipe()?;
        fcntl(&source, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let capture = Capture {
            source: Some(source),
            watch,
            buffer: Vec::new(),
        };
        Ok((capture, end))
    }

    /// File descriptor that becomes readable when there is something to read; `None` if there never will be.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.source.as_ref().map(AsFd::as_fd)
    }

    /// Time at which [`pass`](Self::pass) has something to do.
    pub fn due(&self) -> Option<Instant> {
        self.watch.due()
    }

    /// Logs the present state of a line that is being rewritten, if it is due.
    pub fn pass(&mut self) {
        self.watch.pass();
    }

    /// Reads a piece, if there is one. Returns how many bytes.
    pub fn read(&mut self) -> usize {
        let Some(source) = &mut self.source else {
            return 0;
        };
        self.buffer.resize(PIECE, 0);
        let result = loop {
            match source.read(&mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        match result {
            Ok(length @ 1..) => {
                self.watch.feed(&self.buffer[..length]);
                length
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Ok(0) | Err(_) => {
                self.source = None;
                0
            }
        }
    }

    /// Reads all that the command wrote before it ended; not what processes write that it left behind.
    pub fn finish(mut self) {
        let capacity = self
            .source
            .as_ref()
            .map(|source| fcntl(source, FcntlArg::F_GETPIPE_SZ));
        let capacity = capacity.and_then(Result::ok).unwrap_or_default();
        let mut left = usize::try_from(capacity).unwrap_or_default();
        while left > 0 {
            match self.read() {
                0 => break,
                length => left = left.saturating_sub(length),
            }
        }
        self.watch.end();
    }
}
