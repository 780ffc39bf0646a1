//! Selection of a group's series.

use std::borrow::Cow;
use std::sync::Arc;

use super::{FamilyView, Natives, Piece, StoredGroup};
use crate::store::exposition::GROUP_SERIES;
use crate::store::lines;
use metricsjob_metrics::selector::{METRIC_NAME, Selector};
use metricsjob_metrics::text::encode::Opening;
use metricsjob_metrics::{Kind, TTL_SERIES, protobuf};

/// The selected part of a family.
enum Selected {
    Nothing,
    Everything,
    /// The lines of the selected series, and for each series whether it is selected.
    Some(String, Vec<bool>),
}

impl StoredGroup {
    /// Returns the group with the series that one of `selectors` selects, and which of the series that the gateway
    /// adds to it; `None` if there is nothing.
    pub(in crate::store) fn selected(
        self: &Arc<Self>,
        selectors: &[Selector],
    ) -> Option<(Arc<StoredGroup>, [bool; 3])> {
        let of_key = |label: &str| match label {
            "job" => Some(self.key.job()),
            _ => self.key.labels().get(label),
        };
        let open: Vec<&Selector> = (selectors.iter())
            .filter(|selector| selector.judge(&of_key) != Some(false))
            .collect();
        if open.is_empty() {
            return None;
        }
        let own = GROUP_SERIES.map(|(name, _)| {
            let is_there = name != TTL_SERIES || self.ttl.is_some();
            is_there
                && is_selected(&open, &|label| {
                    Some(match label {
                        METRIC_NAME => name,
                        _ => of_key(label).unwrap_or_default(),
                    })
                })
        });
        let mut pieces = Vec::new();
        let mut lines = String::new();
        let mut natives = Natives::new();
        let mut is_whole = true;
        for family in self.families() {
            let (part, chosen) = match select(&family, &open, &of_key) {
                Selected::Nothing => {
                    is_whole = false;
                    continue;
                }
                Selected::Everything => (Cow::Borrowed(family.lines), None),
                Selected::Some(part, chosen) => {
                    is_whole = false;
                    (Cow::Owned(part), Some(chosen))
                }
            };
            lines.push_str(&part);
            let mut all = self.natives.iter().flat_map(|natives| natives.iter());
            if let Some((name, native)) = all.find(|(name, _)| **name == *family.meta.name) {
                let native = match &chosen {
                    None => native.clone(),
                    Some(chosen) => native_part(native, chosen),
                };
                natives.push((name.clone(), native));
            }
            pieces.push(Piece {
                meta: family.meta.clone(),
                id: family.id,
                lines_end: lines.len() as u32,
                series_end: 0,
            });
        }
        if is_whole {
            return Some((Arc::clone(self), own));
        }
        if pieces.is_empty() && own == [false; 3] {
            return None;
        }
        let group = StoredGroup {
            key: self.key.clone(),
            push_time: self.push_time,
            push_failure_time: self.push_failure_time,
            ttl: self.ttl,
            pieces: pieces.into(),
            lines: lines.into(),
            series: Box::default(),
            natives: (!natives.is_empty()).then(|| natives.into()),
            clash: None,
            bytes: self.bytes,
        };
        Some((Arc::new(group), own))
    }
}

fn is_selected<'v>(selectors: &[&Selector], value_of: &dyn Fn(&str) -> Option<&'v str>) -> bool {
    let mut selectors = selectors.iter();
    selectors.any(|selector| selector.judge(value_of) == Some(true))
}

/// Suffixes of the names of a family's samples. That of its last sample ends each series.
fn suffixes(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Counter | Kind::Gauge | Kind::Untyped => &[""],
        Kind::Summary => &["", "_sum", "_count"],
        Kind::Histogram => &["", "_bucket", "_sum", "_count"],
    }
}

/// Selects series of a family. The samples of a summary or histogram stay together: they are selected if one of them is,
/// or their labels under the name of the family.
fn select<'k>(
    family: &FamilyView<'_>,
    selectors: &[&Selector],
    of_key: &dyn Fn(&str) -> Option<&'k str>,
) -> Selected {
    let name = &*family.meta.name;
    let suffixes = suffixes(family.meta.kind);
    let names: Vec<String> = suffixes
        .iter()
        .map(|suffix| format!("{name}{suffix}"))
        .collect();
    let mut is_open = false;
    for name in &names {
        for selector in selectors {
            let verdict = selector.judge(&|label| match label {
                METRIC_NAME => Some(name.as_str()),
                _ => of_key(label),
            });
            match verdict {
                Some(true) => return Selected::Everything,
                Some(false) => {}
                None => is_open = true,
            }
        }
    }
    if !is_open {
        return Selected::Nothing;
    }
    let openings: Vec<String> = (suffixes.iter())
        .map(|suffix| {
            let mut opening = String::new();
            Opening::of(name).write(&mut opening, suffix);
            opening
        })
        .collect();
    let last = openings.len() - 1;
    let mut part = String::new();
    let mut chosen = Vec::new();
    let mut is_chosen = false;
    let mut start = 0;
    let mut end = 0;
    for line in family.lines.split_inclusive('\n') {
        end += line.len();
        let found = openings.iter().enumerate().find_map(|(at, opening)| {
            let (labels, _value) = line.strip_prefix(opening)?.rsplit_once("} ")?;
            Some((at, labels))
        });
        let Some((at, labels)) = found else {
            continue;
        };
        let labels = lines::pairs(labels);
        let is_line_selected = |name: &str| {
            is_selected(selectors, &|label| {
                let own = || labels.iter().find(|(name, _)| name == label);
                Some(match label {
                    METRIC_NAME => name,
                    _ => own().map_or("", |(_, value)| value.as_ref()),
                })
            })
        };
        is_chosen = is_chosen || is_line_selected(&names[at]);
        if at == last {
            is_chosen = is_chosen || is_line_selected(name);
            if is_chosen {
                part.push_str(&family.lines[start..end]);
            }
            chosen.push(is_chosen);
            is_chosen = false;
            start = end;
        }
    }
    match chosen.iter().filter(|is_chosen| **is_chosen).count() {
        0 => Selected::Nothing,
        all if all == chosen.len() => Selected::Everything,
        _ => Selected::Some(part, chosen),
    }
}

