//! One collector for a window and for Prometheus.

use std::fmt;

use prometheus::core::Collector;
use prometheus::{CounterVec, HistogramVec};

use super::{Aggregator, WindowSnapshot};
use crate::SummaryVec;

type Feed = Box<dyn Fn(&[(&str, &str)], f64) + Send + Sync>;

/// Aggregator that passes everything on to another one and to instruments of Prometheus, which go on counting when the
/// window is reset.
///
/// An instrument takes those labels of an event that it has; a label that the event does not have is empty.
pub struct Tee<A> {
    window: A,
    counters: Vec<(String, Feed)>,
    observers: Vec<(String, Feed)>,
}

impl<A> Tee<A> {
    /// Creates a tee that feeds `window` alone.
    pub fn new(window: A) -> Self {
        Tee {
            window,
            counters: Vec::new(),
            observers: Vec::new(),
        }
    }

    /// Counts the events of a kind by these counters, too.
    #[must_use]
    pub fn counter(mut self, kind: &str, counters: &CounterVec) -> Self {
        let names = labels_of(counters);
        let counters = counters.clone();
        let feed = move |labels: &[(&str, &str)], by: f64| {
            let counter = counters.get_metric_with_label_values(&values(&names, labels));
            // A counter does not go down.
            if let (Ok(counter), true) = (counter, by >= 0.0) {
                counter.inc_by(by);
            }
        };
        self.counters.push((kind.to_owned(), Box::new(feed)));
        self
    }

    /// Observes the values of a kind by these histograms, too.
    #[must_use]
    pub fn histogram(mut self, kind: &str, histograms: &HistogramVec) -> Self {
        let names = labels_of(histograms);
        let histograms = histograms.clone();
        let feed = move |labels: &[(&str, &str)], value: f64| {
            if let Ok(one) = histograms.get_metric_with_label_values(&values(&names, labels)) {
                one.observe(value);
            }
        };
        self.observers.push((kind.to_owned(), Box::new(feed)));
        self
    }

    /// Observes the values of a kind by these summaries, too.
    #[must_use]
    pub fn summary(mut self, kind: &str, summaries: &SummaryVec) -> Self {
        let names = labels_of(summaries);
        let summaries = summaries.clone();
        let feed = move |labels: &[(&str, &str)], value: f64| {
            if let Ok(one) = summaries.get_metric_with_label_values(&values(&names, labels)) {
                one.observe(value);
            }
        };
        self.observers.push((kind.to_owned(), Box::new(feed)));
        self
    }
}

fn labels_of(instrument: &impl Collector) -> Vec<String> {
    let descs = instrument.desc();
    let labels = descs.iter().flat_map(|desc| desc.variable_labels.iter());
    labels.cloned().collect()
}

/// The values of the labels `names`, in their order.
fn values<'a>(names: &[String], labels: &[(&str, &'a str)]) -> Vec<&'a str> {
    let value = |name: &String| labels.iter().find(|(label, _)| label == name);
    let values = names.iter().map(value);
    values
        .map(|label| label.map_or("", |(_, value)| value))
        .collect()
}

fn feed(feeds: &[(String, Feed)], kind: &str, labels: &[(&str, &str)], value: f64) {
    let feeds = feeds.iter().filter(|(known, _)| known == kind);
    feeds.for_each(|(_, feed)| feed(labels, value));
}

impl<A: Aggregator> Aggregator for Tee<A> {
    fn increment(&self, kind: &str, labels: &[(&str, &str)], by: f64) {
        self.window.increment(kind, labels, by);
        feed(&self.counters, kind, labels, by);
    }

    fn observe(&self, kind: &str, labels: &[(&str, &str)], value: f64) {
        self.window.observe(kind, labels, value);
        feed(&self.observers, kind, labels, value);
    }

    fn snapshot(&self) -> WindowSnapshot {
        self.window.snapshot()
    }

    fn reset(&self) -> WindowSnapshot {
        self.window.reset()
    }
}

impl<A: fmt::Debug> fmt::Debug for Tee<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tee")
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}
