//! Signals that ask a built-in to end.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::flag;

/// Notes a signal while a built-in runs, so that it can clean up and be reported. A second signal
/// ends the process at once, and so does one that comes after the run.
pub struct Interrupt {
    /// The number of the signal that came; 0 for none.
    signal: Arc<AtomicUsize>,
    /// Whether the next signal does what it does by default.
    is_default: Arc<AtomicBool>,
}

impl Interrupt {
    /// Notes signals from now on.
    pub fn watch() -> io::Result<Self> {
        let interrupt = Interrupt {
            signal: Arc::default(),
            is_default: Arc::default(),
        };
        for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT] {
            // They are done in this order, so the first signal only arms the second.
            flag::register_conditional_default(signal, Arc::clone(&interrupt.is_default))?;
            flag::register_usize(signal, Arc::clone(&interrupt.signal), signal as usize)?;
            flag::register(signal, Arc::clone(&interrupt.is_default))?;
        }
        Ok(interrupt)
    }

    /// The signal that came, if one did.
    pub fn signal(&self) -> Option<u8> {
        match self.signal.load(Ordering::Relaxed) {
            0 => None,
            number => u8::try_from(number).ok(),
        }
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        self.is_default.store(true, Ordering::Relaxed);
    }
}
