//! The signals that a run gets, and their handling.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::iter;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc::{self, c_void, siginfo_t};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use signal_hook::consts::{
    SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2,
};
use signal_hook::low_level::emulate_default_handler;

use metricsjob_client::Stop;

/// The signals that ask a process to end.
const ENDING: [i32; 4] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT];

/// The further signals that are passed on to a command, and SIGCHLD, which reports its end.
const PASSED_ON: [i32; 5] = [SIGUSR1, SIGUSR2, SIGTSTP, SIGCONT, SIGCHLD];

/// Handling of the signals that a run gets.
///
/// The one of [`default`](Self::default) is for a process that is there for one run: they are the signals of
/// the process, and at first they have their default effect. It catches them for as long as the process lives,
/// so there is only one of it. The one of [`told`](Self::told) is for one of many runs in a process.
#[derive(Default)]
pub struct Signals {
    shared: Arc<Shared>,
    pipe: OnceLock<PipeReader>,
    is_holding: AtomicBool,
    /// True if they come from a [`Teller`], and not from the system.
    is_told: bool,
}

/// Gives signals to one run.
#[derive(Clone)]
pub struct Teller(Arc<Shared>);

impl Teller {
    /// The run gets `signal`, as if this process was there for it alone.
    pub fn tell(&self, signal: i32) {
        self.0.take(signal as u8, false);
    }
}

#[derive(Default)]
struct Shared {
    /// True if signals go into the pipe, one by one, for [`Signals::wait`].
    is_passing: AtomicBool,
    /// The number of the first signal that was held back; 0 for none.
    held: AtomicU8,
    pipe: OnceLock<PipeWriter>,
}

/// A signal that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceivedSignal {
    pub number: u8,
    /// True if the kernel sent it, for example for a key that was pressed on the terminal: then all
    /// processes of the foreground group got it.
    pub is_from_kernel: bool,
}

impl ReceivedSignal {
    /// Returns true if it asks a process to end.
    pub fn is_ending(self) -> bool {
        ENDING.contains(&self.number.into())
    }

    pub fn is(self, signal: i32) -> bool {
        i32::from(self.number) == signal
    }
}

impl Signals {
    /// Creates the signals of a run that shares its process with others: it gets only the signals that are sent
    /// by the [`Teller`]. The run's commands get neither our terminal nor our stdin.
    ///
    /// # Errors
    ///
    /// There are too many open files.
    pub fn told() -> io::Result<(Signals, Teller)> {
        let signals = Signals {
            is_told: true,
            ..Signals::default()
        };
        signals.open()?;
        signals.shared.is_passing.store(true, Ordering::Relaxed);
        let teller = Teller(Arc::clone(&signals.shared));
        Ok((signals, teller))
    }

    /// Returns true if the run shares its process with others.
    pub fn are_told(&self) -> bool {
        self.is_told
    }

    /// From now on holds back the first signal that asks this process to end, so that a run can be
    /// cleaned up and reported. A second one has its default effect.
    pub fn hold(&self) {
        self.shared.is_passing.store(false, Ordering::Relaxed);
        if self.pipe.get().is_some() {
            // A signal that was not waited for is not lost.
            for received in self.wait(Some(Duration::ZERO)) {
                self.shared.take(received.number, false);
            }
        } else if !self.is_holding.swap(true, Ordering::Relaxed) {
            self.catch(&ENDING);
        }
    }

    /// The signal that [`hold`](Self::hold) held back.
    pub fn held(&self) -> Option<u8> {
        match self.shared.held.load(Ordering::Relaxed) {
            0 => None,
            number => Some(number),
        }
    }

    /// Wanted once another signal than so far was held back.
    pub fn stop(&self) -> Stop {
        let (shared, before) = (Arc::clone(&self.shared), self.held());
        Stop::when(move || before.is_none() && shared.held.load(Ordering::Relaxed) != 0)
    }

    /// From now on gives the signals to [`wait`](Self::wait): those that ask a process to end, those
    /// that stop and continue it, and the two for users.
    ///
    /// # Errors
    ///
    /// There are too many open files.
    pub fn pass(&self) -> io::Result<()> {
        let is_first = self.pipe.get().is_none();
        if is_first {
            self.open()?;
        }
        // Before the first signal is caught: one that was held back now would not be waited for.
        self.shared.is_passing.store(true, Ordering::Relaxed);
        if is_first {
            // If our parent process blocked it, the end of a command would go unnoticed.
            let _ = SigSet::from(Signal::SIGCHLD).thread_unblock();
            if !self.is_holding.load(Ordering::Relaxed) {
                self.catch(&ENDING);
            }
            self.catch(&PASSED_ON);
        }
        if let held @ 1.. = self.shared.held.swap(0, Ordering::Relaxed) {
            self.shared.take(held, false);
        }
        Ok(())
    }

