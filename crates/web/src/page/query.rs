//! Query of a page's URL, which selects a part of the list.

use std::borrow::Cow;

use url::form_urlencoded;

/// Parameters in the query of a page's URL.
#[derive(Debug, Default, PartialEq)]
pub struct Query {
    /// `?search=`, as received.
    pub search: String,
    /// `?page=`; 0 if missing.
    pub page: usize,
    /// `?failed=1`.
    pub only_failed: bool,
}

impl Query {
    /// Parses `query` and ignores all other parameters.
    pub fn of(query: &str) -> Query {
        let mut found = Query::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match (name, value) {
                (Cow::Borrowed("search"), value) => found.search = value.into_owned(),
                (Cow::Borrowed("page"), value) => found.page = value.parse().unwrap_or(1),
                (Cow::Borrowed("failed"), value) => found.only_failed = value == "1",
                _ => {}
            }
        }
        found
    }
}

/// Returns true if `text` contains each word of `search`, ignoring case. A word has no blank in it, so none
/// is found across two lines.
pub fn has_words(text: &str, search: &str) -> bool {
    let search = search.to_lowercase();
    let mut words = search.split_whitespace().peekable();
    if words.peek().is_none() {
        return true;
    }
    let text = text.to_lowercase();
    words.all(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        let query = |search: &str, page, only_failed| Query {
            search: search.into(),
            page,
            only_failed,
        };
        assert_eq!(Query::of(""), query("", 0, false));
        assert_eq!(
            Query::of("search=a+b%26%20&page=3&failed=1&other"),
            query("a b& ", 3, true)
        );
        assert_eq!(Query::of("page=-1&failed=yes"), query("", 1, false));
    }

    #[test]
    fn words() {
        for found in ["", " \t", "one", "ONE two", "ä", "ne\nwo"] {
            assert!(has_words("One two\nÄ", found), "{found:?}");
        }
        for missing in ["three", "one three", "onetwo", "twoä"] {
            assert!(!has_words("One two\nÄ", missing), "{missing:?}");
        }
    }
}
