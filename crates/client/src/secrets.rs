//! Redaction of credentials in texts from elsewhere.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use memchr::memmem;

use crate::call::Credentials;
use crate::connection::Connection;
use crate::url::GatewayUrl;

/// Shorter secrets are not redacted: it would garble most lines, and give away what they are.
const SHORTEST: usize = 4;

const REPLACEMENT: &[u8] = b"***";

/// Secrets in each form in which they are sent. Cheap to clone.
#[derive(Clone, Default)]
pub struct Secrets(Arc<[Vec<u8>]>);

impl Secrets {
    /// Collects the secrets that a gateway, or its proxy, receives.
    pub fn of_gateway(url: &GatewayUrl, connection: &Connection) -> Self {
        Secrets::new(forms_of_gateway(url, connection))
    }

    /// Creates a set of secrets, in each form in which they may occur. Forms of less than 4 bytes are ignored.
    pub fn new(forms: Vec<String>) -> Self {
        let forms = forms.into_iter().map(String::into_bytes);
        let mut forms: Vec<_> = forms.filter(|form| form.len() >= SHORTEST).collect();
        forms.sort();
        forms.dedup();
        Secrets(forms.into())
    }

    /// Replaces each secret in `text` by `***`.
    pub fn redact<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        self.without(text, self.found(text))
    }

    /// Replaces each secret in `text`, which was truncated, by `***`, and also the beginning of one at its end.
    pub fn redact_cut<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        let mut found = self.found(text);
        let begun = self.0.iter().filter_map(|form| {
            let lengths = SHORTEST..form.len().min(text.len() + 1);
            let length = lengths
                .rev()
                .find(|length| text.ends_with(&form[..*length]))?;
            Some(text.len() - length..text.len())
        });
        found.extend(begun);
        self.without(text, found)
    }

    /// Replaces each secret in `text` by `***`.
    pub fn redact_text(&self, text: String) -> String {
        match self.redact(text.as_bytes()) {
            Cow::Borrowed(_) => text,
            Cow::Owned(redacted) => String::from_utf8_lossy(&redacted).into_owned(),
        }
    }

    fn found(&self, text: &[u8]) -> Vec<Range<usize>> {
        let found = self
            .0
            .iter()
            .flat_map(|form| memmem::find_iter(text, form).map(|start| start..start + form.len()));
        found.collect()
    }

    /// Replaces the ranges `found` in `text`, which can overlap.
    fn without<'a>(&self, text: &'a [u8], mut found: Vec<Range<usize>>) -> Cow<'a, [u8]> {
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        found.sort_by_key(|range| range.start);
        let mut redacted = Vec::with_capacity(text.len());
        let mut end = 0;
        for range in found {
            if redacted.is_empty() || range.start > end {
                redacted.extend_from_slice(&text[end..range.start]);
                redacted.extend_from_slice(REPLACEMENT);
            }
            end = end.max(range.end);
        }
        redacted.extend_from_slice(&text[end..]);
        Cow::Owned(redacted)
    }
}

/// Returns the secrets that a gateway, or its proxy, receives, in each form in which they are sent.
pub fn forms_of_gateway(url: &GatewayUrl, connection: &Connection) -> Vec<String> {
    let proxy = url.proxy().and_then(|proxy| proxy.credentials);
    let credentials = url.credentials().into_iter().chain(&proxy);
    let mut forms: Vec<String> = credentials.flat_map(Credentials::secrets).collect();
    if let Some(authorization) = &connection.authorization {
        forms.extend(authorization.secrets().iter().map(|s| s.text().to_owned()));
    }
    let headers = connection.headers.values();
    forms.extend(headers.filter_map(|value| value.to_str().ok().map(str::to_owned)));
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(forms: &[&str]) -> Secrets {
        Secrets::new(forms.iter().map(|form| (*form).to_owned()).collect())
    }

    #[test]
    fn each_occurrence_goes() {
        let secrets = secrets(&["s3cret", "s3cret-longer", "cretin", "abc", ""]);
        for (text, expected) in [
            ("s3cret", "***"),
            ("a s3cret-longer b s3crets3cret", "a *** b ******"),
            // Overlapping secrets leave no rest.
            ("s3cretin!", "***!"),
            // Too short to be redacted.
            ("abc", "abc"),
            ("é s3cret é", "é *** é"),
            ("s3cre", "s3cre"),
            ("", ""),
        ] {
            let redacted = secrets.redact_text(text.to_owned());
            let rest = redacted.replace("***", "");
            assert!(!rest.contains("cret"), "{text}: {redacted}");
            assert_eq!(
                redacted.replace("******", "***"),
                expected.replace("******", "***")
            );
        }
        assert!(matches!(secrets.redact(b"other"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_cut_goes_through_none() {
        let secrets = secrets(&["s3cret-token"]);
        let cut = |text: &str| secrets.redact_cut(text.as_bytes()).into_owned();
        assert_eq!(cut("x s3cret-toke"), b"x ***");
        assert_eq!(cut("x s3cr"), b"x ***");
        assert_eq!(cut("x s3cret-token"), b"x ***");
        assert_eq!(cut("s3cret-tokens3cret"), b"***");
        assert_eq!(cut("x s3c"), b"x s3c");
        assert_eq!(cut("s3cret"), b"***");
    }
}
