//! Safeguards that the operating system and the compiler leave to the program.
//!
//! - [`files`]: opening and creating files where another user may have put a link, a pipe or a socket in the
//!   way.
//! - [`trust`]: checks that nobody but root and the current user could have changed a file.
//! - [`panics`]: work that survives a panic.
//! - [`memory`]: memory that the allocator keeps.
//! - [`host`]: names of this host and of the current user.
//!
//! It imports nothing of ours.

pub mod files;
pub mod host;
pub mod memory;
pub mod panics;
pub mod trust;
