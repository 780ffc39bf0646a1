//! Consistency checks of a push by itself.
//!
//! These are the Pushgateway's rules as far as one push can break them; the gateway checks those that involve other
//! groups. A client checks before it sends, because a gateway that refuses a push has by then marked the group as
//! failed (`push_failure_time_seconds`).

use std::collections::HashMap;

use super::excerpt;
use super::family::{Family, Kind, Metric, Value};
use super::group::gateways_own;
use super::grouping_key::GroupingKey;
use super::index::PairIndex;
use super::labels::Labels;
use super::name::{Names, is_label_name};
use super::native_check::NativeError;
use super::text::encode::number;

/// Reason why a gateway would refuse a push, or accept it and store something else than was meant. Messages quote the
/// push in excerpts only.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// A name that is not `[a-zA-Z_:][a-zA-Z0-9_:]*`.
    #[error("{0:?} is not a metric name ([a-zA-Z_:][a-zA-Z0-9_:]*)")]
    MetricName(String),
    /// An empty name, where names may be any other UTF-8.
    #[error("a metric has no name")]
    NoMetricName,
    /// Two families with the same name.
    #[error("the metric {0} appears twice: a push has one family of each name")]
    DuplicateFamily(String),
    /// A label name that is malformed, starts with `__`, or is the kind's own (`quantile`, `le`).
    #[error("{series} has the label {label}, which {reason}")]
    LabelName {
        /// The series, as an excerpt.
        series: String,
        /// The label's name.
        label: String,
        /// The violated rule, as the end of a sentence.
        reason: &'static str,
    },
    /// A label of a series that the grouping key sets too.
    #[error(
        "{series} carries the label {label}, which the grouping key sets: \
         remove it from the metric, or from the grouping key"
    )]
    GroupingLabel {
        /// The series, as an excerpt.
        series: String,
        /// The label's name.
        label: String,
    },
    /// A series with a timestamp.
    #[error(
        "{series} has a timestamp: pushed metrics must not have any, because a gateway keeps showing the value"
    )]
    Timestamp {
        /// The series, as an excerpt.
        series: String,
    },
    /// Two series of a family with equal labels.
    #[error("{series} appears twice")]
    DuplicateSeries {
        /// The series, as an excerpt.
        series: String,
    },
    /// A family named like the series of a summary or histogram (`_count`, `_sum`, `_bucket`).
    #[error("the metric {name} collides with the {kind} {base}, whose series have this name too")]
    Suffix {
        /// The metric's name.
        name: String,
        /// The kind of the other family.
        kind: Kind,
        /// The other family's name.
        base: String,
    },
    /// A family that a gateway produces itself, see [`gateways_own`].
    #[error(
        "the metric {0} is a gateway's own, which overwrites what is pushed by this name: \
         rename it"
    )]
    GatewaysOwn(&'static str),
    /// Two series that differ only in empty labels.
    #[error(
        "{series} and {other} are one series, because an empty label is the same as none: \
         remove one of them"
    )]
    EmptyLabel {
        /// One series, as an excerpt.
        series: String,
        /// The other series, as an excerpt.
        other: String,
    },
    /// A count that a gateway would store as another number.
    #[error("{series} {problem}")]
    Count {
        /// The series, as an excerpt.
        series: String,
        /// The problem, as the end of a sentence.
        problem: String,
    },
    /// Two quantiles or buckets with the same bound.
    #[error(
        "{series} has {label}=\"{value}\" twice, which is compared as a number: remove one of them"
    )]
    DuplicateBound {
        /// The series, as an excerpt.
        series: String,
        /// The name of the label, `quantile` or `le`.
        label: &'static str,
        /// The label's value.
        value: String,
    },
    /// A native histogram that makes Prometheus refuse the scrape.
    #[error("{series} is no native histogram that Prometheus takes: {problem}")]
    Native {
        /// The series, as an excerpt.
        series: String,
        /// The violated rule.
        problem: NativeError,
    },
}

/// Checks `families` as one push to the group of `key`, as a client does before it sends.
///
/// # Errors
///
/// Returns the first violated rule of the Pushgateway, see [`check_families`], or the first case in which the gateway
/// would silently store something else: a series with the label `job` or a grouping label, or one that differs from
/// another in empty labels only; a family that the gateway produces itself; a count that is not a whole number below
/// 2^63, or smaller than that of one of its buckets.
pub fn check_push(key: &GroupingKey, families: &[Family]) -> Result<(), CheckError> {
    for family in families {
        for label in key.labels().keys() {
            check_key_label(family, label)?;
        }
        for metric in &family.metrics {
            if let Some(label) = metric.labels.keys().find(|label| key.has_label(label)) {
                return Err(CheckError::GroupingLabel {
                    series: excerpt::series(&family.name, &metric.labels),
                    label: shown(label),
                });
            }
        }
    }
    check_families(families)?;
    families.iter().try_for_each(check_meaning)
}

