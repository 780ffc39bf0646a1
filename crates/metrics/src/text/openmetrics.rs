//! Writer of OpenMetrics, version 1.0.
//!
//! See <https://prometheus.io/docs/specs/om/open_metrics_spec/>. Only metadata lines differ from text 0.0.4; sample
//! lines are the same. In particular `le="1"` does not become `le="1.0"`, which OpenMetrics recommends: a label is
//! part of a series' identity, which must not depend on the format that a scrape asks for.
//!
//! A family `x_created`, which some clients push beside a counter or histogram `x`, is written as the gauge that was
//! pushed. Prometheus accepts it; strict readers may not, because OpenMetrics reserves the name for `x`.

use std::borrow::Cow;
use std::collections::HashSet;

use super::encode::{self, append, encode_samples, escape, number};
use crate::family::{Family, Kind};

/// Media type of the format.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Last line, without which a reader takes the text for truncated.
pub const END: &str = "# EOF\n";

/// Encodes families, and [`END`].
pub fn encode(families: &[Family]) -> String {
    let names = sample_names(families.iter().map(|f| (f.name.as_str(), f.kind)));
    let mut out = String::new();
    for family in families.iter().filter(|family| !family.metrics.is_empty()) {
        header(&mut out, &family.name, family.kind, &family.help, &names);
        encode_samples(&mut out, family, |out, milliseconds| {
            number(out, milliseconds as f64 / 1000.0);
        });
    }
    out.push_str(END);
    out
}

/// Returns the names of families and of all their samples.
pub fn sample_names<'a>(families: impl Iterator<Item = (&'a str, Kind)>) -> HashSet<Cow<'a, str>> {
    let mut names = HashSet::new();
    for (name, kind) in families {
        names.insert(Cow::Borrowed(name));
        let suffixes = kind.suffixes().iter();
        names.extend(suffixes.map(|suffix| Cow::Owned(format!("{name}{suffix}"))));
    }
    names
}

/// Appends the lines HELP, unless `help` is empty, and TYPE.
///
/// A counter is declared without the suffix `_total` of its samples. Without that suffix, or if the shorter name is
/// in `names`, which hold all families and samples, it is declared as `unknown`.
pub fn header(out: &mut String, name: &str, kind: Kind, help: &str, names: &HashSet<Cow<'_, str>>) {
    let (name, kind) = match kind {
        Kind::Counter => match name.strip_suffix("_total") {
            Some(base) if !base.is_empty() && !names.contains(base) => (base, "counter"),
            _ => (name, "unknown"),
        },
        Kind::Untyped => (name, "unknown"),
        Kind::Gauge | Kind::Summary | Kind::Histogram => (name, kind.name()),
    };
    let name = encode::name(name);
    if !help.is_empty() {
        append(out, &["# HELP ", &name, " "]);
        escape(out, help, true);
        out.push('\n');
    }
    append(out, &["# TYPE ", &name, " ", kind, "\n"]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::parse;

    /// The expected text was checked with the Python client's parser.
    #[test]
    fn families() {
        let text = "\
            # HELP a_total Say \"a\\\\b\"\\nand more.\n# TYPE a_total counter\na_total{b=\"\\\"\\n\"} 1\na_total 2.5\n\
            # TYPE b counter\nb 1\n\
            # TYPE c_total counter\nc_total 1\n\
            # TYPE c gauge\nc 1\n\
            d 1\n\
            # TYPE e histogram\ne_bucket{le=\"1\"} 1\ne_bucket{le=\"+Inf\"} 2\ne_sum 3\ne_count 2\n\
            # TYPE f summary\nf{quantile=\"0.5\"} 1\nf_sum 3\nf_count 2\n\
            # TYPE _total counter\n_total 1\n\
            # TYPE e_count_total counter\ne_count_total 1\n\
            g 1 1500\n";
        let expected = "\
            # HELP a Say \\\"a\\\\b\\\"\\nand more.\n# TYPE a counter\na_total{b=\"\\\"\\n\"} 1\na_total 2.5\n\
            # TYPE b unknown\nb 1\n\
            # TYPE c_total unknown\nc_total 1\n\
            # TYPE c gauge\nc 1\n\
            # TYPE d unknown\nd 1\n\
            # TYPE e histogram\ne_bucket{le=\"1\"} 1\ne_bucket{le=\"+Inf\"} 2\ne_sum 3\ne_count 2\n\
            # TYPE f summary\nf{quantile=\"0.5\"} 1\nf_sum 3\nf_count 2\n\
            # TYPE _total unknown\n_total 1\n\
            # TYPE e_count_total unknown\ne_count_total 1\n\
            # TYPE g unknown\ng 1 1.5\n\
            # EOF\n";
        assert_eq!(encode(&parse(text.as_bytes()).unwrap()), expected);
        assert_eq!(encode(&[]), "# EOF\n");
    }
}
