//! The window log: what happened in the last seconds, in one structured line.
//!
//! - [`Aggregator`]: takes what happens, by kind and labels.
//! - [`Window`]: an aggregator that counts until it is reset.
//! - [`Tee`]: counts into instruments of Prometheus as well.
//! - [`WindowLog`]: a thread that logs a [`WindowSnapshot`] of the window every few seconds and begins a new one.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use metricsjob_instruments::window::{Aggregator, Tee, Window, WindowLog};
//! use prometheus::{CounterVec, Opts, Registry};
//!
//! // What Prometheus scrapes ...
//! let registry = Registry::new();
//! let received = Opts::new("collector_messages_received_total", "Messages received.");
//! let received = CounterVec::new(received, &["channel"])?;
//! registry.register(Box::new(received.clone()))?;
//! // ... and the window are fed by one collector.
//! let collector = Arc::new(Tee::new(Window::default()).counter("received", &received));
//! let log = WindowLog::start(Arc::clone(&collector), Duration::from_secs(10)).unwrap();
//!
//! collector.increment("received", &[("channel", "trades")], 1.0);
//! collector.increment("errors", &[("error_type", "parse_error")], 1.0);
//! collector.observe("latency", &[], 0.003);
//!
//! // {"timestamp":"…","level":"info","message":"metrics","metrics":{"window_seconds":0.1,"received":1,"published":0,
//! // "errors":{"parse_error":1},"reconnects":0,"p50":0.003,"p95":0.003,"p99":0.003}}
//! drop(log);
//! assert_eq!(received.with_label_values(&["trades"]).get(), 1.0);
//! # Ok::<(), prometheus::Error>(())
//! ```

mod counts;
mod log;
mod snapshot;
mod tee;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use counts::Window;
pub use log::WindowLog;
pub use snapshot::WindowSnapshot;
pub use tee::Tee;

/// Taker of what happens in a program. Nothing that is given to it makes it panic.
pub trait Aggregator: Send + Sync {
    /// Counts events of a kind.
    fn increment(&self, kind: &str, labels: &[(&str, &str)], by: f64);

    /// Takes a value of a kind, such as the seconds that something took.
    fn observe(&self, kind: &str, labels: &[(&str, &str)], value: f64);

    /// Returns the window so far.
    fn snapshot(&self) -> WindowSnapshot;

    /// Begins a new window and returns the one that has ended. Each event is part of exactly one window.
    fn reset(&self) -> WindowSnapshot;
}

impl<A: Aggregator + ?Sized> Aggregator for Arc<A> {
    fn increment(&self, kind: &str, labels: &[(&str, &str)], by: f64) {
        (**self).increment(kind, labels, by);
    }

    fn observe(&self, kind: &str, labels: &[(&str, &str)], value: f64) {
        (**self).observe(kind, labels, value);
    }

    fn snapshot(&self) -> WindowSnapshot {
        (**self).snapshot()
    }

    fn reset(&self) -> WindowSnapshot {
        (**self).reset()
    }
}
