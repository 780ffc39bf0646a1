//! `metricsjob serve`.

pub mod page;
