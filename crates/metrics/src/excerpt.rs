//! Input as error messages show it: a hostile label value of 10 MB must not come back in one.

use std::borrow::Cow;

use super::family::series_name;
use super::labels::Labels;

/// How many bytes are shown of a name or value.
const WORD: usize = 60;

/// How many bytes are shown of a series.
const SERIES: usize = 100;

/// The beginning of a name.
pub fn word(text: &str) -> Cow<'_, str> {
    cut(text, WORD)
}

/// The beginning of any bytes, quoted and escaped.
pub fn quoted(bytes: &[u8]) -> String {
    // One more than is shown, and the rest of its character.
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(WORD + 4)]);
    format!("{:?}", word(&text))
}

/// The beginning of [`series_name`].
pub fn series(name: &str, labels: &Labels) -> String {
    written_series(&series_name(name, labels)).into_owned()
}

/// The beginning of a series that is written already.
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
