//! HELP and TYPE lines.

use memchr::memchr;

use super::draft::Draft;
use super::quoted::Escapes;
use crate::excerpt;
use crate::family::Kind;

/// Sets the HELP text of a family from the rest of its line. The error is for the user.
pub fn help(draft: &mut Draft, text: &[u8]) -> Result<(), String> {
    if draft.help.is_some() {
        return Err(format!(
            "second HELP line for {}",
            excerpt::word(&draft.name)
        ));
    }
    draft.help = Some(help_text(text, Escapes::Known)?);
    Ok(())
}

/// Unescapes a HELP text. `\"` is an escape only where [any](Escapes::Any) is accepted.
pub fn help_text(text: &[u8], escapes: Escapes) -> Result<String, String> {
    let text = str::from_utf8(text).map_err(|_| "the HELP text is not UTF-8".to_owned())?;
    unescape(text, escapes)
}

/// Sets the kind of a family from the rest of its TYPE line. The error is for the user.
pub fn kind(draft: &mut Draft, word: &[u8]) -> Result<(), String> {
    if draft.kind.is_some() {
        return Err(format!(
            "second TYPE line for {}, or TYPE after its samples",
            excerpt::word(&draft.name)
        ));
    }
    draft.kind = str::from_utf8(word).ok().and_then(Kind::from_name);
    if draft.kind.is_none() {
        let known = Kind::ALL.map(Kind::name).join(", ");
        let word = excerpt::quoted(word);
        return Err(format!("unknown TYPE {word} (known: {known})"));
    }
    Ok(())
}

fn unescape(text: &str, escapes: Escapes) -> Result<String, String> {
    let mut help = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(plain) = memchr(b'\\', rest.as_bytes()) {
        help.push_str(&rest[..plain]);
        let mut escape = rest[plain + 1..].chars();
        match escape.next() {
            Some('\\') => help.push('\\'),
            Some('n') => help.push('\n'),
            Some('"') if escapes == Escapes::Any => help.push('"'),
            Some(other) if escapes == Escapes::Any => help.extend(['\\', other]),
            None if escapes == Escapes::Any => help.push('\\'),
            Some(other) => {
                return Err(format!(
                    "unknown escape \\{other} in the HELP text (known: \\\\ \\n)"
                ));
            }
            None => return Err("the HELP text ends in a lone \\".into()),
        }
        rest = escape.as_str();
    }
    help.push_str(rest);
    Ok(help)
}
