//! Families to text.

use std::fmt::Write;

use crate::metrics::{Family, Labels, Value};

/// The families as text format 0.0.4: HELP (unless empty) and TYPE, then a line per sample.
pub fn encode(families: &[Family]) -> String {
    let mut out = String::new();
    for family in families {
        encode_family(&mut out, family);
    }
    out
}

/// Appends one family. A family without series is left out, because a parser would drop it.
pub fn encode_family(out: &mut String, family: &Family) {
    if family.metrics.is_empty() {
        return;
    }
    let name = family.name.as_str();
    if !family.help.is_empty() {
        let _ = write!(out, "# HELP {name} ");
        escape(out, &family.help, false);
        out.push('\n');
    }
    let _ = writeln!(out, "# TYPE {name} {}", family.kind);
    for metric in &family.metrics {
        let mut sample = |suffix: &str, extra: Option<(&str, f64)>, value: f64| {
            out.push_str(name);
            out.push_str(suffix);
            labels(out, &metric.labels, extra);
            out.push(' ');
            number(out, value);
            if let Some(timestamp) = metric.timestamp_ms {
                let _ = write!(out, " {timestamp}");
            }
            out.push('\n');
        };
        match &metric.value {
            Value::Number(value) => sample("", None, *value),
            Value::Summary {
                count,
                sum,
                quantiles,
            } => {
                for q in quantiles {
                    sample("", Some(("quantile", q.quantile)), q.value);
                }
                sample("_sum", None, *sum);
                sample("_count", None, *count as f64);
            }
            Value::Histogram {
                count,
                sum,
                buckets,
            } => {
                for bucket in buckets {
                    sample(
                        "_bucket",
                        Some(("le", bucket.upper_bound)),
                        bucket.count as f64,
                    );
                }
                if !buckets.iter().any(|b| b.upper_bound == f64::INFINITY) {
                    sample("_bucket", Some(("le", f64::INFINITY)), *count as f64);
                }
                sample("_sum", None, *sum);
                sample("_count", None, *count as f64);
            }
        }
    }
}

/// Appends `{a="b",c="d"}`, with `extra` last; nothing when there are no labels.
pub(crate) fn labels(out: &mut String, labels: &Labels, extra: Option<(&str, f64)>) {
    let mut separator = '{';
    for (name, value) in labels {
        out.push(separator);
        label(out, name, value);
        separator = ',';
    }
    if let Some((name, value)) = extra {
        out.push(separator);
        let _ = write!(out, "{name}=\"");
        number(out, value);
        out.push('"');
        separator = ',';
    }
    if separator == ',' {
        out.push('}');
    }
}

/// Appends `name="value"`, escaped.
pub(crate) fn label(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push_str("=\"");
    escape(out, value, true);
    out.push('"');
}

/// Appends a value. Digits as Go's `strconv` prints them: plain in the usual range, with an
/// exponent outside of it.
pub(crate) fn number(out: &mut String, value: f64) {
    let magnitude = value.abs();
    let _ = if value.is_nan() {
        out.write_str("NaN")
    } else if value.is_infinite() {
        out.write_str(if value > 0.0 { "+Inf" } else { "-Inf" })
    } else if magnitude == 0.0 || (1e-5..1e21).contains(&magnitude) {
        write!(out, "{value}")
    } else {
        write!(out, "{value:e}")
    };
}

/// Escapes `\` and line feed, and `"` inside a label value.
fn escape(out: &mut String, text: &str, quoted: bool) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quoted => out.push_str("\\\""),
            _ => out.push(c),
        }
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
        assert_eq!(text(-0.0), "-0");
        assert_eq!(text(1e300), "1e300");
        assert_eq!(text(5e-324), "5e-324");
        assert_eq!(text(f64::NAN), "NaN");
        assert_eq!(text(f64::NEG_INFINITY), "-Inf");
    }
}
