//! Pointers to numbers in JSON documents (RFC 6901).

use std::fmt;
use std::str::FromStr;

use serde_json::Value as Json;

/// A pointer such as `/queue/size`: the keys and indices that lead to a value, each behind a `/`. In a key `~1` is a
/// `/`, and `~0` a `~`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPointer(String);

/// Why a document has no number at a pointer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PointerError {
    #[error("nothing is at {pointer:?}: {parent} has no {key:?}")]
    Missing {
        pointer: String,
        parent: String,
        key: String,
    },
    #[error("at {pointer:?} is {found}, not a number")]
    NoNumber {
        pointer: String,
        found: &'static str,
    },
}

/// The error follows the value in a message.
impl FromStr for JsonPointer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.is_empty() && !text.starts_with('/') {
            return Err("does not begin with a / (for example /queue/size)".into());
        }
        // Each ~ is followed by a digit that says what it stands for.
        if !text
            .split('~')
            .skip(1)
            .all(|rest| rest.starts_with(['0', '1']))
        {
            return Err("has a ~ that is neither ~0 (which stands for ~) nor ~1 (for /)".into());
        }
        Ok(JsonPointer(text.to_owned()))
    }
}

impl fmt::Display for JsonPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl JsonPointer {
    /// The number that it leads to in `document`; `true` is 1, and `false` 0.
    ///
    /// # Errors
    ///
    /// It leads to something else or to nothing. The error shows nothing of the document, in which there may be secrets.
    pub fn number(&self, document: &Json) -> Result<f64, PointerError> {
        let found = match document.pointer(&self.0) {
            None => return Err(self.missing(document)),
            Some(Json::Bool(is_true)) => return Ok(f64::from(*is_true)),
            Some(Json::Number(number)) => match number.as_f64() {
                Some(number) => return Ok(number),
                None => "a number that is too large",
            },
            Some(Json::String(_)) => "a string",
            Some(Json::Null) => "null",
            Some(Json::Array(_)) => "a list",
            Some(Json::Object(_)) => "an object",
        };
        let pointer = self.0.clone();
        Err(PointerError::NoNumber { pointer, found })
    }

    /// Where on the way to the value the document ends.
    fn missing(&self, document: &Json) -> PointerError {
        let ends = self.0.match_indices('/').map(|(end, _)| end).skip(1);
        let ends = ends.chain([self.0.len()]);
        let last = ends
            .map(|end| &self.0[..end])
            .find(|prefix| document.pointer(prefix).is_none())
            .unwrap_or(&self.0);
        let (parent, key) = last.rsplit_once('/').unwrap_or_default();
        PointerError::Missing {
            pointer: self.0.clone(),
            parent: match parent {
                "" => "the document".to_owned(),
                parent => format!("{parent:?}"),
            },
            key: key.replace("~1", "/").replace("~0", "~"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn number(pointer: &str) -> Result<f64, String> {
        // The document of RFC 6901, with numbers.
        let document = json!({
            "foo": [1, -2.5], "": 3, "a/b": 4, "m~n": 5, " ": 6, "yes": true, "no": false,
            "text": "7", "none": null, "deep": { "er": { "x": 8 } }, "big": u64::MAX,
        });
        let pointer: JsonPointer = pointer.parse()?;
        pointer.number(&document).map_err(|error| error.to_string())
    }

    #[test]
    fn numbers() {
        for (pointer, expected) in [
            ("/foo/0", 1.0),
            ("/foo/1", -2.5),
            ("/", 3.0),
            ("/a~1b", 4.0),
            ("/m~0n", 5.0),
            ("/ ", 6.0),
            ("/yes", 1.0),
            ("/no", 0.0),
            ("/deep/er/x", 8.0),
            ("/big", u64::MAX as f64),
        ] {
            assert_eq!(number(pointer), Ok(expected), "{pointer}");
        }
        let whole: JsonPointer = "".parse().unwrap();
        assert_eq!(whole.number(&json!(9)), Ok(9.0));
    }

    #[test]
    fn none() {
        for (pointer, problem) in [
            ("foo", "does not begin with a /"),
            ("#/foo", "does not begin with a /"),
            ("/a~2b", "has a ~ that is neither"),
            ("/a~", "has a ~ that is neither"),
            ("", r#"at "" is an object, not a number"#),
            ("/foo", r#"at "/foo" is a list, not a number"#),
            ("/text", r#"at "/text" is a string, not a number"#),
            ("/none", r#"at "/none" is null, not a number"#),
            ("/foo/2", r#"nothing is at "/foo/2": "/foo" has no "2""#),
            ("/foo/01", r#""/foo" has no "01""#),
            ("/foo/-", r#""/foo" has no "-""#),
            ("/x", r#"nothing is at "/x": the document has no "x""#),
            (
                "/x~1y/z",
                r#"nothing is at "/x~1y/z": the document has no "x/y""#,
            ),
            ("/deep/y/x", r#""/deep" has no "y""#),
            ("/text/0", r#""/text" has no "0""#),
            ("/deep/er/", r#""/deep/er" has no """#),
        ] {
            let error = number(pointer).unwrap_err();
            assert!(error.contains(problem), "{pointer}: {error}");
        }
    }
}
