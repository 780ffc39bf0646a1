//! Our own secrets, kept out of what others write and we show or store.

use std::borrow::Cow;
use std::env;
use std::ops::Range;
use std::sync::Arc;

use memchr::memmem;

use super::connection::Connection;
use super::gateway::Gateway;
use super::url::GatewayUrl;
use crate::client::Credentials;

/// Shorter texts stay: to replace them everywhere would garble most lines, and tell what they are.
const SHORTEST: usize = 4;

const REPLACEMENT: &[u8] = b"***";

/// Environment variables that hold credentials, and nothing else.
const CREDENTIALS: [&str; 2] = ["METRICSJOB_BEARER_TOKEN", "METRICSJOB_BASIC_AUTH"];
/// The one that can hold credentials beside what else it says.
const GATEWAY: &str = "METRICSJOB_GATEWAY";
const PROXIES: [&str; 6] = [
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
];

/// Tokens, passwords and header values of ours, in each form that they are sent in. Clones are cheap.
#[derive(Clone, Default)]
pub struct Secrets(Arc<[Vec<u8>]>);

impl Secrets {
    /// Secrets of this process: those for `gateways`, and those in its environment.
    pub fn of_process(gateways: &[Gateway]) -> Self {
        let mut forms = of_environment();
        for gateway in gateways {
            if let Gateway::Http(url, connection) = gateway {
                forms.extend(of_gateway(url, connection));
            }
        }
        Secrets::new(forms)
    }

    /// Secrets that a gateway gets to see.
    pub fn of_gateway(url: &GatewayUrl, connection: &Connection) -> Self {
        Secrets::new(of_gateway(url, connection))
    }

    fn new(forms: Vec<String>) -> Self {
        let forms = forms.into_iter().map(String::into_bytes);
        let mut forms: Vec<_> = forms.filter(|form| form.len() >= SHORTEST).collect();
        forms.sort();
        forms.dedup();
        Secrets(forms.into())
    }

    /// `text` with `***` in place of each secret.
    pub fn redact<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        self.without(text, self.found(text))
    }

    /// `text`, which was cut off, with `***` in place of each secret, also of one that the cut goes through.
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

    /// `text` with `***` in place of each secret.
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

    /// `text` without what is `found` there. Secrets can overlap.
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

fn of_gateway(url: &GatewayUrl, connection: &Connection) -> Vec<String> {
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

/// Secrets in our environment, whatever of it is in use.
fn of_environment() -> Vec<String> {
    let value = |name| env::var(name).unwrap_or_default();
    let [token, pair] = CREDENTIALS.map(value);
    let mut forms = vec![token.trim_end().to_owned()];
    if let Some((user, password)) = pair.trim_end_matches(['\r', '\n']).split_once(':') {
        let (user, password) = (user.to_owned(), password.to_owned());
        forms.extend(Credentials { user, password }.secrets());
    }
    for url in [GATEWAY].into_iter().chain(PROXIES).map(value) {
        forms.extend(url.split_whitespace().flat_map(of_url));
    }
    forms
}

/// Secrets in a text that is to be a URL.
fn of_url(text: &str) -> Vec<String> {
    let Some((before, _)) = text.rsplit_once('@') else {
        return Vec::new();
    };
    let user_info = before.rsplit_once("//").map_or(before, |(_, rest)| rest);
    // As it is written, which can be percent-encoded.
    let written = user_info.split_once(':').map(|(_, password)| password);
    let mut forms = vec![written.unwrap_or(user_info).to_owned()];
    match GatewayUrl::parse(text) {
        Ok(url) => forms.extend(url.credentials().into_iter().flat_map(Credentials::secrets)),
        // One that is mistyped: `http:/user:password@host`.
        Err(_) => forms.extend(before.rsplit(':').next().map(str::to_owned)),
    }
    forms
}

/// Variables of our environment that hold credentials, each with the value that who must not have them gets in
/// its place, if there is one.
pub fn withheld() -> Vec<(&'static str, Option<String>)> {
    let mut variables: Vec<_> = CREDENTIALS.map(|name| (name, None)).into();
    if let Some(given) = env::var_os(GATEWAY) {
        let given = given.to_string_lossy();
        let gateways = given.split_whitespace().map(|part| match part {
            part if part.contains('@') => GatewayUrl::parse(part).map(|url| url.to_string()),
            part => Ok(part.to_owned()),
        });
        let gateways: Option<Vec<String>> = gateways.map(Result::ok).collect();
        variables.push((GATEWAY, gateways.map(|gateways| gateways.join(" "))));
    }
    variables
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
            // They overlap: neither leaves a rest.
            ("s3cretin!", "***!"),
            // Too short to be replaced.
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

    #[test]
    fn urls_with_credentials() {
        for url in [
            "http://u:s3cret@h",
            "u:s3cret@h",
            "http://s3cret@h",
            "http:/u:s3cret@h",
            "http//u:s3cret@h",
            "http:\\\\u:s3cret@h",
        ] {
            assert!(of_url(url).contains(&"s3cret".to_owned()), "{url}");
        }
        let forms = of_url("http://u:s3%2Fcret@h");
        assert!(forms.contains(&"s3/cret".into()) && forms.contains(&"s3%2Fcret".into()));
        assert!(of_url("http://h").is_empty());
    }
}
