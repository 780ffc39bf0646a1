//! Groups in parts, and groups made of such parts to be shown.

use std::sync::Arc;
use std::time::Duration;

use super::{FamilyView, Meta, Natives, Piece, StoredGroup};
use crate::store::lines;
use metricsjob_metrics::text::encode::{self, Opening};
use metricsjob_metrics::{Family, GroupingKey, Labels, Metric, Names, protobuf, text};

impl StoredGroup {
    /// Returns the series of one of its families, with all their labels.
    pub(in crate::store) fn series_of(
        &self,
        family: &FamilyView<'_>,
    ) -> impl Iterator<Item = Metric> + use<> {
        let meta = &family.meta;
        let mut text = String::with_capacity(family.lines.len() + 100);
        lines::header(&mut text, &meta.name, meta.kind, "");
        text.push_str(family.lines);
        let limits = text::Limits::default();
        let parsed = text::parse_names(text.as_bytes(), &limits, Names::Utf8);
        let mut metrics = parsed.ok().and_then(|mut families| families.pop());
        let natives = self.natives.iter().flat_map(|natives| natives.iter());
        let mut natives = natives.filter(|(name, _)| **name == *meta.name);
        if let Some((_, native)) = natives.next()
            && let Some(mut native) = protobuf::decode_again(native)
                .ok()
                .and_then(|mut all| all.pop())
        {
            for metric in &mut native.metrics {
                metric.labels = self.key.series_labels(&metric.labels);
            }
            metrics = Some(native);
        }
        metrics.into_iter().flat_map(|family| family.metrics)
    }

    /// Returns the labels of a series without labels of its own.
    pub(in crate::store) fn series_labels(&self) -> Labels {
        self.key.series_labels(&Labels::new())
    }

    /// Returns the times of the last successful and of the last refused push.
    pub(in crate::store) fn times(&self) -> [f64; 2] {
        [self.push_time, self.push_failure_time]
    }

    #[must_use]
    pub(in crate::store) fn with_ttl(mut self, ttl: Option<Duration>) -> Self {
        self.ttl = ttl;
        self
    }

    /// Creates a group to be shown only, of families sorted by name. Their series have all their labels, and their ids are
    /// those of other groups.
    pub(in crate::store) fn assembled(
        key: GroupingKey,
        [push_time, push_failure_time]: [f64; 2],
        families: impl IntoIterator<Item = (Arc<Meta>, u32, Vec<Metric>)>,
    ) -> StoredGroup {
        let mut pieces = Vec::new();
        let mut lines = String::new();
        let mut natives = Natives::new();
        let mut labels = String::new();
        for (meta, id, metrics) in families {
            let family = Family {
                name: meta.name.to_string(),
                help: meta.help.to_string(),
                kind: meta.kind,
                metrics,
            };
            let opening = Opening::of(&meta.name);
            for metric in &family.metrics {
                labels.clear();
                for (name, value) in &key.series_labels(&metric.labels) {
                    if !labels.is_empty() {
                        labels.push(',');
                    }
                    encode::label(&mut labels, name, value);
                }
                lines::samples(&mut lines, &opening, &labels, &metric.value);
            }
            if protobuf::exceeds_text(&family) {
                let name = family.name.clone();
                natives.push((name, protobuf::encode(&[family]).into()));
            }
            pieces.push(Piece {
                meta,
                id,
                lines_end: lines.len() as u32,
                series_end: 0,
            });
        }
        let mut group = StoredGroup {
            key,
            push_time,
            push_failure_time,
            ttl: None,
            pieces: pieces.into(),
            lines: lines.into(),
            series: Box::default(),
            natives: (!natives.is_empty()).then(|| natives.into()),
            clash: None,
            bytes: 0,
        };
        group.bytes = group.count_bytes();
        group
    }
}