/// Refuses what a gateway would accept and store differently. A gateway must not call this, because the Pushgateway
/// accepts it.
fn check_meaning(family: &Family) -> Result<(), CheckError> {
    if let Some(own) = gateways_own(&family.name) {
        return Err(CheckError::GatewaysOwn(own));
    }
    for metric in &family.metrics {
        check_counts(&metric.value).map_err(|problem| CheckError::Count {
            series: excerpt::series(&family.name, &metric.labels),
            problem,
        })?;
    }
    check_empty_labels(family)
}

/// Refuses two series that differ only in empty labels. A Pushgateway keeps and shows both, while for Prometheus,
/// which drops empty labels, they are one series with two values.
fn check_empty_labels(family: &Family) -> Result<(), CheckError> {
    let has_empty = |metric: &Metric| metric.labels.values().any(str::is_empty);
    if !family.metrics.iter().any(has_empty) {
        return Ok(());
    }
    let mut seen: HashMap<Labels, &Metric> = HashMap::new();
    for metric in &family.metrics {
        let labels = metric.labels.iter();
        let labels: Labels = labels.filter(|(_, value)| !value.is_empty()).collect();
        if let Some(other) = seen.insert(labels, metric)
            && other.labels != metric.labels
        {
            return Err(CheckError::EmptyLabel {
                series: excerpt::series(&family.name, &metric.labels),
                other: excerpt::series(&family.name, &other.labels),
            });
        }
    }
    Ok(())
}

/// Refuses counts that a gateway stores differently. A `_count` missing in the text is 0 here; the buckets reveal it.
fn check_counts(value: &Value) -> Result<(), String> {
    match value {
        Value::Number(_) => Ok(()),
        Value::Summary { count, .. } => check_count(*count as f64),
        Value::Histogram { count, buckets, .. } => {
            let count = count.to_f64();
            let of_buckets = buckets.iter().map(|bucket| bucket.count.to_f64());
            let largest = of_buckets.fold(0.0, f64::max);
            check_count(count.max(largest))?;
            if largest > count {
                Err(format!(
                    "counts {largest} in one of its buckets, and {count} in all: \
                 its _count is missing or too small"
                ))
            } else {
                Ok(())
            }
        }
    }
}

/// Lowest count that a Pushgateway does not store as written: it turns all above its 64 bits, and NaN, into 2^63 (as
/// Go on amd64 converts them).
const COUNT_LIMIT: f64 = 9_223_372_036_854_775_808.0;

/// Refuses a count that is not a whole number from 0 to 2^63, exclusive. The error is the end of a sentence.
pub fn check_count(count: f64) -> Result<(), String> {
    let is_whole = count >= 0.0 && (count.fract() == 0.0 || count.is_infinite());
    if is_whole && count < COUNT_LIMIT {
        return Ok(());
    }
    let mut shown = String::new();
    number(&mut shown, count);
    Err(if is_whole {
        format!("counts {shown}, and a gateway does not keep counts of 2^63 and more")
    } else {
        format!("counts in whole numbers, not {shown}")
    })
}

/// Moves from `more` to `families`, in order, what can be pushed to the group of `key` together with them. Returns
/// the reason for each family left out.
pub fn add_pushable(
    key: &GroupingKey,
    families: &mut Vec<Family>,
    more: Vec<Family>,
) -> Vec<CheckError> {
    let mut kinds: HashMap<String, Kind> = families
        .iter()
        .map(|family| (family.name.clone(), family.kind))
        .collect();
    let mut left_out = Vec::new();
    for family in more {
        match check_push(key, std::slice::from_ref(&family)).and(check_beside(&kinds, &family)) {
            Ok(()) => {
                kinds.insert(family.name.clone(), family.kind);
                families.push(family);
            }
            Err(error) => left_out.push(error),
        }
    }
    left_out
}

