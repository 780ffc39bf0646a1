//! Documents of JSON values as YAML.

use serde_json::Value as Json;

use super::text::{is_escaped, scalar};

/// Words that YAML reads as something other than a text, in one version of it or another.
const RESERVED: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];

/// `value` as a block of YAML with a line feed at its end.
pub fn document(value: &Json) -> String {
    let mut text = String::new();
    match value {
        Json::Object(_) | Json::Array(_) if !is_empty(value) => lines(value, 0, &mut text),
        _ => text = inline(value, 0).trim_start().to_owned() + "\n",
    }
    text
}

/// Writes the entries of an object or of a list, each indented by `depth`.
fn lines(value: &Json, depth: usize, out: &mut String) {
    match value {
        Json::Object(entries) => {
            for (key, value) in entries {
                out.push_str(&format!("{:depth$}{}:", "", plain(key)));
                nested(value, depth, out);
            }
        }
        Json::Array(items) => {
            for item in items {
                out.push_str(&format!("{:depth$}-", ""));
                if matches!(item, Json::Object(_)) && !is_empty(item) {
                    // Its first entry is on the line of the dash.
                    let mut entries = String::new();
                    lines(item, depth + 2, &mut entries);
                    out.push_str(&entries[depth + 1..]);
                } else {
                    nested(item, depth, out);
                }
            }
        }
        _ => {}
    }
}

/// Writes a value behind its key or dash, which is indented by `depth`.
fn nested(value: &Json, depth: usize, out: &mut String) {
    match value {
        Json::Object(_) | Json::Array(_) if !is_empty(value) => {
            out.push('\n');
            lines(value, depth + 2, out);
        }
        _ => {
            out.push_str(&inline(value, depth));
            out.push('\n');
        }
    }
}

fn is_empty(value: &Json) -> bool {
    match value {
        Json::Object(entries) => entries.is_empty(),
        Json::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// A value that begins on the line of its key, with the blank before it and without the line feed at its end.
fn inline(value: &Json, depth: usize) -> String {
    match value {
        Json::String(text) if is_literal(text) => format!(" {}", literal(text, depth + 2)),
        Json::String(text) => format!(" {}", plain(text)),
        // Numbers, true, false, null, {} and [] are the same in both.
        other => format!(" {other}"),
    }
}

/// `text` without quotes where it cannot be taken for anything else.
fn plain(text: &str) -> String {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let begins = |c: char| c.is_ascii_alphabetic() || c == '/';
    let is_reserved = || RESERVED.iter().any(|word| word.eq_ignore_ascii_case(text));
    if text.starts_with(begins) && text.chars().all(is_safe) && !is_reserved() {
        text.to_owned()
    } else {
        scalar(text)
    }
}

/// Returns true for a text of several lines that a literal block can hold.
fn is_literal(text: &str) -> bool {
    let is_readable = |c: char| matches!(c, '\n' | '\t') || !is_escaped(c);
    text.contains('\n') && !text.trim_matches('\n').is_empty() && text.chars().all(is_readable)
}

/// `text` as a literal block whose lines are indented by `depth`.
fn literal(text: &str, depth: usize) -> String {
    // Otherwise the first line's own blanks would count as indentation.
    let indentation = if text.starts_with([' ', '\n']) {
        "2"
    } else {
        ""
    };
    let (body, end) = match text.strip_suffix('\n') {
        None => (text, "-"),
        Some(body) if body.ends_with('\n') => (body, "+"),
        Some(body) => (body, ""),
    };
    let mut block = format!("|{indentation}{end}");
    for line in body.split('\n') {
        block.push('\n');
        if !line.is_empty() {
            block.push_str(&format!("{:depth$}{line}", ""));
        }
    }
    block
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn blocks() {
        let value = json!({
            "a": {"b": [], "c": [1, {"d": true, "e": ["x", {}]}]},
            "on": "on",
            "7": "12:30",
        });
        let expected = "a:\n  b: []\n  c:\n    - 1\n    - d: true\n      e:\n        - x\n        - {}\n'on': 'on'\n'7': '12:30'\n";
        assert_eq!(document(&value), expected);
        assert_eq!(document(&json!({})), "{}\n");
    }

    #[test]
    fn texts() {
        for (text, expected) in [
            ("/etc/x-1.toml", "/etc/x-1.toml"),
            ("", "''"),
            ("No", "'No'"),
            ("1Gi", "'1Gi'"),
            ("a: b", "'a: b'"),
            ("a\nb", "|-\n    a\n    b"),
            ("a\n\n b\n", "|\n    a\n\n     b"),
            ("  a\nb\n\n", "|2+\n      a\n    b\n"),
            ("a\r\n", r#""a\U0000000d\n""#),
            ("\n", r#""\n""#),
        ] {
            assert_eq!(inline(&text.into(), 2), format!(" {expected}"), "{text:?}");
        }
    }
}
