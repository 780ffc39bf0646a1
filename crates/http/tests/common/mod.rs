//! Helpers shared by the tests.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::fmt::Write;
use std::sync::{Arc, Mutex};

use http::Response;
use http_body_util::BodyExt;
use metricsjob_metrics::{registry, text};
use prometheus::Registry;

/// A registry, and its metrics as text.
#[derive(Default)]
pub struct Exposed {
    pub registry: Registry,
}

impl Exposed {
    pub fn text(&self) -> String {
        text::encode(&registry::gather(&self.registry))
    }

    #[track_caller]
    pub fn shows(&self, sample: &str) {
        let text = self.text();
        assert!(text.lines().any(|line| line == sample), "{sample}\n{text}");
    }
}

/// Reads a response to its end.
pub async fn drained<B: http_body::Body<Error: std::fmt::Debug>>(response: Response<B>) -> Vec<u8> {
    response
        .into_body()
        .collect()
        .await
        .unwrap()
        .to_bytes()
        .to_vec()
}

/// Keeps the fields of our events from `INFO` on.
#[derive(Clone, Default)]
pub struct KeptEvents(pub Arc<Mutex<String>>);

impl tracing::Subscriber for KeptEvents {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("metricsjob_http")
            && *metadata.level() <= tracing::Level::INFO
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut lines = self.0.lock().unwrap();
        event.record(
            &mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
                if field.name() != "seconds" {
                    write!(lines, "{field}={value:?} ").unwrap();
                }
            },
        );
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}