/// Refuses `family` if its name, or a series name derived from it, collides with a family in `kinds`.
pub fn check_beside(kinds: &HashMap<String, Kind>, family: &Family) -> Result<(), CheckError> {
    let Family { name, kind, .. } = family;
    if kinds.contains_key(name) {
        return Err(CheckError::DuplicateFamily(shown(name)));
    }
    for suffix in kind.suffixes() {
        let collides = format!("{name}{suffix}");
        if kinds.contains_key(&collides) {
            return Err(CheckError::Suffix {
                name: shown(&collides),
                kind: *kind,
                base: shown(name),
            });
        }
    }
    for suffix in ["_count", "_sum", "_bucket"] {
        let base = name.strip_suffix(suffix).unwrap_or_default();
        if let Some(kind) = kinds.get(base)
            && kind.suffixes().contains(&suffix)
        {
            return Err(CheckError::Suffix {
                name: shown(name),
                kind: *kind,
                base: shown(base),
            });
        }
    }
    Ok(())
}

/// Checks `families` as a gateway does when they are pushed, except against its other groups.
///
/// # Errors
///
/// Returns the first violated rule: a malformed or duplicate name, a family named like the series of a summary or
/// histogram, a malformed or reserved label name, a timestamp, a duplicate series, quantile or bucket, an invalid
/// native histogram.
pub fn check_families(families: &[Family]) -> Result<(), CheckError> {
    let mut names = PairIndex::default();
    for (place, family) in families.iter().enumerate() {
        check_name(&family.name, Names::Legacy)?;
        let before = &families[..place];
        if names.find(before, name_of, &family.name).is_some() {
            return Err(CheckError::DuplicateFamily(shown(&family.name)));
        }
        names.grew(&families[..=place], name_of);
        let mut series = PairIndex::default();
        for (place, metric) in family.metrics.iter().enumerate() {
            check_metric(family, metric, Names::Legacy)?;
            check_value(family, metric)?;
            let before = &family.metrics[..place];
            let is_twice = series.find(before, labels_of, &metric.labels).is_some();
            series.grew(&family.metrics[..=place], labels_of);
            if is_twice {
                return Err(CheckError::DuplicateSeries {
                    series: excerpt::series(&family.name, &metric.labels),
                });
            }
        }
    }
    check_suffixes(families, |name| {
        names.find(families, name_of, name).is_some()
    })
}

/// Refuses a metric name that `names` does not allow.
pub fn check_name(name: &str, names: Names) -> Result<(), CheckError> {
    match names.allow_metric(name) {
        true => Ok(()),
        false if names == Names::Utf8 => Err(CheckError::NoMetricName),
        false => Err(CheckError::MetricName(shown(name))),
    }
}

/// Refuses a family whose derived series names (`_count`, `_sum`, `_bucket`) `is_there` reports as a family's.
pub fn check_suffixes(
    families: &[Family],
    is_there: impl Fn(&str) -> bool,
) -> Result<(), CheckError> {
    for family in families {
        for suffix in family.kind.suffixes() {
            let name = format!("{}{suffix}", family.name);
            if is_there(&name) {
                return Err(CheckError::Suffix {
                    name: shown(&name),
                    kind: family.kind,
                    base: shown(&family.name),
                });
            }
        }
    }
    Ok(())
}

/// Refuses a label of a grouping key that is reserved in a family of this kind.
pub fn check_key_label(family: &Family, label: &str) -> Result<(), CheckError> {
    match reserved_by(family.kind, label) {
        Some(reason) => Err(CheckError::LabelName {
            series: format!("{}, under this grouping key,", excerpt::word(&family.name)),
            label: shown(label),
            reason,
        }),
        None => Ok(()),
    }
}

/// Returns why a family of this kind cannot have the label. The Pushgateway accepts `le` in a grouping key, and from
/// then on exposes buckets with two of them.
fn reserved_by(kind: Kind, label: &str) -> Option<&'static str> {
    match (kind, label) {
        (Kind::Summary, "quantile") => Some("a summary uses for its quantiles"),
        (Kind::Histogram, "le") => Some("a histogram uses for its buckets"),
        _ => None,
    }
}

fn name_of(family: &Family) -> &str {
    &family.name
}

fn labels_of(metric: &Metric) -> &Labels {
    &metric.labels
}

fn shown(name: &str) -> String {
    excerpt::word(name).into_owned()
}

