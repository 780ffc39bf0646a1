//! Sketches of recent observations.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use datasketches::common::SearchCriteria;
use datasketches::req::{RankAccuracy, ReqFloat, ReqSketch};
use prometheus::Error;

type Sketch = ReqSketch<ReqFloat<f64>>;

/// Observations of the last `max_age`, sketched in steps of age.
pub struct AgeBuckets {
    sketch_size: u16,
    step: Duration,
    /// One for each step, the newest last.
    sketches: VecDeque<Sketch>,
    steps: usize,
    /// Begin of the newest step.
    since: Instant,
}

impl AgeBuckets {
    pub fn new(max_age: Duration, steps: usize, sketch_size: u16) -> prometheus::Result<Self> {
        let count = u32::try_from(steps).ok().filter(|count| *count > 0);
        let step = count.and_then(|count| max_age.checked_div(count));
        let step = step.filter(|step| !step.is_zero()).ok_or_else(|| {
            Error::Msg(format!(
                "{steps} age buckets do not divide a maximum age of {max_age:?}"
            ))
        })?;
        Ok(AgeBuckets {
            sketch_size,
            step,
            sketches: VecDeque::new(),
            steps,
            since: Instant::now(),
        })
    }

    pub fn add(&mut self, value: f64, now: Instant) {
        self.age(now);
        let Ok(value) = ReqFloat::<f64>::new(value) else {
            return;
        };
        if self.sketches.is_empty() {
            self.sketches.extend(self.fresh());
        }
        if let Some(newest) = self.sketches.back_mut() {
            newest.update(value);
        }
    }

    /// Returns the value of each quantile, NaN if there is none.
    pub fn quantiles(&mut self, quantiles: &[f64], now: Instant) -> Vec<f64> {
        self.age(now);
        let view = self.merged().map(|all| all.sorted_view());
        let value = |rank: f64| {
            view.as_ref()?
                .quantile(rank, SearchCriteria::Inclusive)
                .ok()?
        };
        let values = quantiles.iter().map(|rank| value(*rank));
        values
            .map(|value| value.map_or(f64::NAN, ReqFloat::into_inner))
            .collect()
    }

    fn merged(&self) -> Option<Sketch> {
        let mut all = self.fresh()?;
        for sketch in &self.sketches {
            // Their sizes are the same.
            all.merge(sketch).ok()?;
        }
        Some(all)
    }

    /// Begins new steps, and forgets those that are too old.
    fn age(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.since);
        let passed = elapsed.as_nanos() / self.step.as_nanos();
        if passed == 0 {
            return;
        }
        if passed >= self.steps as u128 {
            self.sketches.clear();
            self.since = now;
            return;
        }
        let passed = passed as u32;
        self.since += self.step * passed;
        for _ in 0..passed {
            self.sketches.extend(self.fresh());
        }
        while self.sketches.len() > self.steps {
            self.sketches.pop_front();
        }
    }

    /// A sketch without observations. Its size is within what there can be.
    fn fresh(&self) -> Option<Sketch> {
        ReqSketch::new(self.sketch_size, RankAccuracy::HighRank).ok()
    }
}
