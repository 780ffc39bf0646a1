//! The gateway: what `metricsjob gateway` serves.

pub mod page;
