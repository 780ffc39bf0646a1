//! Writer of the text format 0.0.4.

use std::borrow::Cow;
use std::fmt::Write;

use memchr::{memchr2, memchr3};

use crate::name::{is_label_name, is_metric_name};
use crate::{Family, Kind, Labels, Value};

/// Encodes families: HELP, unless it is empty, and TYPE, then a line for each sample.
pub fn encode(families: &[Family]) -> String {
    let mut out = String::new();
    for family in families {
        encode_family(&mut out, family);
    }
    out
}

/// Appends one family, unless it has no series: a parser would drop it.
pub fn encode_family(out: &mut String, family: &Family) {
    if family.metrics.is_empty() {
        return;
    }
    let opening = Opening::of(&family.name);
    header(out, &opening.name(), family.kind, &family.help);
    samples(out, &opening, family, |out, milliseconds| {
        let _ = write!(out, "{milliseconds}");
    });
}

/// Appends the lines HELP, unless it is empty, and TYPE. `name` must come from [`name()`].
pub fn header(out: &mut String, name: &str, kind: Kind, help: &str) {
    if !help.is_empty() {
        append(out, &["# HELP ", name, " "]);
        escape(out, help, false);
        out.push('\n');
    }
    append(out, &["# TYPE ", name, " ", kind.name(), "\n"]);
}

/// Appends the sample lines of a family; `timestamp` writes a series' milliseconds.
pub fn encode_samples(out: &mut String, family: &Family, timestamp: impl Fn(&mut String, i64)) {
    samples(out, &Opening::of(&family.name), family, timestamp);
}

fn samples(
    out: &mut String,
    opening: &Opening,
    family: &Family,
    timestamp: impl Fn(&mut String, i64),
) {
    for metric in &family.metrics {
        each_sample(&metric.value, |suffix, extra, value| {
            series(out, opening, suffix, &metric.labels, extra);
            out.push(' ');
            number(out, value);
            if let Some(milliseconds) = metric.timestamp_ms {
                out.push(' ');
                timestamp(out, milliseconds);
            }
            out.push('\n');
        });
    }
}

/// Calls `sample` for each line of a series, with the suffix of the name, a label besides the series' own, and the
/// number. Skips quantiles and bounds that are NaN, which no parser accepts; adds a missing infinite bucket.
pub fn each_sample(
    value: &Value,
    mut sample: impl FnMut(&'static str, Option<(&'static str, f64)>, f64),
) {
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
                let count = bucket.count.to_f64();
                sample("_bucket", Some(("le", bucket.upper_bound)), count);
            }
            if !buckets.iter().any(|b| b.upper_bound == f64::INFINITY) {
                sample("_bucket", Some(("le", f64::INFINITY)), count.to_f64());
            }
            sample("_sum", None, *sum);
            sample("_count", None, count.to_f64());
        }
    }
}

/// Returns a metric's name for HELP and TYPE lines: in quotes, unless the text format 0.0.4 allows it.
pub fn name(name: &str) -> Cow<'_, str> {
    Opening::of(name).name()
}

/// Beginning of a metric's sample lines: `name{`, or `{"name",` for a name that the text format 0.0.4 does not allow.
pub enum Opening<'a> {
    /// A name of the text format 0.0.4.
    Plain(&'a str),
    /// `{"name`, without the closing quote, so that a suffix can follow.
    Quoted(String),
}

impl<'a> Opening<'a> {
    /// Returns the opening of the metric `name`.
    pub fn of(name: &'a str) -> Self {
        if is_metric_name(name) {
            Opening::Plain(name)
        } else {
            let mut opening = String::with_capacity(name.len() + 4);
            opening.push_str("{\"");
            escape(&mut opening, name, true);
            Opening::Quoted(opening)
        }
    }

    /// Returns the name for HELP and TYPE lines.
    fn name(&self) -> Cow<'a, str> {
        match self {
            Opening::Plain(name) => Cow::Borrowed(name),
            Opening::Quoted(opening) => Cow::Owned(format!("{}\"", &opening[1..])),
        }
    }

    /// Returns true if the text format 0.0.4 allows the name.
    pub fn is_plain(&self) -> bool {
        matches!(self, Opening::Plain(_))
    }

    /// Appends everything before the labels, of which there must be at least one.
    pub fn write(&self, out: &mut String, suffix: &str) {
        match self {
            Opening::Plain(name) => append(out, &[name, suffix, "{"]),
            Opening::Quoted(opening) => append(out, &[opening, suffix, "\","]),
        }
    }
}

