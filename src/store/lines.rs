//! The lines of a family, as a group holds them.

use std::fmt::Write;

use crate::metrics::text::encode::{self, Opening, escape, number};
use crate::metrics::{Kind, Value};

/// Appends HELP, unless it is empty, and TYPE.
pub fn header(out: &mut String, name: &str, kind: Kind, help: &str) {
    let name = encode::name(name);
    if !help.is_empty() {
        let _ = write!(out, "# HELP {name} ");
        escape(out, help, false);
        out.push('\n');
    }
    let _ = writeln!(out, "# TYPE {name} {kind}");
}

/// How many lines a series has, at most.
pub fn count(value: &Value) -> usize {
    match value {
        Value::Number(_) => 1,
        Value::Summary { quantiles, .. } => quantiles.len() + 2,
        Value::Histogram { buckets, .. } => buckets.len() + 3,
    }
}

/// Appends the sample lines of one series, whose labels are written already. Quantiles and buckets that are
/// not a number are left out, as no text can be read with them.
pub fn samples(out: &mut String, opening: &Opening, labels: &str, value: &Value) {
    let mut sample = |suffix: &str, extra: Option<(&str, f64)>, value: f64| {
        opening.write(out, suffix);
        out.push_str(labels);
        if let Some((name, value)) = extra {
            let _ = write!(out, ",{name}=\"");
            number(out, value);
            out.push('"');
        }
        out.push_str("} ");
        number(out, value);
        out.push('\n');
    };
    match value {
        Value::Number(value) => sample("", None, *value),
        Value::Summary {
            count,
            sum,
            quantiles,
        } => {
            for q in quantiles.iter().filter(|q| !q.quantile.is_nan()) {
                sample("", Some(("quantile", q.quantile)), q.value);
            }
            sample("_sum", None, *sum);
            sample("_count", None, *count as f64);
        }
        Value::Histogram {
            count,
            sum,
            buckets,
            ..
        } => {
            for bucket in buckets.iter().filter(|b| !b.upper_bound.is_nan()) {
                let count = bucket.count as f64;
                sample("_bucket", Some(("le", bucket.upper_bound)), count);
            }
            if !buckets.iter().any(|b| b.upper_bound == f64::INFINITY) {
                sample("_bucket", Some(("le", f64::INFINITY)), *count as f64);
            }
            sample("_sum", None, *sum);
            sample("_count", None, *count as f64);
        }
    }
}

/// The series of this name with these labels, which are written already.
pub fn series(name: &str, labels: &str) -> String {
    let mut out = String::new();
    Opening::of(name).write(&mut out, "");
    out + labels + "}"
}

/// The labels of each series in these lines, which are of one family.
pub fn labels<'a>(
    lines: &'a str,
    name: &str,
    kind: Kind,
) -> impl Iterator<Item = &'a str> + use<'a> {
    // Of a summary or histogram each series has one line of this kind.
    let suffix = match kind {
        Kind::Summary | Kind::Histogram => "_count",
        Kind::Counter | Kind::Gauge | Kind::Untyped => "",
    };
    let mut start = String::new();
    Opening::of(name).write(&mut start, suffix);
    lines.lines().filter_map(move |line| {
        let (labels, _value) = line.strip_prefix(&start)?.rsplit_once("} ")?;
        Some(labels)
    })
}
