//! An aggregator that counts until it is reset.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use datasketches::common::SearchCriteria;
use datasketches::req::{RankAccuracy, ReqFloat, ReqSketch};
use serde_json::{Map, Value};

use super::{Aggregator, WindowSnapshot};

/// Size of a sketch: 0.5 is within 0.022 and 0.99 within 0.0005 of the rank, in all but one window of 16,000.
const SKETCH_SIZE: u16 = 12;

/// Counts and quantiles since the window began. Its fields are declared when it is made, so that each line has all of them.
///
/// ```
/// use metricsjob_instruments::window::{Aggregator, Window};
///
/// let window = Window::new()
///     .count("orders")
///     .count_by("errors", &["kind"])
///     .quantiles("duration", &[(0.5, "p50_seconds"), (0.99, "p99_seconds")]);
/// window.increment("orders", &[("region", "eu")], 2.0);
/// window.increment("errors", &[("kind", "timeout"), ("region", "eu")], 1.0);
/// let ended = window.reset();
/// assert_eq!(ended.fields()["orders"], 2);
/// assert_eq!(ended.fields()["errors"]["timeout"], 1);
/// assert!(ended.fields()["p50_seconds"].is_null());
/// assert_eq!(window.snapshot().fields()["orders"], 0);
/// ```
#[derive(Debug)]
pub struct Window {
    fields: Vec<WindowField>,
    state: Mutex<WindowState>,
}

#[derive(Debug)]
struct WindowField {
    kind: String,
    shape: FieldShape,
}

#[derive(Debug)]
enum FieldShape {
    /// A number, or nested objects by the values of these labels.
    Count(Vec<String>),
    /// Numbers, by their names.
    Quantiles(Vec<(f64, String)>),
}

#[derive(Debug)]
struct WindowState {
    since: Instant,
    /// Counts by kind, and then by the values of the field's labels.
    counts: BTreeMap<String, BTreeMap<Vec<String>, f64>>,
    sketches: BTreeMap<String, ReqSketch<ReqFloat<f64>>>,
}

impl WindowState {
    fn new(now: Instant) -> Self {
        WindowState {
            since: now,
            counts: BTreeMap::new(),
            sketches: BTreeMap::new(),
        }
    }
}

/// A window of a program that passes messages on: `received`, `published`, `errors` by the label `error_type`,
/// `reconnects`, and the quantiles `p50`, `p95` and `p99` of what is observed as `latency`.
impl Default for Window {
    fn default() -> Self {
        Window::new()
            .count("received")
            .count("published")
            .count_by("errors", &["error_type"])
            .count("reconnects")
            .quantiles("latency", &[(0.5, "p50"), (0.95, "p95"), (0.99, "p99")])
    }
}

impl Window {
    /// Creates a window without fields. Events of a kind that is not declared become a number at the end of its line.
    #[must_use]
    pub fn new() -> Self {
        Window {
            fields: Vec::new(),
            state: Mutex::new(WindowState::new(Instant::now())),
        }
    }

    /// Declares a number: all events of this kind.
    #[must_use]
    pub fn count(self, kind: &str) -> Self {
        self.count_by(kind, &[])
    }

    /// Declares nested objects: events of this kind by the values of labels, one level for each label. An event without
    /// one of them counts under the empty name.
    #[must_use]
    pub fn count_by(self, kind: &str, labels: &[&str]) -> Self {
        let labels = labels.iter().map(|label| (*label).to_owned());
        let shape = FieldShape::Count(labels.collect());
        self.field(kind, shape)
    }

    /// Declares quantiles (0 to 1) of what is observed as this kind, each with the name of its field. A field is null
    /// while nothing was observed.
    #[must_use]
    pub fn quantiles(self, kind: &str, quantiles: &[(f64, &str)]) -> Self {
        let quantiles = quantiles.iter();
        let quantiles = quantiles.map(|(quantile, name)| (*quantile, (*name).to_owned()));
        let shape = FieldShape::Quantiles(quantiles.collect());
        self.field(kind, shape)
    }

