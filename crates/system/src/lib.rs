//! What the operating system and the compiler leave to a careful program.
//!
//! - [`files`]: opening and making files where another user may have put a link, a pipe or a socket in the way.
//! - [`trust`]: whether anybody but root and the user who runs us could have changed a file.
//! - [`panics`]: work that outlives a panic.
//!
//! It imports nothing of ours.

pub mod files;
pub mod panics;
pub mod trust;
