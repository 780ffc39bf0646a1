//! Metrics of HTTP services.

#![warn(missing_docs)]