    fn open(&self) -> io::Result<()> {
        let (reader, writer) = io::pipe()?;
        for fd in [reader.as_fd(), writer.as_fd()] {
            // A handler must not wait for room, and the reader has its own way to wait.
            fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        let _ = self.shared.pipe.set(writer);
        let _ = self.pipe.set(reader);
        Ok(())
    }

    /// Waits for signals until `timeout` is over, without one for ever. It returns at once with the signals
    /// that have come since the last call, and may return early with none.
    pub fn wait(&self, timeout: Option<Duration>) -> Vec<ReceivedSignal> {
        self.wait_beside(timeout, iter::empty())
    }

    /// Waits like [`wait`](Self::wait), but returns when one of `others` can be read, too.
    pub fn wait_beside<'a>(
        &'a self,
        timeout: Option<Duration>,
        others: impl Iterator<Item = BorrowedFd<'a>>,
    ) -> Vec<ReceivedSignal> {
        let Some(mut pipe) = self.pipe.get() else {
            std::thread::sleep(timeout.unwrap_or_default());
            return Vec::new();
        };
        let fds = iter::once(pipe.as_fd()).chain(others);
        let mut fds: Vec<PollFd<'_>> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        // Rounded up, so that the time is over when it returns.
        let timeout = timeout.map(|timeout| timeout.saturating_add(Duration::from_micros(999)));
        let timeout = timeout.map_or(PollTimeout::NONE, |timeout| {
            PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX)
        });
        // A signal interrupts it and is in the pipe then.
        let _ = poll(&mut fds, timeout);
        let mut records = [0; 128];
        let mut received = Vec::new();
        while let Ok(length @ 1..) = pipe.read(&mut records) {
            // Each was written in one piece, so none is torn.
            received.extend(
                records[..length]
                    .chunks_exact(2)
                    .map(|record| ReceivedSignal {
                        number: record[0],
                        is_from_kernel: record[1] != 0,
                    }),
            );
        }
        received
    }

    fn catch(&self, signals: &[i32]) {
        // Before the first handler, so that each of them finds it.
        let _ = CAUGHT.set(Arc::clone(&self.shared));
        let handler = SigHandler::SigAction(handle);
        let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
        for &signal in signals {
            // Ignored when the process began, as by `nohup`: it stays so.
            if is_ignored(signal) && signal != SIGCHLD {
                continue;
            }
            // The system does not refuse these; if it did, the signal would have its default effect.
            let _ = Signal::try_from(signal).and_then(|signal| {
                // SAFETY: `handle` does nothing that a signal handler must not do.
                unsafe { sigaction(signal, &action) }
            });
        }
    }
}

/// Receiver of the signals of the process, shared with [`Signals::default`].
static CAUGHT: OnceLock<Arc<Shared>> = OnceLock::new();

extern "C" fn handle(signal: i32, info: *mut siginfo_t, _context: *mut c_void) {
    // SAFETY: the system gives a handler that is called with SA_SIGINFO a valid one.
    let code = unsafe { (*info).si_code };
    // What follows may change it, and the interrupted code may be about to read it.
    let errno = Errno::last_raw();
    if let Some(shared) = CAUGHT.get() {
        shared.handle(signal, code);
    }
    Errno::set_raw(errno);
}

impl Shared {
    /// Called by the signal handler, so it neither locks nor allocates: only atomics and write(2).
    fn handle(&self, signal: i32, code: i32) {
        let is_taken = self.take(signal as u8, code == libc::SI_KERNEL);
        if !is_taken && (ENDING.contains(&signal) || signal == SIGTSTP) {
            let _ = emulate_default_handler(signal);
        }
    }

    /// Passes the signal on, or holds it back. Returns whether it did one of them.
    fn take(&self, number: u8, is_from_kernel: bool) -> bool {
        if self.is_passing.load(Ordering::Relaxed) {
            if let Some(mut pipe) = self.pipe.get() {
                // A pipe that is full has thousands of signals waiting: this one adds nothing.
                let _ = pipe.write(&[number, u8::from(is_from_kernel)]);
            }
            return true;
        }
        if !ENDING.contains(&number.into()) {
            return false;
        }
        let held = self
            .held
            .compare_exchange(0, number, Ordering::Relaxed, Ordering::Relaxed);
        held.is_ok()
    }
}

fn is_ignored(signal: i32) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action sigaction(2) only writes the current one to `action`, for which
    // all zeros is a valid value too.
    let action = unsafe {
        libc::sigaction(signal, ptr::null(), action.as_mut_ptr());
        action.assume_init()
    };
    action.sa_sigaction == libc::SIG_IGN
}

#[cfg(test)]
mod tests {
    use signal_hook::low_level::raise;

    use super::*;

    #[test]
    fn one_that_nobody_has_waited_for_is_not_lost() {
        let signals = Signals::default();
        signals.pass().unwrap();
        raise(SIGHUP).unwrap();
        signals.hold();
        assert_eq!(signals.held(), Some(SIGHUP as u8));
        signals.pass().unwrap();
        let received = signals.wait(Some(Duration::ZERO));
        assert!(received.iter().any(|signal| signal.is(SIGHUP)));
        assert_eq!(signals.held(), None);
    }
}
