//! Text from users, to be pushed.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::Path;

use memchr::memmem;

use super::draft::Draft;
use super::openmetrics_input;
use super::parse::{ParseError, parse_input};
pub use super::remarks::Remarks;
use crate::family::{Family, Kind};

/// Format of a text to be pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputFormat {
    /// Text 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// Families of a text, and the differences between them and the text.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// The families.
    pub families: Vec<Family>,
    /// The differences.
    pub remarks: Remarks,
}

/// Last line of OpenMetrics. In text 0.0.4 it is a comment that nobody writes for another reason.
const EOF: &[u8] = b"# EOF";

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

impl InputFormat {
    /// Guesses the format: OpenMetrics if the last line is `# EOF`, or the file's extension `om` or `openmetrics`.
    pub fn guess(file: &Path, text: &[u8]) -> Self {
        let is_named_so = ["om", "openmetrics"]
            .iter()
            .any(|extension| file.extension() == Some(OsStr::new(extension)));
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        let last_line = text.trim_ascii_end().rsplit(|byte| *byte == b'\n').next();
        if is_named_so || last_line == Some(EOF) {
            InputFormat::OpenMetrics
        } else {
            InputFormat::Text
        }
    }
}

/// Reads text as [`parse_strictly`](super::parse_strictly) does, or OpenMetrics just as strictly.
///
/// # Errors
///
/// Refuses text that is malformed, that no gateway would accept, or that a gateway would store differently from what
/// is written.
pub fn read(text: &[u8], format: InputFormat) -> Result<Input, ParseError> {
    match format {
        InputFormat::Text => {
            let mut input = parse_input(text)?;
            input.find_misnamed();
            Ok(input)
        }
        InputFormat::OpenMetrics => openmetrics_input::parse(text),
    }
}

impl Input {
    /// Finishes `drafts`, whose differences are added to `remarks`.
    pub(super) fn of(drafts: Vec<Draft>, mut remarks: Remarks) -> Self {
        let drafts = drafts.into_iter();
        Input {
            families: drafts
                .filter_map(|draft| draft.finish_strictly(&mut remarks))
                .collect(),
            remarks,
        }
    }

    /// Finds families declared as in OpenMetrics, without the suffix of their samples.
    fn find_misnamed(&mut self) {
        if self.remarks.without_samples.is_empty() {
            return;
        }
        let untyped = self.families.iter();
        let untyped =
            untyped.filter(|family| family.kind == Kind::Untyped && family.help.is_empty());
        let untyped: HashSet<&str> = untyped.map(|family| &*family.name).collect();
        let Remarks {
            without_samples,
            misnamed,
            ..
        } = &mut self.remarks;
        without_samples.retain(|name| {
            let suffixes = ["_total", "_info"].iter();
            let mut samples = suffixes.map(|suffix| format!("{name}{suffix}"));
            let sample = samples.find(|sample| untyped.contains(&**sample));
            let is_misnamed = sample.is_some();
            misnamed.extend(sample.map(|sample| [name.clone(), sample]));
            !is_misnamed
        });
    }
}

/// Removes a byte order mark and carriage returns before line feeds, and adds a missing line feed at the end.
pub(super) fn significant(text: &[u8]) -> Cow<'_, [u8]> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let is_open = text.last().is_some_and(|last| *last != b'\n');
    if !is_open && memmem::find(text, b"\r\n").is_none() {
        return Cow::Borrowed(text);
    }
    let mut significant = Vec::with_capacity(text.len() + 1);
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        significant.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        significant.push(b'\n');
    }
    Cow::Owned(significant)
}

/// Returns `text` without blanks and tabs at its end.
pub(super) fn without_blanks(text: &[u8]) -> &[u8] {
    let last = text.iter().rposition(|byte| !b" \t".contains(byte));
    &text[..last.map_or(0, |last| last + 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ends_of_lines_are_insignificant() {
        for (text, expected) in [
            ("", ""),
            ("\u{feff}", ""),
            ("\n", "\n"),
            ("\r\n", "\n"),
            ("\r", "\n"),
            ("a", "a\n"),
            ("a\r\nb\r\n", "a\nb\n"),
            ("a\r\r\nb\rc\n", "a\r\nb\rc\n"),
            ("\u{feff}a\n\u{feff}b\r", "a\n\u{feff}b\n"),
        ] {
            assert_eq!(
                *significant(text.as_bytes()),
                *expected.as_bytes(),
                "{text:?}"
            );
        }
        assert!(matches!(
            significant(b"\xef\xbb\xbfa\n"),
            Cow::Borrowed(b"a\n")
        ));
    }

    #[test]
    fn formats_are_guessed() {
        let guess = |file: &str, text: &str| InputFormat::guess(Path::new(file), text.as_bytes());
        for (file, text) in [
            ("a.om", ""),
            ("dir/a.b.openmetrics", "a 1\n"),
            ("-", "# EOF"),
            ("a.prom", "a 1\r\n# EOF\r\n\n"),
            ("-", "\u{feff}# EOF\n"),
        ] {
            assert_eq!(
                guess(file, text),
                InputFormat::OpenMetrics,
                "{file} {text:?}"
            );
        }
        for (file, text) in [
            ("-", ""),
            ("om", "a 1\n"),
            (".om", "a 1\n"),
            ("a.om.txt", "# EOF\na 1\n"),
            ("-", "a 1 # EOF\n"),
            ("-", "#EOF\n"),
        ] {
            assert_eq!(guess(file, text), InputFormat::Text, "{file} {text:?}");
        }
    }
}
