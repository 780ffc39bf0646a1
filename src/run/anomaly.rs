//! Values of a run that are unusual beside those of earlier runs.

use crate::job::expectations::{UNUSUAL, is_meant};
use metricsjob_metrics::{DEFAULT_PREFIX, Family, Kind, Labels, Value};
use metricsjob_state::history::RecordedRun;

/// Successes that a value is compared with: at least this many, and at most the last of them.
const MIN_RUNS: usize = 10;
pub const MAX_RUNS: u32 = 50;

/// Ratio of the standard deviation of a normal distribution to its median absolute deviation.
const NORMAL: f64 = 1.4826;

/// Least spread, as a share of the median: values that hardly differ must not make the next small difference unusual.
const LEAST_SPREAD: f64 = 0.05;

/// Largest score that is reported, also for a value that differs from ones that were all the same.
const MAX_SCORE: f64 = 100.0;

/// Least spread of durations, in seconds: short ones differ by chance.
const LEAST_DURATION_SPREAD: f64 = 0.05;

/// Comparison of a value with those of the last runs that succeeded.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Comparison {
    /// Name of the metric, as the job gives it.
    pub metric: String,
    pub value: f64,
    /// Distance from the median, in robust standard deviations: that of Iglewicz and Hoaglin, with a floor for the spread.
    pub score: f64,
    /// Range of eight in ten earlier values.
    pub usual: (f64, f64),
}

impl Comparison {
    /// Name of the duration among the metrics that are compared.
    pub const DURATION: &str = "duration_seconds";

    /// Returns true if the value is far from the earlier ones.
    pub fn is_unusual(&self) -> bool {
        self.score.abs() > UNUSUAL
    }
}

/// Compares `metrics` of a run with those of `earlier` runs, the prefix of whose metrics is `prefix`. A metric that the
/// run, or too few of the earlier ones, has is left out.
pub fn compare(
    run: &RecordedRun,
    earlier: &[RecordedRun],
    metrics: &[String],
    prefix: &str,
) -> Vec<Comparison> {
    let comparisons = metrics.iter().filter_map(|metric| {
        let value = value(run, metric, prefix)?;
        let earlier = earlier
            .iter()
            .filter_map(|run| self::value(run, metric, prefix));
        let floor = match metric.as_str() {
            Comparison::DURATION => LEAST_DURATION_SPREAD,
            _ => 0.0,
        };
        let (score, usual) = score(value, earlier.collect(), floor)?;
        Some(Comparison {
            metric: metric.clone(),
            value,
            score,
            usual,
        })
    });
    comparisons.collect()
}

/// The scores as a family; `None` if there are none.
pub fn family(comparisons: &[Comparison]) -> Option<Family> {
    let scores = comparisons.iter().map(|comparison| {
        let labels = Labels::from([("metric", comparison.metric.as_str())]);
        (labels, Value::Number(comparison.score))
    });
    (!comparisons.is_empty()).then(|| {
        Family::new(
            format!("{DEFAULT_PREFIX}_anomaly_score"),
            "Distance of the last success's value from the median of those before it, in robust standard deviations.",
            Kind::Gauge,
            scores,
        )
    })
}

/// Score of `value` beside `earlier` ones, and the range of eight in ten of those. `None` if there are too few.
fn score(value: f64, mut earlier: Vec<f64>, floor: f64) -> Option<(f64, (f64, f64))> {
    earlier.retain(|value| value.is_finite());
    if earlier.len() < MIN_RUNS || !value.is_finite() {
        return None;
    }
    earlier.sort_by(f64::total_cmp);
    let median = quantile(&earlier, 0.5);
    let mut deviations: Vec<f64> = earlier.iter().map(|value| (value - median).abs()).collect();
    deviations.sort_by(f64::total_cmp);
    let spread = NORMAL * quantile(&deviations, 0.5);
    let spread = spread.max(LEAST_SPREAD * median.abs()).max(floor);
    let score = match value - median {
        0.0 => 0.0,
        difference => (difference / spread).clamp(-MAX_SCORE, MAX_SCORE),
    };
    Some((score, (quantile(&earlier, 0.1), quantile(&earlier, 0.9))))
}

/// Quantile of sorted values, between its neighbours by linear interpolation.
fn quantile(sorted: &[f64], quantile: f64) -> f64 {
    let place = quantile * (sorted.len() - 1) as f64;
    let below = sorted[place.floor() as usize];
    let above = sorted[place.ceil() as usize];
    below + (above - below) * place.fract()
}

/// Value of a metric of the run: its duration, or the sum over the series of a family of its own.
fn value(run: &RecordedRun, metric: &str, prefix: &str) -> Option<f64> {
    if metric == Comparison::DURATION {
        return Some(run.duration);
    }
    let mut families = run.metrics.iter();
    let family = families.find(|family| is_meant(metric, &family.name, prefix))?;
    let values = family.metrics.iter().map(|metric| match metric.value {
        Value::Number(value) => Some(value),
        _ => None,
    });
    values.sum()
}

#[cfg(test)]
mod tests {
    use rand::rngs::ChaCha8Rng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    #[test]
    fn scores() {
        let of =
            |value, earlier: &[f64]| score(value, earlier.to_vec(), 0.0).map(|(score, _)| score);
        assert_eq!(of(1.0, &[1.0; 9]), None);
        assert_eq!(of(1.0, &[1.0; 10]), Some(0.0));
        assert_eq!(of(f64::NAN, &[1.0; 10]), None);
        // Of values that are all the same, a twentieth is the least spread.
        assert_eq!(of(1.05, &[1.0; 10]).map(f64::round), Some(1.0));
        assert_eq!(of(2.0, &[1.0; 10]).map(f64::round), Some(20.0));
        assert_eq!(of(-1e9, &[1.0; 10]), Some(-MAX_SCORE));
        // Without a median to take a share of.
        assert_eq!(of(1.0, &[0.0; 10]), Some(MAX_SCORE));
        let nine_to_twelve: Vec<f64> = (0..40).map(|n| 9.0 + f64::from(n % 4)).collect();
        let (high, usual) = score(41.0, nine_to_twelve, 0.0).unwrap();
        assert!(high > UNUSUAL);
        assert_eq!(usual, (9.0, 12.0));
        // One wild value among the earlier ones does not hide the next.
        let mut earlier = vec![10.0; 20];
        earlier.push(1e6);
        assert!(of(100.0, &earlier).unwrap() > UNUSUAL);
    }

    /// False alarms in 10,000 runs of a job whose durations have a normal distribution.
    #[test]
    fn false_alarms() {
        let mut random = ChaCha8Rng::seed_from_u64(18);
        let mut normal = || {
            // The sum of twelve uniform values, by the central limit theorem.
            let sum: f64 = (0..12).map(|_| random.random::<f64>()).sum();
            60.0 + 10.0 * (sum - 6.0)
        };
        let mut durations: Vec<f64> = Vec::new();
        let mut alarms = 0;
        for _ in 0..10_000 {
            let duration = normal();
            let start = durations.len().saturating_sub(MAX_RUNS as usize);
            let found = score(duration, durations[start..].to_vec(), LEAST_DURATION_SPREAD);
            alarms += usize::from(found.is_some_and(|(score, _)| score.abs() > UNUSUAL));
            durations.push(duration);
        }
        assert_eq!(alarms, 20);
    }
}
