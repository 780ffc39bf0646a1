//! Safeguards that the operating system and the compiler leave to the program.
//!
//! - [`files`]: opening and creating files where another user may have put a link, a pipe or a socket in the
//!   way.
//! - [`trust`]: checks that nobody but root and the current user could have changed a file.
//! - [`panics`]: work that survives a panic.
//! - [`memory`]: memory that the allocator keeps.
//! - [`reason()`]: errors of the system in words.
//!
//! It imports nothing of ours.

// Every package of the program is built on this one, so that this is all that a compiler elsewhere says.
#[cfg(not(target_os = "linux"))]
compile_error!(
    "metricsjob runs on Linux only: its locks, signals and process groups are Linux's. Build it on Linux, or for it \
     with --target x86_64-unknown-linux-gnu."
);

#[cfg(target_os = "linux")]
pub mod files;
#[cfg(target_os = "linux")]
pub mod memory;
#[cfg(target_os = "linux")]
pub mod panics;
#[cfg(target_os = "linux")]
mod reason;
#[cfg(target_os = "linux")]
pub mod trust;

#[cfg(target_os = "linux")]
pub use reason::reason;
