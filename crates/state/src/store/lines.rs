//! Sample lines of a family.

use std::borrow::Cow;

use metricsjob_metrics::text::encode::{self, Opening, each_sample, number};
use metricsjob_metrics::{Kind, Value};

/// Appends the lines HELP, unless it is empty, and TYPE.
pub fn header(out: &mut String, name: &str, kind: Kind, help: &str) {
    encode::header(out, &encode::name(name), kind, help);
}

/// Returns the most lines of a series.
pub fn count(value: &Value) -> usize {
    match value {
        Value::Number(_) => 1,
        Value::Summary { quantiles, .. } => quantiles.len() + 2,
        Value::Histogram { buckets, .. } => buckets.len() + 3,
    }
}

/// Appends the sample lines of a series with rendered labels.
pub fn samples(out: &mut String, opening: &Opening, labels: &str, value: &Value) {
    each_sample(value, |suffix, extra, value| {
        opening.write(out, suffix);
        out.push_str(labels);
        if let Some((name, value)) = extra {
            out.push(',');
            out.push_str(name);
            out.push_str("=\"");
            number(out, value);
            out.push('"');
        }
        out.push_str("} ");
        number(out, value);
        out.push('\n');
    });
}

/// Returns the name of a series with rendered labels.
pub fn series(name: &str, labels: &str) -> String {
    let mut out = String::new();
    Opening::of(name).write(&mut out, "");
    out + labels + "}"
}

/// Returns rendered labels in the form in which series are compared: without empty ones, which are equivalent to
/// none. `instance` stays, since each series has it.
pub fn compared(labels: &str) -> Cow<'_, str> {
    let is_compared = |label: &&str| !label.ends_with("=\"\"") || *label == "instance=\"\"";
    if split(labels).all(|label| is_compared(&label)) {
        Cow::Borrowed(labels)
    } else {
        let labels: Vec<&str> = split(labels).filter(is_compared).collect();
        Cow::Owned(labels.join(","))
    }
}

/// Splits `a="b",c="d"` into labels.
fn split(labels: &str) -> impl Iterator<Item = &str> {
    let (mut in_quotes, mut is_escaped) = (false, false);
    labels.split(move |character| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match character {
            '\\' => is_escaped = !was_escaped,
            '"' if !was_escaped => in_quotes = !in_quotes,
            _ => {}
        }
        character == ',' && !in_quotes
    })
}

/// Returns name and value of each of the labels `a="b","c.d"="e"`.
pub fn pairs(labels: &str) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    let pair = |label| {
        // No name holds this: a quote in one has a backslash before it.
        let (name, value) = str::split_once(label, "=\"")?;
        let quoted = name
            .strip_prefix('"')
            .and_then(|name| name.strip_suffix('"'));
        let name = quoted.unwrap_or(name);
        Some((unescaped(name), unescaped(value.strip_suffix('"')?)))
    };
    split(labels).filter_map(pair).collect()
}

/// Undoes the escapes of a quoted text.
fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut symbols = text.chars();
    let mut out = String::with_capacity(text.len());
    while let Some(symbol) = symbols.next() {
        out.push(match symbol {
            '\\' => match symbols.next() {
                Some('n') => '\n',
                Some(symbol) => symbol,
                None => '\\',
            },
            symbol => symbol,
        });
    }
    Cow::Owned(out)
}

/// Returns the labels of each series in the lines of one family.
pub fn labels<'a>(
    lines: &'a str,
    name: &str,
    kind: Kind,
) -> impl Iterator<Item = &'a str> + use<'a> {
    // A series of a summary or histogram has one such line.
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

/// Returns the value of the first series in the lines of a family of numbers.
pub fn first_number(lines: &str) -> Option<f64> {
    let (_labels, value) = lines.lines().next()?.rsplit_once("} ")?;
    value.parse().ok()
}

/// Returns the value of the label `name` of the first series in the lines of a family.
pub fn first_label(lines: &str, name: &str) -> Option<String> {
    let line = lines.lines().next()?;
    // No value holds this: a quote in one has a backslash before it.
    let begin = format!("{name}=\"");
    let mut found = line.match_indices(&begin);
    let (at, _) = found.find(|(at, _)| line[..*at].ends_with(['{', ',']))?;
    let mut value = String::new();
    let mut symbols = line[at + begin.len()..].chars();
    loop {
        match symbols.next()? {
            '"' => return Some(value),
            '\\' => match symbols.next()? {
                'n' => value.push('\n'),
                symbol => value.push(symbol),
            },
            symbol => value.push(symbol),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_of_the_first_series() {
        let host = |lines: &str| first_label(lines, "host");
        let found = Some("a".to_owned());
        assert_eq!(host("x_info{host=\"a\",job=\"j\"} 1\n"), found);
        assert_eq!(
            host("x_info{db=\",host=\\\"b\\\"\",host=\"a\"} 1\nx_info{host=\"c\"} 1\n"),
            found
        );
        let escaped = host("x_info{host=\"a\\\\\\\"\\n\"} 1\n");
        assert_eq!(escaped.as_deref(), Some("a\\\"\n"));
        for lines in [
            "",
            "x_info 1\n",
            "x_info{} 1\n",
            "x_info{ghost=\"a\"} 1\n",
            "x_info{host=\"a",
        ] {
            assert_eq!(host(lines), None, "{lines}");
        }
    }

    #[test]
    fn pairs_of_labels() {
        let written = r#"a="","a.b"="x=\"y\",z","q\"=\""="\\\n","q\""="\\\"",z="}""#;
        let expected = [
            ("a", ""),
            ("a.b", "x=\"y\",z"),
            ("q\"=\"", "\\\n"),
            ("q\"", "\\\""),
            ("z", "}"),
        ];
        let found = pairs(written);
        let found: Vec<(&str, &str)> = found.iter().map(|(n, v)| (&**n, &**v)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn labels_are_compared_without_empty_ones() {
        for labels in [
            "",
            r#"instance="",job="j""#,
            r#"a="=",b=",\"\",c=\"\"",instance="i",job="=\"""#,
            r#"a="\\",b="x","c,=\"\""="y""#,
        ] {
            assert!(matches!(compared(labels), Cow::Borrowed(same) if same == labels));
        }
        for (labels, expected) in [
            (r#"a="""#, ""),
            (r#"a="",b="""#, ""),
            (r#"a="",instance="",job="j",z="""#, r#"instance="",job="j""#),
            (r#"a=",=\"\\",b="",c="x""#, r#"a=",=\"\\",c="x""#),
            (r#""a,\""="",b="\"",c="""#, r#"b="\"""#),
            (r#""instance.x"="",x.instance="""#, ""),
        ] {
            assert_eq!(compared(labels), expected, "{labels}");
        }
    }
}
