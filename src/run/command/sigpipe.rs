//! The disposition of SIGPIPE that this process inherited.
//!
//! Rust's runtime ignores SIGPIPE before `main`, and the standard library resets it to its default in the
//! programs that it starts. A command run by us has to find what it would have found without us: systemd, for
//! one, starts services with SIGPIPE ignored.

use std::sync::atomic::{AtomicBool, Ordering};

use nix::libc;

static WAS_IGNORED: AtomicBool = AtomicBool::new(false);

/// An entry of the table of functions that the C library calls before `main`, as for a function with
/// `__attribute__((constructor))` in C: later, nothing in the process knows the inherited disposition.
// SAFETY: the C library expects pointers to functions in this section, and this is one that needs nothing of
// Rust's runtime.
#[used]
#[unsafe(link_section = ".init_array")]
static NOTE: extern "C" fn() = note;

extern "C" fn note() {
    // SAFETY: all zeros is a valid `sigaction`, and without a new action the call only writes to it.
    let inherited = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGPIPE, std::ptr::null(), &mut action);
        action.sa_sigaction
    };
    WAS_IGNORED.store(inherited == libc::SIG_IGN, Ordering::Relaxed);
}

/// Returns true if SIGPIPE was ignored when this process began.
pub fn was_ignored() -> bool {
    WAS_IGNORED.load(Ordering::Relaxed)
}
