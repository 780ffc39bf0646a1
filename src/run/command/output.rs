//! A command's output on its way to ours, where it is read along.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::watch::Watch;
use crate::run::Signals;

/// How often a wait for output looks for signals.
const TICK: Duration = Duration::from_millis(50);

/// Passes one stream on, in a thread of its own: the reader of our output may be slow, and that must
/// hold up the command, as it would without us, but neither its timeout nor its signals.
pub struct Passage {
    /// Closed when the thread is to end with the data that is there.
    stop: io::PipeWriter,
    /// Closed by the thread when it has ended.
    ended: Receiver<()>,
}

impl Passage {
    /// Passes on to `sink` all data that is written to the returned end of a pipe, byte by byte as it
    /// is, and shows it to `watch`.
    pub fn start(sink: impl AsFd, mut watch: Watch) -> io::Result<(Self, io::PipeWriter)> {
        let (to_stop, stop) = io::pipe()?;
        let (mut source, end) = io::pipe()?;
        let mut sink = File::from(sink.as_fd().try_clone_to_owned()?);
        let (ends, ended) = channel();
        thread::Builder::new().spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            // How much is still read once the thread is to end.
            let mut left = None;
            while left != Some(0) && is_readable(&source, &to_stop, &mut left) {
                let length = match source.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(length) => length,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(_) => break,
                };
                left = left.map(|left: usize| left.saturating_sub(length));
                watch.feed(&buffer[..length]);
                match write_all(&mut sink, &buffer[..length]) {
                    // With its own pipe closed, the command learns of it as it would without us.
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
                    // A full disk, for example, is no reason for the command to end.
                    _ => {}
                }
            }
            drop(source);
            watch.end();
            drop(ends);
        })?;
        Ok((Passage { stop, ended }, end))
    }

    /// Waits until all is passed on that the command wrote before it ended; not for what processes
    /// write that it left behind. It gives up at `deadline`, or when a signal asks us to end.
    pub fn finish(self, deadline: Option<Instant>, signals: &Signals) {
        drop(self.stop);
        loop {
            match self.ended.recv_timeout(TICK) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
            }
            let is_over = deadline.is_some_and(|deadline| Instant::now() >= deadline);
            let received = signals.wait(Some(Duration::ZERO));
            if is_over || received.iter().any(|signal| signal.is_ending()) {
                return;
            }
        }
    }
}

/// Writes all of `bytes`, also where we inherited `sink` in non-blocking mode.
fn write_all(sink: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match sink.write(bytes) {
            Ok(length) => bytes = &bytes[length..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut fds = [PollFd::new(sink.as_fd(), PollFlags::POLLOUT)];
                let _ = poll(&mut fds, PollTimeout::NONE);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Waits until there is something to read from `source`; `false` if nothing is there and the thread is
/// to end. Once it is to end, sets `left` to the number of bytes that `source` can hold.
fn is_readable(
    source: &io::PipeReader,
    to_stop: &io::PipeReader,
    left: &mut Option<usize>,
) -> bool {
    let mut fds = [
        PollFd::new(source.as_fd(), PollFlags::POLLIN),
        PollFd::new(to_stop.as_fd(), PollFlags::POLLIN),
    ];
    while let Err(error) = poll(&mut fds, PollTimeout::NONE) {
        if error != Errno::EINTR {
            return false;
        }
    }
    let happened = |fd: &PollFd| fd.any().unwrap_or(true);
    if left.is_none() && happened(&fds[1]) {
        let capacity = fcntl(source, FcntlArg::F_GETPIPE_SZ).unwrap_or_default();
        *left = Some(usize::try_from(capacity).unwrap_or_default());
    }
    // The end of the stream is read like its content.
    happened(&fds[0])
}
