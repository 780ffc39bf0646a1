//! Text from untrusted sources, made fit to be shown.

use std::borrow::Cow;

use maud::{Markup, html};

/// Maximum number of characters shown of a text.
const SHOWN: usize = 120;

/// Maximum number of characters in a title.
const TITLE: usize = 1000;

/// Maximum number of characters shown of a line.
const LINE: usize = 400;

/// Replacement for a tab.
const TAB: &str = "    ";

/// Replaces the characters of `text` that are invisible, or that move visible ones, by escapes such as
/// `\n` and `\u{202e}`: control characters, those for text direction, invisible ones, and all blanks but the space.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(deceives) {
        return Cow::Borrowed(text);
    }
    let escape = |c: char| {
        if deceives(c) {
            c.escape_default().to_string()
        } else {
            c.to_string()
        }
    };
    Cow::Owned(text.chars().map(escape).collect())
}

fn deceives(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    // The rest is Unicode's Default_Ignorable_Code_Point (DerivedCoreProperties.txt), which is not displayed,
    // and the interlinear annotations.
    c.is_control()
        || c.is_whitespace()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Returns `text`, made [`visible`]. Of a long text only the start is shown, and its title has the whole
/// text, or as much as a title can hold.
pub fn cut(text: &str) -> Markup {
    cut_as(text, |shown| html! { (visible(shown)) })
}

/// Returns `text` as [`cut`] does, but formats the shown part with `show`.
pub fn cut_as(text: &str, show: impl Fn(&str) -> Markup) -> Markup {
    match start(text, SHOWN) {
        None => show(text),
        Some(shown) => {
            let title = start(text, TITLE).map_or_else(
                || visible(text).into_owned(),
                |part| format!("{}… ({} bytes)", visible(part), text.len()),
            );
            html! { span title=(title) { (show(shown)) "…" } }
        }
    }
}

/// Returns up to `most` lines of a program's output, each made [`visible`]. Tabs become blanks; of a long
/// line only the start is shown.
pub fn lines<'a>(lines: impl Iterator<Item = &'a str>, most: usize) -> Markup {
    let mut lines = lines.enumerate().peekable();
    html! {
        @while let Some((index, line)) = lines.next_if(|(index, _)| *index < most) {
            @if index > 0 { "\n" }
            @match start(line, LINE) {
                None => (visible(&line.replace('\t', TAB))),
                Some(shown) => { (visible(&shown.replace('\t', TAB))) "…" },
            }
        }
        @let more = lines.count();
        @if more > 0 { "\n… and " (count(more, "more line", "more lines")) }
    }
}

/// Returns the first `length` characters, if there are more.
fn start(text: &str, length: usize) -> Option<&str> {
    let (end, _) = text.char_indices().nth(length)?;
    Some(&text[..end])
}

/// Formats a count: `1 family`, `2 families`.
pub fn count(number: usize, one: &str, many: &str) -> String {
    let word = if number == 1 { one } else { many };
    format!("{number} {word}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_hides() {
        assert_eq!(visible("plain é 日本 ✓"), "plain é 日本 ✓");
        assert_eq!(visible("a\0b\n"), r"a\u{0}b\n");
        assert_eq!(visible("gpj\u{202e}exe"), r"gpj\u{202e}exe");
        assert_eq!(
            visible("a\u{200b}\u{a0}\u{2028}"),
            r"a\u{200b}\u{a0}\u{2028}"
        );
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(cut(&"é".repeat(SHOWN)).0, "é".repeat(SHOWN));
        let whole = "é".repeat(SHOWN + 1);
        let shown = "é".repeat(SHOWN);
        assert_eq!(
            cut(&whole).0,
            format!("<span title=\"{whole}\">{shown}…</span>")
        );
        let huge = cut(&"é".repeat(1_000_000)).0;
        assert!(huge.contains("é… (2000000 bytes)\""), "{huge}");
        assert!(huge.len() < 3000);
    }

    #[test]
    fn lines_are_cut_and_counted() {
        let text = "\tat <main>\n\u{1b}[31mred\nthree";
        assert_eq!(
            lines(text.lines(), 3).0,
            "    at &lt;main&gt;\n\\u{1b}[31mred\nthree"
        );
        assert!(lines(text.lines(), 1).0.ends_with("\n… and 2 more lines"));
        let long = lines(["x".repeat(1_000).as_str()].into_iter(), 1).0;
        assert_eq!(long, format!("{}…", "x".repeat(LINE)));
        assert_eq!(lines("".lines(), 1).0, "");
    }
}
