//! Instruments for the [`prometheus`] crate.
//!
//! ```
//! use metricsjob_instruments::{Summary, SummaryOpts};
//! use prometheus::{Gauge, Histogram, HistogramOpts, Registry, exponential_buckets, linear_buckets};
//!
//! let registry = Registry::new();
//! let latency = SummaryOpts::new("latency_seconds", "Time for a request.").objective(0.95, 0.005);
//! let latency = Summary::new(latency)?;
//! registry.register(Box::new(latency.clone()))?;
//! latency.observe(0.231);
//!
//! // What the crate has itself: buckets, and gauges that go up and down.
//! let sizes = HistogramOpts::new("size_bytes", "Sizes.").buckets(exponential_buckets(100.0, 10.0, 5)?);
//! registry.register(Box::new(Histogram::with_opts(sizes)?))?;
//! let ages = HistogramOpts::new("age_days", "Ages.").buckets(linear_buckets(1.0, 1.0, 7)?);
//! registry.register(Box::new(Histogram::with_opts(ages)?))?;
//! let queue = Gauge::new("queue_size", "Orders that wait.")?;
//! registry.register(Box::new(queue.clone()))?;
//! queue.add(5.0);
//! queue.sub(2.0);
//! # Ok::<(), prometheus::Error>(())
//! ```
//!
//! - [`Summary`]: quantiles of recent observations, with the error that is wanted of each; [`SummaryOpts`]: its
//!   options; [`SummaryVec`]: summaries by labels.
//! - [`AppInfo`], [`Uptime`]: collectors that tell about the program itself.
//! - [`window`]: what happened in the last seconds, as one structured line of a log.

#![warn(missing_docs)]

mod app;
mod summary;
pub mod window;

pub use app::{AppInfo, Uptime};
pub use summary::{Summary, SummaryOpts, SummaryTimer, SummaryVec, SummaryVecBuilder, summary_vec};
