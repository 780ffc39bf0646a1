//! Summaries with quantiles, which the `prometheus` crate does not have.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus::core::{Collector, Desc};
use prometheus::proto;
use sketches_ddsketch::{Config, DDSketch};

const QUANTILES: [f64; 3] = [0.1, 0.5, 0.9];

/// Half of the window that quantiles cover: the last ten to twenty minutes.
const WINDOW: Duration = Duration::from_secs(600);

const LABEL: &str = "method";

/// Summaries of pushes by their method.
#[derive(Clone)]
pub struct Summaries {
    desc: Desc,
    by_method: Arc<Mutex<BTreeMap<&'static str, Distribution>>>,
}

impl Summaries {
    pub fn new(name: &str, help: &str) -> prometheus::Result<Self> {
        let labels = vec![LABEL.to_owned()];
        Ok(Summaries {
            desc: Desc::new(name.to_owned(), help.to_owned(), labels, HashMap::new())?,
            by_method: Arc::default(),
        })
    }

    pub fn observe(&self, method: &'static str, value: f64) {
        let by_method = self.by_method.lock();
        let mut by_method = by_method.unwrap_or_else(PoisonError::into_inner);
        by_method
            .entry(method)
            .or_insert_with(Distribution::new)
            .add(value);
    }
}

impl Collector for Summaries {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let by_method = self.by_method.lock();
        let mut by_method = by_method.unwrap_or_else(PoisonError::into_inner);
        let metrics = by_method.iter_mut().map(|(method, values)| {
            let mut label = proto::LabelPair::default();
            label.set_name(LABEL.to_owned());
            label.set_value((*method).to_owned());
            let mut metric = proto::Metric::from_label(vec![label]);
            metric.set_summary(values.summary());
            metric
        });
        let mut family = proto::MetricFamily::default();
        family.set_name(self.desc.fq_name.clone());
        family.set_help(self.desc.help.clone());
        family.set_field_type(proto::MetricType::SUMMARY);
        family.set_metric(metrics.collect());
        vec![family]
    }
}

struct Distribution {
    count: u64,
    sum: f64,
    recent: DDSketch,
    before: DDSketch,
    since: Instant,
}

impl Distribution {
    fn new() -> Self {
        Distribution {
            count: 0,
            sum: 0.0,
            recent: DDSketch::new(Config::defaults()),
            before: DDSketch::new(Config::defaults()),
            since: Instant::now(),
        }
    }

    fn add(&mut self, value: f64) {
        self.turn();
        self.count += 1;
        self.sum += value;
        self.recent.add(value);
    }

    fn turn(&mut self) {
        if self.since.elapsed() > WINDOW {
            let fresh = DDSketch::new(Config::defaults());
            self.before = std::mem::replace(&mut self.recent, fresh);
            self.since = Instant::now();
        }
    }

    fn summary(&mut self) -> proto::Summary {
        self.turn();
        let mut all = self.before.clone();
        let is_merged = all.merge(&self.recent).is_ok();
        let quantiles = QUANTILES.map(|quantile| {
            let value = all.quantile(quantile).ok().flatten();
            let mut pair = proto::Quantile::default();
            pair.set_quantile(quantile);
            pair.set_value(value.filter(|_| is_merged).unwrap_or(f64::NAN));
            pair
        });
        let mut summary = proto::Summary::default();
        summary.set_sample_count(self.count);
        summary.set_sample_sum(self.sum);
        summary.set_quantile(quantiles.into());
        summary
    }
}