/// Appends `name{a="b",c="d"}`, with `extra` as the last label.
pub fn series(
    out: &mut String,
    opening: &Opening,
    suffix: &str,
    labels: &Labels,
    extra: Option<(&str, f64)>,
) {
    let mut separator = match opening {
        Opening::Plain(name) => {
            append(out, &[name, suffix]);
            '{'
        }
        Opening::Quoted(opening) => {
            append(out, &[opening, suffix, "\""]);
            ','
        }
    };
    for (name, value) in labels {
        out.push(separator);
        label(out, name, value);
        separator = ',';
    }
    if let Some((name, value)) = extra {
        out.push(separator);
        append(out, &[name, "=\""]);
        number(out, value);
        out.push('"');
        separator = ',';
    }
    if separator == ',' {
        out.push('}');
    }
}

/// Appends `name="value"`, escaped; the name in quotes, unless the text format 0.0.4 allows it.
pub fn label(out: &mut String, name: &str, value: &str) {
    if is_label_name(name) {
        legacy_label(out, name, value)
    } else {
        quoted_label(out, name, value)
    }
}

#[cold]
fn quoted_label(out: &mut String, name: &str, value: &str) {
    legacy_label(out, &quoted(name), value);
}

/// Appends a label whose name needs no quotes, or has them already.
pub fn legacy_label(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push_str("=\"");
    escape(out, value, true);
    out.push('"');
}

fn quoted(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 2);
    out.push('"');
    escape(&mut out, name, true);
    out.push('"');
    out
}

/// Appends a number with the fewest digits that read back as the same: plain from 1e-5 up to 1e21, and with an
/// exponent otherwise.
pub fn number(out: &mut String, value: f64) {
    /// Integers below are exact, and much faster to write as such.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let magnitude = value.abs();
    let is_negative_zero = magnitude == 0.0 && value.is_sign_negative();
    let _ = if magnitude < EXACT && value.fract() == 0.0 && !is_negative_zero {
        write!(out, "{}", value as i64)
    } else if value.is_nan() {
        out.write_str("NaN")
    } else if value.is_infinite() {
        out.write_str(if value > 0.0 { "+Inf" } else { "-Inf" })
    } else if magnitude == 0.0 || (1e-5..1e21).contains(&magnitude) {
        write!(out, "{value}")
    } else {
        write!(out, "{value:e}")
    };
}

/// Appends `text` with `\` and line feeds escaped, and `"` too if `quoted`, as in label values.
pub fn escape(out: &mut String, text: &str, quoted: bool) {
    let mut rest = text;
    loop {
        let special = if quoted {
            memchr3(b'\\', b'\n', b'"', rest.as_bytes())
        } else {
            memchr2(b'\\', b'\n', rest.as_bytes())
        };
        let Some(special) = special else {
            return out.push_str(rest);
        };
        out.push_str(&rest[..special]);
        out.push_str(match rest.as_bytes()[special] {
            b'\n' => "\\n",
            b'"' => "\\\"",
            _ => "\\\\",
        });
        rest = &rest[special + 1..];
    }
}

pub(super) fn append(out: &mut String, parts: &[&str]) {
    for part in parts {
        out.push_str(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let text = |value| {
            let mut out = String::new();
            number(&mut out, value);
            out
        };
        assert_eq!(text(42.0), "42");
        assert_eq!(text(1_790_000_000.125), "1790000000.125");
        assert_eq!(text(0.0), "0");
        assert_eq!(text(-0.0), "-0");
        assert_eq!(text(-7.0), "-7");
        assert_eq!(text(9_007_199_254_740_991.0), "9007199254740991");
        assert_eq!(text(-9_007_199_254_740_992.0), "-9007199254740992");
        assert_eq!(text(1e20), "100000000000000000000");
        assert_eq!(text(1e21), "1e21");
        assert_eq!(text(1e300), "1e300");
        assert_eq!(text(5e-324), "5e-324");
        assert_eq!(text(f64::NAN), "NaN");
        assert_eq!(text(f64::NEG_INFINITY), "-Inf");
    }

    #[test]
    fn escapes() {
        let escaped = |quoted| {
            let mut out = String::new();
            escape(&mut out, "\"é\\\n\n\"x", quoted);
            out
        };
        assert_eq!(escaped(true), r#"\"é\\\n\n\"x"#);
        assert_eq!(escaped(false), r#""é\\\n\n"x"#);
    }
}
