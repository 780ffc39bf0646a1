//! Signals that ask this process to end.

use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use nix::libc;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::flag;

/// Notes the first signal that asks this process to end, so that a run can be cleaned up and
/// reported. A second one does what it does by default.
///
/// Until [`watch`](Self::watch) signals do what they always do.
#[derive(Default)]
pub struct Interrupt {
    is_watching: AtomicBool,
    /// The number of the signal that came; 0 for none.
    signal: Arc<AtomicUsize>,
    /// Whether the next signal does what it does by default.
    is_armed: Arc<AtomicBool>,
}

impl Interrupt {
    /// Notes signals from now on, for as long as the process lives. One that was ignored when the
    /// process began, as by `nohup`, stays ignored.
    pub fn watch(&self) {
        if self.is_watching.swap(true, Ordering::Relaxed) {
            return;
        }
        for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT] {
            if is_ignored(signal) {
                continue;
            }
            // They are done in this order, so the first signal only arms the second. The system
            // does not refuse these; if it did, the signal would end us as it always does.
            let _ = flag::register_conditional_default(signal, Arc::clone(&self.is_armed));
            let _ = flag::register_usize(signal, Arc::clone(&self.signal), signal as usize);
            let _ = flag::register(signal, Arc::clone(&self.is_armed));
        }
    }

    /// The signal that came, if one did.
    pub fn signal(&self) -> Option<u8> {
        match self.signal.load(Ordering::Relaxed) {
            0 => None,
            number => u8::try_from(number).ok(),
        }
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
