//! A metric of the job while it comes in, and the value that it has so far.

use std::collections::HashMap;

use sketches_ddsketch::DDSketch;

use crate::job::metric_rule::Scale;
use metricsjob_metrics::{Bucket, Count, Kind, Labels, Quantile, Value};

/// A family while it comes in.
#[derive(Clone, Default)]
pub struct EventDraft {
    pub kind: Option<Kind>,
    pub help: String,
    pub scale: Option<Scale>,
    /// Series by their labels, without `le` and `quantile`.
    pub series: HashMap<Labels, EventSeries>,
}

#[derive(Clone)]
pub enum EventSeries {
    Number(f64),
    Histogram {
        /// The number of observations in each bucket alone, the infinite one last.
        counts: Vec<u64>,
        sum: f64,
    },
    Summary {
        sketch: Box<DDSketch>,
        sum: f64,
    },
    /// A histogram or summary that the job writes itself. Buckets or quantiles are by the bits of
    /// their bound, in the order of the bounds.
    Written {
        count: Option<f64>,
        sum: f64,
        parts: Vec<(f64, f64)>,
    },
}

impl EventDraft {
    /// The value that it has so far.
    pub fn value(&self, series: &EventSeries) -> Value {
        match series {
            EventSeries::Number(value) => Value::Number(*value),
            EventSeries::Histogram { counts, sum } => {
                let Some(Scale::Buckets(bounds)) = &self.scale else {
                    return Value::zero(Kind::Histogram);
                };
                let mut count = 0;
                let buckets = counts.iter().zip(bounds.iter().chain([&f64::INFINITY]));
                let buckets = buckets
                    .map(|(in_bucket, &upper_bound)| {
                        count += in_bucket;
                        Bucket {
                            upper_bound,
                            count: Count::Integer(count),
                        }
                    })
                    .collect();
                Value::Histogram {
                    count: Count::Integer(count),
                    sum: *sum,
                    buckets,
                    native: None,
                }
            }
            EventSeries::Summary { sketch, sum } => {
                let quantiles = match &self.scale {
                    Some(Scale::Quantiles(quantiles)) => quantiles.as_slice(),
                    _ => &[],
                };
                Value::Summary {
                    count: sketch.count() as u64,
                    sum: *sum,
                    quantiles: quantiles
                        .iter()
                        .filter_map(|&quantile| {
                            let value = sketch.quantile(quantile).ok()??;
                            Some(Quantile { quantile, value })
                        })
                        .collect(),
                }
            }
            EventSeries::Written { count, sum, parts } => {
                let infinite = parts.last().filter(|(bound, _)| *bound == f64::INFINITY);
                let count = count.or(infinite.map(|(_, count)| *count));
                let count = count.unwrap_or_default() as u64;
                match self.kind {
                    Some(Kind::Summary) => Value::Summary {
                        count,
                        sum: *sum,
                        quantiles: parts
                            .iter()
                            .map(|&(quantile, value)| Quantile { quantile, value })
                            .collect(),
                    },
                    _ => Value::Histogram {
                        count: Count::Integer(count),
                        sum: *sum,
                        buckets: parts
                            .iter()
                            .map(|&(upper_bound, count)| Bucket {
                                upper_bound,
                                count: Count::Integer(count as u64),
                            })
                            .collect(),
                        native: None,
                    },
                }
            }
        }
    }
}
