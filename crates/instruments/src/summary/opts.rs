//! Options of summaries.

use std::time::Duration;

use prometheus::core::{Desc, Describer};
use prometheus::{Error, Opts};

/// Objectives of a summary that has none of its own, each a quantile with its error.
const OBJECTIVES: [(f64, f64); 3] = [(0.5, 0.05), (0.9, 0.01), (0.99, 0.001)];

/// Sizes of a sketch.
const MIN_K: f64 = 12.0;
const MAX_K: f64 = 1024.0;

/// Standard errors of the rank that a sketch of the size k gives for q: `RELATIVE * (1 - q) / k` and `FIXED / k`, the
/// smaller of which applies (as in the Java and C++ implementations of Apache DataSketches).
const RELATIVE: f64 = 0.1306;
const FIXED: f64 = 0.084;

/// Standard errors within an objective: one summary in 16,000 misses one.
const DEVIATIONS: f64 = 4.0;

/// Options of a [`Summary`](super::Summary).
///
/// ```
/// use std::time::Duration;
/// use metricsjob_instruments::SummaryOpts;
///
/// let opts = SummaryOpts::new("row_seconds", "Time for a row.")
///     .namespace("import")
///     .const_label("table", "orders")
///     .objective(0.5, 0.05)
///     .objective(0.999, 0.0005)
///     .max_age(Duration::from_secs(3600))
///     .age_buckets(5);
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct SummaryOpts {
    common: Opts,
    objectives: Vec<(f64, f64)>,
    pub(super) max_age: Duration,
    pub(super) age_buckets: usize,
}

impl SummaryOpts {
    /// Creates options with the objectives 0.5 ± 0.05, 0.9 ± 0.01 and 0.99 ± 0.001, and with a maximum age of an hour in
    /// five age buckets.
    pub fn new(name: impl Into<String>, help: impl Into<String>) -> Self {
        SummaryOpts {
            common: Opts::new(name, help),
            objectives: Vec::new(),
            max_age: Duration::from_secs(3600),
            age_buckets: 5,
        }
    }

    /// Puts `namespace` and an underscore before the name.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.common = self.common.namespace(namespace);
        self
    }

    /// Adds a label that is the same for all observations.
    pub fn const_label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.common = self.common.const_label(name, value);
        self
    }

    /// Adds a quantile (0 to 1) with the error of its rank. The first one replaces the default ones. The error can be as
    /// small as 0.0004, and smaller still near 1, where less memory is needed.
    pub fn objective(mut self, quantile: f64, error: f64) -> Self {
        self.objectives.push((quantile, error));
        self
    }

    /// Sets how long an observation is part of the quantiles.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// Sets the number of steps in which old observations leave the quantiles. More of them need more memory.
    pub fn age_buckets(mut self, buckets: usize) -> Self {
        self.age_buckets = buckets;
        self
    }

    pub(super) fn variable_labels(mut self, names: &[&str]) -> Self {
        let names = names.iter().map(|name| (*name).to_owned());
        self.common = self.common.variable_labels(names.collect());
        self
    }

    pub(super) fn check(&self) -> prometheus::Result<()> {
        for (quantile, error) in self.objectives() {
            if !(0.0..=1.0).contains(quantile) {
                return Err(Error::Msg(format!(
                    "{quantile} is not a quantile: it must be 0 to 1"
                )));
            }
            // Also if the error is NaN.
            if !(*error > 0.0 && needed_size(&(*quantile, *error)) <= MAX_K) {
                return Err(Error::Msg(format!(
                    "the quantile {quantile} cannot have the error {error}, which is too small"
                )));
            }
        }
        let is_reserved = |name: &str| name == "quantile";
        let mut variable = self.common.variable_labels.iter();
        let reserved = variable.any(|name| is_reserved(name))
            || self
                .common
                .const_labels
                .keys()
                .any(|name| is_reserved(name));
        if reserved {
            return Err(Error::Msg(
                "a summary cannot have a label \"quantile\" of its own".into(),
            ));
        }
        Ok(())
    }

    fn objectives(&self) -> &[(f64, f64)] {
        match self.objectives.as_slice() {
            [] => &OBJECTIVES,
            own => own,
        }
    }

    /// The quantiles of the objectives, in ascending order.
    pub(super) fn quantiles(&self) -> Vec<f64> {
        let mut quantiles: Vec<f64> = self
            .objectives()
            .iter()
            .map(|(quantile, _)| *quantile)
            .collect();
        quantiles.sort_by(f64::total_cmp);
        quantiles.dedup();
        quantiles
    }

    /// The size of the sketches that meets all objectives.
    pub(super) fn sketch_size(&self) -> u16 {
        let sizes = self.objectives().iter().map(needed_size);
        // Within what a sketch can be, as `check` has seen to.
        let size = sizes.fold(MIN_K, f64::max).min(MAX_K);
        (size / 2.0).ceil() as u16 * 2
    }
}

/// The size of a sketch that meets this objective.
fn needed_size((quantile, error): &(f64, f64)) -> f64 {
    let standard_error = FIXED.min(RELATIVE * (1.0 - quantile));
    DEVIATIONS * standard_error / error
}

impl Describer for SummaryOpts {
    fn describe(&self) -> prometheus::Result<Desc> {
        self.common.describe()
    }
}
