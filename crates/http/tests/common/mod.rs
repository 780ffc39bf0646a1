//! Helpers shared by the tests.

#![allow(dead_code, reason = "each test file uses a part of it")]

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
