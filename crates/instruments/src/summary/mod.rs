//! Summaries, which the `prometheus` crate does not have.
//!
//! - [`SummaryOpts`]: name, labels, objectives and ageing.
//! - `age_buckets`: the sketches of recent observations.
//! - [`SummaryTimer`]: observes how long something takes.

mod age_buckets;
mod opts;
#[cfg(test)]
mod tests;
mod timer;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use prometheus::core::{Collector, Desc, Describer, Metric, MetricVec, MetricVecBuilder};
use prometheus::proto::{self, LabelPair, MetricType};

use age_buckets::AgeBuckets;
pub use opts::SummaryOpts;
pub use timer::SummaryTimer;

/// Summary: the number and the sum of all observations, and quantiles of the recent ones. Clones observe into the same
/// summary.
///
/// Quantiles come from REQ sketches (<https://arxiv.org/abs/2004.01668>), whose error is one of rank: the value reported for
/// 0.99 ± 0.001 lies between those of 0.989 and 0.991, however the values are distributed. It is one of the values that were
/// observed. Without recent observations the quantiles are NaN. An observation of NaN is part of number and sum alone.
///
/// ```
/// use metricsjob_instruments::{Summary, SummaryOpts};
///
/// let seconds = Summary::new(SummaryOpts::new("row_seconds", "Time for a row."))?;
/// for row in 1..=100 {
///     seconds.observe(f64::from(row));
/// }
/// assert!((45.0..=55.0).contains(&seconds.quantile(0.5)));
/// # Ok::<(), prometheus::Error>(())
/// ```
#[derive(Clone)]
pub struct Summary {
    core: Arc<Core>,
}

struct Core {
    desc: Desc,
    labels: Vec<LabelPair>,
    objectives: Vec<f64>,
    state: Mutex<State>,
}

impl Core {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct State {
    count: u64,
    sum: f64,
    recent: AgeBuckets,
}

impl Summary {
    /// Creates a summary.
    ///
    /// # Errors
    ///
    /// Fails if a name, an objective or the ageing is invalid.
    pub fn new(opts: SummaryOpts) -> prometheus::Result<Self> {
        Summary::of_labels(&opts, &[] as &[&str])
    }

    fn of_labels<V: AsRef<str>>(opts: &SummaryOpts, values: &[V]) -> prometheus::Result<Self> {
        opts.check()?;
        let desc = opts.describe()?;
        if values.len() != desc.variable_labels.len() {
            return Err(prometheus::Error::InconsistentCardinality {
                expect: desc.variable_labels.len(),
                got: values.len(),
            });
        }
        let mut labels = desc.const_label_pairs.clone();
        for (name, value) in desc.variable_labels.iter().zip(values) {
            let mut label = LabelPair::default();
            label.set_name(name.clone());
            label.set_value(value.as_ref().to_owned());
            labels.push(label);
        }
        labels.sort_by(|a, b| a.name().cmp(b.name()));
        let recent = AgeBuckets::new(opts.max_age, opts.age_buckets, opts.sketch_size())?;
        let state = State {
            count: 0,
            sum: 0.0,
            recent,
        };
        let core = Core {
            desc,
            labels,
            objectives: opts.quantiles(),
            state: Mutex::new(state),
        };
        Ok(Summary {
            core: Arc::new(core),
        })
    }

    /// Adds an observation.
    pub fn observe(&self, value: f64) {
        self.observe_at(value, Instant::now());
    }

    fn observe_at(&self, value: f64, now: Instant) {
        let mut state = self.core.state();
        state.count += 1;
        state.sum += value;
        state.recent.add(value, now);
    }

    /// Starts a timer, which observes the seconds that pass until it is dropped or stopped.
    pub fn start_timer(&self) -> SummaryTimer {
        SummaryTimer::new(self.clone())
    }

    /// Returns the number of all observations.
    pub fn count(&self) -> u64 {
        let state = self.core.state();
        state.count
    }

    /// Returns the sum of all observations.
    pub fn sum(&self) -> f64 {
        let state = self.core.state();
        state.sum
    }

    /// Returns a quantile (0 to 1) of the recent observations; NaN if there are none, or if it is no quantile.
    pub fn quantile(&self, quantile: f64) -> f64 {
        self.quantiles_at(&[quantile], Instant::now()).0[0]
    }

    /// Returns quantiles, number and sum.
    fn quantiles_at(&self, quantiles: &[f64], now: Instant) -> (Vec<f64>, u64, f64) {
        let mut state = self.core.state();
        let values = state.recent.quantiles(quantiles, now);
        (values, state.count, state.sum)
    }

    fn metric_at(&self, now: Instant) -> proto::Metric {
        let (values, count, sum) = self.quantiles_at(&self.core.objectives, now);
        let pairs = self
            .core
            .objectives
            .iter()
            .zip(values)
            .map(|(quantile, value)| {
                let mut pair = proto::Quantile::default();
                pair.set_quantile(*quantile);
                pair.set_value(value);
                pair
            });
        let mut summary = proto::Summary::default();
        summary.set_sample_count(count);
        summary.set_sample_sum(sum);
        summary.set_quantile(pairs.collect());
        let mut metric = proto::Metric::from_label(self.core.labels.clone());
        metric.set_summary(summary);
        metric
    }
}

impl fmt::Debug for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Summary")
            .field("desc", &self.core.desc)
            .field("count", &self.count())
            .field("sum", &self.sum())
            .finish_non_exhaustive()
    }
}

impl Metric for Summary {
    fn metric(&self) -> proto::Metric {
        self.metric_at(Instant::now())
    }
}

impl Collector for Summary {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.core.desc]
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let mut family = proto::MetricFamily::default();
        family.set_name(self.core.desc.fq_name.clone());
        family.set_help(self.core.desc.help.clone());
        family.set_field_type(MetricType::SUMMARY);
        family.set_metric(vec![self.metric()]);
        vec![family]
    }
}

/// Builder of the summaries in a [`SummaryVec`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SummaryVecBuilder;

impl MetricVecBuilder for SummaryVecBuilder {
    type M = Summary;
    type P = SummaryOpts;

    fn build<V: AsRef<str>>(
        &self,
        opts: &SummaryOpts,
        values: &[V],
    ) -> prometheus::Result<Summary> {
        Summary::of_labels(opts, values)
    }
}

/// Summaries by the values of their labels; [`summary_vec`] creates one.
pub type SummaryVec = MetricVec<SummaryVecBuilder>;

/// Creates summaries that these labels distinguish.
///
/// ```
/// use metricsjob_instruments::{SummaryOpts, summary_vec};
///
/// let seconds = summary_vec(SummaryOpts::new("row_seconds", "Time for a row."), &["table"])?;
/// seconds.with_label_values(&["orders"]).observe(0.002);
/// # Ok::<(), prometheus::Error>(())
/// ```
///
/// # Errors
///
/// Fails if a name, an objective or the ageing is invalid.
pub fn summary_vec(opts: SummaryOpts, labels: &[&str]) -> prometheus::Result<SummaryVec> {
    let opts = opts.variable_labels(labels);
    opts.check()?;
    MetricVec::create(MetricType::SUMMARY, SummaryVecBuilder, opts)
}
