//! Metrics of the collector, for the window log and for Prometheus.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use metricsjob_instruments::window::{Aggregator, Tee, Window};
use prometheus::core::Collector;
use prometheus::{
    CounterVec, Gauge, GaugeVec, HistogramOpts, HistogramVec, Opts, Registry, exponential_buckets,
};

/// Seconds that publishing may take.
const LATENCIES: [f64; 7] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0];

/// Kinds of errors.
#[derive(Clone, Copy)]
pub enum ErrorType {
    /// A message that is none.
    Parse,
    /// A message that could not be published; it is tried again.
    Publish,
    /// An error that the exchange reports, or a connection to it that failed.
    Api,
}

impl ErrorType {
    fn name(self) -> &'static str {
        match self {
            ErrorType::Parse => "parse_error",
            ErrorType::Publish => "publish_error",
            ErrorType::Api => "api_error",
        }
    }
}

pub struct Metrics {
    events: Arc<Tee<Window>>,
    last_message: GaugeVec,
    buffer: Gauge,
}

impl Metrics {
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name, help, labels: &[&str]| {
            registered(registry, CounterVec::new(Opts::new(name, help), labels)?)
        };
        let histogram = |name, help, buckets, labels: &[&str]| {
            let opts = HistogramOpts::new(name, help).buckets(buckets);
            registered(registry, HistogramVec::new(opts, labels)?)
        };
        let received = counter(
            "collector_messages_received_total",
            "Messages of the exchange.",
            &["channel", "symbol"],
        )?;
        let published = counter(
            "collector_messages_published_total",
            "Messages that were published.",
            &["stream", "symbol"],
        )?;
        let errors = counter("collector_errors_total", "Errors.", &["error_type"])?;
        let reconnects = counter(
            "collector_reconnects_total",
            "Connections to the exchange after the first one.",
            &[],
        )?;
        let latency = histogram(
            "collector_publish_latency_seconds",
            "Time to publish a message.",
            LATENCIES.into(),
            &["stream", "symbol"],
        )?;
        let sizes = histogram(
            "collector_message_size_bytes",
            "Size of messages.",
            exponential_buckets(64.0, 2.0, 8)?,
            &["channel"],
        )?;
        // Series that Prometheus is to know before the first event.
        for error in [ErrorType::Parse, ErrorType::Publish, ErrorType::Api] {
            errors.with_label_values(&[error.name()]);
        }
        reconnects.with_label_values(&[] as &[&str]);
        // The window has `received`, `published`, `errors` by their type, `reconnects`, and quantiles of `latency`.
        let events = Tee::new(Window::default())
            .counter("received", &received)
            .counter("published", &published)
            .counter("errors", &errors)
            .counter("reconnects", &reconnects)
            .histogram("latency", &latency)
            .histogram("size", &sizes);
        let last_message = Opts::new(
            "collector_last_message_timestamp_seconds",
            "Time of the last message, since the Unix epoch.",
        );
        let last_message = GaugeVec::new(last_message, &["channel", "symbol"])?;
        let buffer = Gauge::new(
            "collector_redis_buffer_messages",
            "Messages that wait to be published.",
        )?;
        Ok(Metrics {
            events: Arc::new(events),
            last_message: registered(registry, last_message)?,
            buffer: registered(registry, buffer)?,
        })
    }

    /// The collector that the window log reads.
    pub fn events(&self) -> Arc<Tee<Window>> {
        Arc::clone(&self.events)
    }

    pub fn received(&self, channel: &str, symbol: &str, size: usize) {
        let labels = [("channel", channel), ("symbol", symbol)];
        self.events.increment("received", &labels, 1.0);
        self.events.observe("size", &labels, size as f64);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let last = self.last_message.with_label_values(&[channel, symbol]);
        last.set(now.unwrap_or_default().as_secs_f64());
    }

    pub fn published(&self, stream: &str, symbol: &str, took: Duration) {
        let labels = [("stream", stream), ("symbol", symbol)];
        self.events.increment("published", &labels, 1.0);
        self.events.observe("latency", &labels, took.as_secs_f64());
    }

    pub fn error(&self, error: ErrorType) {
        let labels = [("error_type", error.name())];
        self.events.increment("errors", &labels, 1.0);
    }

    pub fn reconnect(&self) {
        self.events.increment("reconnects", &[], 1.0);
    }

    pub fn buffered(&self, messages: usize) {
        self.buffer.set(messages as f64);
    }
}

fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> prometheus::Result<C> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}
