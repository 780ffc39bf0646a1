//! Texts as YAML, PromQL and Prometheus' templates have them.

/// `text` as a YAML scalar: in single quotes, or in double ones where something has to be escaped.
pub fn scalar(text: &str) -> String {
    if text.chars().any(is_escaped) {
        quoted(text)
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

/// `text` in double quotes, as YAML, PromQL and Go's templates read it.
pub fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            '\n' => quoted.push_str("\\n"),
            _ if is_escaped(char) => quoted.push_str(&format!("\\U{:08x}", u32::from(char))),
            _ => quoted.push(char),
        }
    }
    quoted + "\""
}

/// Returns true for what YAML does not read as it stands, or what nobody sees.
pub fn is_escaped(char: char) -> bool {
    char.is_control()
        || matches!(
            char,
            '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
        )
}

/// A template that results in `text`, whatever that is.
pub fn template(text: &str) -> String {
    if text.contains("{{") {
        format!("{{{{ {} }}}}", quoted(text))
    } else {
        text.to_owned()
    }
}

/// `text` as a literal block of YAML, each line indented by `depth`.
pub fn block(text: &str, depth: usize) -> String {
    let mut block = String::from("|-");
    for line in text.lines() {
        block.push_str(&format!("\n{:depth$}{line}", ""));
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes() {
        assert_eq!(scalar("it's \"so\" \\ é"), r#"'it''s "so" \ é'"#);
        assert_eq!(scalar("a\nb\u{85}'"), "\"a\\nb\\U00000085'\"");
        assert_eq!(quoted("a\"b\\"), r#""a\"b\\""#);
    }

    #[test]
    fn nothing_becomes_a_template() {
        assert_eq!(template("ops {x}"), "ops {x}");
        assert_eq!(template("{{ .Value }}"), r#"{{ "{{ .Value }}" }}"#);
    }

    #[test]
    fn a_block_is_indented() {
        assert_eq!(block("a\n  b", 4), "|-\n    a\n      b");
    }
}
