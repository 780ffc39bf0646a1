//! Excerpts of input for error messages, which must not repeat a hostile label value of 10 MB.

use std::borrow::Cow;

use super::family::series_name;
use super::labels::Labels;

/// Most bytes shown of a name or value.
const WORD: usize = 60;

/// Most bytes shown of a series.
const SERIES: usize = 100;

/// Shortens a name or value to 60 bytes.
pub fn word(text: &str) -> Cow<'_, str> {
    cut(text, WORD)
}

/// Shortens bytes to 60, quoted and escaped; invalid UTF-8 becomes U+FFFD.
pub fn quoted(bytes: &[u8]) -> String {
    // One byte more than is shown, and the rest of its character.
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(WORD + 4)]);
    format!("{:?}", word(&text))
}

/// Shortens [`series_name`] to 100 bytes.
pub fn series(name: &str, labels: &Labels) -> String {
    written_series(&series_name(name, labels)).into_owned()
}

/// Shortens a series in text form to 100 bytes.
pub fn written_series(series: &str) -> Cow<'_, str> {
    cut(series, SERIES)
}

fn cut(text: &str, shown: usize) -> Cow<'_, str> {
    if text.len() <= shown {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(shown);
    Cow::Owned(format!("{}…", &text[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(word(&"a".repeat(60)), "a".repeat(60));
        assert_eq!(word(&"a".repeat(61)), "a".repeat(60) + "…");
        assert_eq!(
            word(&format!("a{}", "é".repeat(60))),
            format!("a{}…", "é".repeat(29))
        );
        assert_eq!(
            quoted("é".repeat(31).as_bytes()),
            format!("\"{}…\"", "é".repeat(30))
        );
        assert_eq!(quoted(b"\xff\n"), "\"\u{fffd}\\n\"");
    }

    #[test]
    fn long_series_are_cut() {
        let labels = Labels::from([("a", "b".repeat(10_000))]);
        assert_eq!(series("m", &labels), format!("m{{a=\"{}…", "b".repeat(95)));
    }
}