/// Returns the chosen series of a family that is a delimited protobuf message; its series have the order of the lines.
fn native_part(message: &[u8], chosen: &[bool]) -> Box<[u8]> {
    let mut families = protobuf::decode_again(message).unwrap_or_default();
    for family in &mut families {
        let mut chosen = chosen.iter();
        family
            .metrics
            .retain(|_| chosen.next().copied().unwrap_or(false));
    }
    protobuf::encode(&families).into()
}

#[cfg(test)]
mod tests {
    use metricsjob_metrics::escaping::Escaping;
    use metricsjob_metrics::selector::series_selectors;
    use metricsjob_metrics::{
        Count, Family, GroupingKey, Labels, Method, Names, NativeHistogram, Value, series_name,
    };

    use super::*;
    use crate::store::{RenderedPush, Snapshot, Store, exposition};

    fn store() -> Store {
        let mut store = Store::new();
        let histogram = |threshold: f64| Value::Histogram {
            count: Count::Integer(0),
            sum: 0.0,
            buckets: Vec::new(),
            native: Some(Box::new(NativeHistogram {
                zero_threshold: Some(threshold),
                ..NativeHistogram::default()
            })),
        };
        let series = |of: &str, value| (Labels::from([("of", of)]), value);
        let numbers = [
            series("a", Value::Number(1.0)),
            series("b", Value::Number(2.0)),
        ];
        let histograms = [series("a", histogram(0.25)), series("b", histogram(0.5))];
        let families = vec![
            Family::new("g", "", Kind::Gauge, numbers),
            Family::new("h", "", Kind::Histogram, histograms),
        ];
        for job in ["j", "k"] {
            let key = GroupingKey::new(job, []).unwrap();
            let (names, hasher) = (Names::Legacy, store.hasher());
            let report = RenderedPush::new(&key, families.clone(), names, &hasher);
            assert!(store.push(&key, Method::Put, report, 1.0).result.is_ok());
        }
        store
    }

    fn selected(store: &Store, selector: &str) -> Snapshot {
        let selectors = series_selectors(&[selector]).unwrap();
        store.snapshot().selected(&selectors)
    }

    /// Selection in the protobuf format, once the text format was found to have the same series.
    fn families(store: &Store, selector: &str) -> Vec<Family> {
        let snapshot = selected(store, selector);
        let messages = exposition::protobuf(&snapshot, &[], Escaping::Underscores).pieces;
        let families = protobuf::decode_again(&messages).unwrap();
        let text = exposition::text(&snapshot, &[], Escaping::Underscores).pieces;
        let text = metricsjob_metrics::text::parse(text.concat().as_bytes()).unwrap();
        let series = |families: &[Family]| {
            let families = families.iter();
            let mut series: Vec<String> = families
                .flat_map(|family| {
                    let series = family.metrics.iter();
                    series.map(|metric| series_name(&family.name, &metric.labels))
                })
                .collect();
            series.sort();
            series
        };
        assert_eq!(series(&families), series(&text), "{selector}");
        families
    }

    #[test]
    fn native_histograms_are_selected_with_their_lines() {
        let store = store();
        let found = families(&store, "h{of=\"b\",job=\"j\"}");
        let [Family { metrics, .. }] = found.as_slice() else {
            panic!("{found:?}");
        };
        let Value::Histogram {
            native: Some(native),
            ..
        } = &metrics[0].value
        else {
            panic!("{found:?}");
        };
        assert_eq!((metrics.len(), native.zero_threshold), (1, Some(0.5)));
        let all = families(&store, "{of=~\"a|b\"}");
        assert_eq!(
            all.iter().map(|family| family.metrics.len()).sum::<usize>(),
            8
        );
        assert!(families(&store, "h{of=\"c\"}").is_empty());
        let times = families(&store, "push_time_seconds{job=\"k\"}");
        assert_eq!((times.len(), times[0].metrics.len()), (1, 1));
    }

    #[test]
    fn a_group_of_which_all_is_selected_is_not_copied() {
        let store = store();
        let all = store.snapshot();
        for (selector, is_copied) in [("{job=~\"j|k\"}", false), ("{of=\"a\"}", true)] {
            let part = selected(&store, selector);
            assert_eq!(part.groups().len(), 2);
            let mut pairs = part.groups().iter().zip(all.groups());
            assert!(
                pairs.all(|(part, all)| Arc::ptr_eq(part, all) != is_copied),
                "{selector}"
            );
        }
        assert_eq!(selected(&store, "{job=\"j\"}").groups().len(), 1);
        assert!(selected(&store, "{job=\"x\"}").groups().is_empty());
    }
}