/// Checks labels and timestamp of a series. Returns true if all its label names are valid in the text format 0.0.4.
pub fn check_metric(family: &Family, metric: &Metric, names: Names) -> Result<bool, CheckError> {
    let mut is_legacy = true;
    let series = || excerpt::series(&family.name, &metric.labels);
    if metric.timestamp_ms.is_some() {
        return Err(CheckError::Timestamp { series: series() });
    }
    for label in metric.labels.keys() {
        let reason = if let Some(reason) = reserved_by(family.kind, label) {
            reason
        } else if !names.allow_label(label) {
            match names {
                Names::Legacy => "is not a label name ([a-zA-Z_][a-zA-Z0-9_]*)",
                Names::Utf8 => "is empty",
            }
        } else if label.starts_with("__") {
            "starts with __ and is reserved"
        } else {
            is_legacy &= names == Names::Legacy || is_label_name(label);
            continue;
        };
        return Err(CheckError::LabelName {
            series: series(),
            label: shown(label),
            reason,
        });
    }
    Ok(is_legacy)
}

/// Refuses a bucket or quantile that is there twice, and a native histogram that breaks the rules of Prometheus.
pub fn check_value(family: &Family, metric: &Metric) -> Result<(), CheckError> {
    let series = || excerpt::series(&family.name, &metric.labels);
    let (label, repeated) = match &metric.value {
        Value::Number(_) => return Ok(()),
        Value::Summary { quantiles, .. } => {
            let quantiles = quantiles.iter().map(|quantile| quantile.quantile);
            ("quantile", repeated(quantiles))
        }
        Value::Histogram {
            count,
            sum,
            buckets,
            native,
        } => {
            if let Some(native) = native {
                let checked = native.check(*count, *sum);
                checked.map_err(|problem| CheckError::Native {
                    series: series(),
                    problem,
                })?;
            }
            let bounds = buckets.iter().map(|bucket| bucket.upper_bound);
            ("le", repeated(bounds))
        }
    };
    let Some(repeated) = repeated else {
        return Ok(());
    };
    let mut value = String::new();
    number(&mut value, repeated);
    Err(CheckError::DuplicateBound {
        series: series(),
        label,
        value,
    })
}

/// Returns a number that occurs twice. In most cases the numbers ascend, and need no sorting.
fn repeated(numbers: impl Iterator<Item = f64> + Clone) -> Option<f64> {
    if numbers.clone().is_sorted_by(|a, b| a < b) {
        return None;
    }
    // Zero of either sign is one number, and so are all NaNs.
    let mut sorted: Vec<f64> = numbers
        .map(|it| if it.is_nan() { f64::NAN } else { it + 0.0 })
        .collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let mut pairs = sorted.windows(2);
    let pair = pairs.find(|pair| pair[0].total_cmp(&pair[1]).is_eq())?;
    Some(pair[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_repeated() {
        for numbers in [
            &[][..],
            &[f64::NAN],
            &[1.0, 2.0, f64::INFINITY],
            &[2.0, 1.0, -1.0],
            &[0.5, f64::NAN, 0.25],
        ] {
            assert_eq!(repeated(numbers.iter().copied()), None, "{numbers:?}");
        }
        for (numbers, twice) in [
            (&[1.0, 1.0][..], "1.0"),
            (&[0.0, -0.0], "0.0"),
            (&[2.0, 1.0, f64::INFINITY, 3.0, 2.0], "2.0"),
            (&[f64::NAN, 1.0, -f64::NAN], "NaN"),
            (&[1.0, f64::INFINITY, f64::INFINITY], "inf"),
        ] {
            let found = repeated(numbers.iter().copied()).unwrap();
            assert_eq!(format!("{found:?}"), twice, "{numbers:?}");
        }
    }

    #[test]
    fn counts() {
        for count in [
            0.0,
            -0.0,
            1.0,
            9_007_199_254_740_993.0,
            COUNT_LIMIT.next_down(),
        ] {
            assert_eq!(check_count(count), Ok(()), "{count}");
        }
        for (count, problem) in [
            (-1.0, "counts in whole numbers, not -1"),
            (0.5, "counts in whole numbers, not 0.5"),
            (f64::NAN, "counts in whole numbers, not NaN"),
            (f64::NEG_INFINITY, "counts in whole numbers, not -Inf"),
            (COUNT_LIMIT, "counts 9223372036854776000, and a gateway"),
            (1e300, "counts 1e300, and a gateway"),
            (f64::INFINITY, "counts +Inf, and a gateway"),
        ] {
            let error = check_count(count).expect_err("no count");
            assert!(error.starts_with(problem), "{error}");
        }
    }
}