    fn field(mut self, kind: &str, shape: FieldShape) -> Self {
        let kind = kind.to_owned();
        self.fields.push(WindowField { kind, shape });
        self
    }

    fn state(&self) -> MutexGuard<'_, WindowState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The labels that a kind is counted by; none if it is not declared.
    fn labels_of(&self, kind: &str) -> &[String] {
        let counts = self.fields.iter().filter(|field| field.kind == kind);
        let mut labels = counts.filter_map(|field| match &field.shape {
            FieldShape::Count(labels) => Some(labels.as_slice()),
            FieldShape::Quantiles(_) => None,
        });
        labels.next().unwrap_or_default()
    }

    fn render(&self, state: &WindowState, now: Instant) -> WindowSnapshot {
        let mut snapshot = WindowSnapshot::of(now.saturating_duration_since(state.since));
        for field in &self.fields {
            match &field.shape {
                FieldShape::Count(labels) if labels.is_empty() => {
                    snapshot.add(&field.kind, &[], 0.0)
                }
                FieldShape::Count(_) => snapshot.set(&field.kind, Value::Object(Map::new())),
                FieldShape::Quantiles(quantiles) => {
                    let sketch = state.sketches.get(&field.kind);
                    for (quantile, name) in quantiles {
                        let value = sketch.and_then(|sketch| rank(sketch, *quantile));
                        let rounded = value.map(|value| (value * 1e6).round() / 1e6);
                        snapshot.set(name, rounded.into());
                    }
                }
            }
        }
        for (kind, counts) in &state.counts {
            for (path, count) in counts {
                snapshot.add(kind, path, *count);
            }
        }
        snapshot
    }

    pub(super) fn reset_at(&self, now: Instant) -> WindowSnapshot {
        let ended = std::mem::replace(&mut *self.state(), WindowState::new(now));
        self.render(&ended, now)
    }
}

fn rank(sketch: &ReqSketch<ReqFloat<f64>>, quantile: f64) -> Option<f64> {
    let value = sketch.quantile(quantile, SearchCriteria::Inclusive);
    value.ok().flatten().map(ReqFloat::into_inner)
}

impl Aggregator for Window {
    /// Counts events. Those of a number that is not finite are not counted.
    fn increment(&self, kind: &str, labels: &[(&str, &str)], by: f64) {
        if !by.is_finite() {
            return;
        }
        let value = |name: &String| {
            let mut values = labels.iter().filter(|(label, _)| label == name);
            values
                .next()
                .map_or_else(String::new, |(_, value)| (*value).to_owned())
        };
        let path: Vec<String> = self.labels_of(kind).iter().map(value).collect();
        let mut state = self.state();
        if !state.counts.contains_key(kind) {
            state.counts.insert(kind.to_owned(), BTreeMap::new());
        }
        if let Some(counts) = state.counts.get_mut(kind) {
            *counts.entry(path).or_default() += by;
        }
    }

    /// Takes a value, if quantiles of its kind are declared; NaN is none.
    fn observe(&self, kind: &str, _: &[(&str, &str)], value: f64) {
        let is_wanted = |field: &WindowField| {
            field.kind == kind && matches!(field.shape, FieldShape::Quantiles(_))
        };
        let Ok(value) = ReqFloat::<f64>::new(value) else {
            return;
        };
        if !self.fields.iter().any(is_wanted) {
            return;
        }
        let mut state = self.state();
        if let Some(sketch) = state.sketches.get_mut(kind) {
            sketch.update(value);
        } else if let Ok(mut sketch) = ReqSketch::new(SKETCH_SIZE, RankAccuracy::HighRank) {
            sketch.update(value);
            state.sketches.insert(kind.to_owned(), sketch);
        }
    }

    fn snapshot(&self) -> WindowSnapshot {
        self.render(&self.state(), Instant::now())
    }

    fn reset(&self) -> WindowSnapshot {
        self.reset_at(Instant::now())
    }
}
