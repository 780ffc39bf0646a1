//! Instruments for the [`prometheus`] crate.

#![warn(missing_docs)]
