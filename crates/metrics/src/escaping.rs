//! Escaping of UTF-8 names for readers that only know the names of the text format 0.0.4.
//!
//! The schemes and their names in headers are those of `EscapeName` in Prometheus' `common/model`.

use std::borrow::Cow;
use std::fmt::Write;

use super::name::{is_label_name, is_metric_name};

/// Scheme by which a name that the text format 0.0.4 does not allow is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Escaping {
    /// Unchanged, in quotes.
    AllowUtf8,
    /// Each character that is not allowed becomes `_`, so that different names can become equal.
    #[default]
    Underscores,
    /// A dot becomes `_dot_`, an underscore `__`; each other character that is not allowed becomes `__` too.
    Dots,
    /// Prefix `U__`, then `_HEX_` for each character that is not allowed, and `__` for an underscore. Reversible.
    Values,
}

/// Prefix of a name in the scheme [`Escaping::Values`].
const VALUES: &str = "U__";

/// Most hexadecimal digits of a code point.
const MAX_DIGITS: usize = 6;

impl Escaping {
    /// Returns the scheme by its name in the parameter `escaping` of a media type.
    pub fn from_name(name: &str) -> Option<Escaping> {
        use Escaping::*;
        [AllowUtf8, Underscores, Dots, Values]
            .into_iter()
            .find(|scheme| scheme.name() == name)
    }

    /// The scheme's name in the parameter `escaping` of a media type.
    pub fn name(self) -> &'static str {
        match self {
            Escaping::AllowUtf8 => "allow-utf-8",
            Escaping::Underscores => "underscores",
            Escaping::Dots => "dots",
            Escaping::Values => "values",
        }
    }

    /// Escapes the name of a metric, unless the text format 0.0.4 allows it as it is.
    pub fn metric_name(self, name: &str) -> Cow<'_, str> {
        if is_metric_name(name) {
            Cow::Borrowed(name)
        } else {
            self.escape(name, |c| c == ':')
        }
    }

    /// Escapes the name of a label, unless the text format 0.0.4 allows it as it is. Unlike Prometheus' library, it
    /// replaces colons, which a label name must not have, and reduces underscores at the beginning to one, because
    /// names that start with `__` are reserved.
    pub fn label_name(self, name: &str) -> Cow<'_, str> {
        if is_label_name(name) {
            return Cow::Borrowed(name);
        }
        let escaped = self.escape(name, |_| false);
        if escaped.starts_with("__") && self != Escaping::AllowUtf8 {
            Cow::Owned(format!("_{}", escaped.trim_start_matches('_')))
        } else {
            escaped
        }
    }

    fn escape(self, name: &str, is_allowed_too: impl Fn(char) -> bool) -> Cow<'_, str> {
        let mut out = String::with_capacity(name.len() + 16);
        if self == Escaping::Values {
            out.push_str(VALUES);
        }
        for (at, c) in name.char_indices() {
            let is_allowed = c == '_'
                || c.is_ascii_alphabetic()
                || (c.is_ascii_digit() && at > 0)
                || is_allowed_too(c);
            match (self, c) {
                (Escaping::AllowUtf8, _) => out.push(c),
                (Escaping::Dots | Escaping::Values, '_') => out.push_str("__"),
                _ if is_allowed => out.push(c),
                (Escaping::Underscores, _) => out.push('_'),
                (Escaping::Dots, '.') => out.push_str("_dot_"),
                (Escaping::Dots, _) => out.push_str("__"),
                (Escaping::Values, _) => {
                    let _ = write!(out, "_{:x}_", u32::from(c));
                }
            }
        }
        Cow::Owned(out)
    }
}

/// Undoes [`Escaping::Values`]. Returns a name without the prefix, or with malformed escapes, unchanged.
pub fn from_values(name: &str) -> Cow<'_, str> {
    let unescaped = name.strip_prefix(VALUES).and_then(unescape);
    unescaped.map_or(Cow::Borrowed(name), Cow::Owned)
}

fn unescape(mut rest: &str) -> Option<String> {
    let mut out = String::with_capacity(rest.len());
    while let Some((plain, after)) = rest.split_once('_') {
        out.push_str(plain);
        let (digits, after) = after.split_once('_')?;
        out.push(match digits {
            "" => '_',
            _ => code_point(digits)?,
        });
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

fn code_point(digits: &str) -> Option<char> {
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let code = u32::from_str_radix(digits, 16).ok()?;
    char::from_u32(code).filter(|_| is_hex && digits.len() <= MAX_DIGITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        use Escaping::*;
        for (name, underscores, dots, values) in [
            ("a:b_c", "a:b_c", "a:b_c", "a:b_c"),
            (
                "my.metric_x",
                "my_metric_x",
                "my_dot_metric__x",
                "U__my_2e_metric__x",
            ),
            ("1a2", "_a2", "__a2", "U___31_a2"),
            ("é😀", "__", "____", "U___e9__1f600_"),
            ("a-b:c", "a_b:c", "a__b:c", "U__a_2d_b:c"),
        ] {
            assert_eq!(AllowUtf8.metric_name(name), name);
            assert_eq!(Underscores.metric_name(name), underscores);
            assert_eq!(Dots.metric_name(name), dots);
            assert_eq!(Values.metric_name(name), values);
            assert_eq!(from_values(values), name);
        }
        assert_eq!(Underscores.label_name("a:b"), "a_b");
        assert_eq!(Values.label_name("a:b"), "U__a_3a_b");
        assert_eq!(Values.label_name("a_b"), "a_b");
        assert_eq!(Underscores.label_name("._name__"), "_name__");
        assert_eq!(Underscores.label_name("日本"), "_");
        assert_eq!(Dots.label_name("é"), "_");
    }

    #[test]
    fn what_is_malformed_stays() {
        for (escaped, name) in [
            ("U__foo_2e_bar", "foo.bar"),
            ("U__foo_2E_bar", "foo.bar"),
            ("U__a__b", "a_b"),
            ("U___1F600_", "😀"),
            ("U__", ""),
            ("foo_2e_bar", "foo_2e_bar"),
            ("U__foo_2e", "U__foo_2e"),
            ("U__foo_", "U__foo_"),
            ("U__a_110000_", "U__a_110000_"),
            ("U__a_d800_", "U__a_d800_"),
            ("U__a_000002e_", "U__a_000002e_"),
            ("U__a_zz_", "U__a_zz_"),
            ("U__a_+2e_", "U__a_+2e_"),
        ] {
            assert_eq!(from_values(escaped), name, "{escaped}");
        }
    }

    #[test]
    fn schemes_have_names() {
        use Escaping::*;
        for scheme in [AllowUtf8, Underscores, Dots, Values] {
            assert_eq!(Escaping::from_name(scheme.name()), Some(scheme));
        }
        assert_eq!(Escaping::from_name("none"), None);
    }
}
