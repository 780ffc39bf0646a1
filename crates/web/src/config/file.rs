//! The keys of a web config file, as they are written.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_saphyr::{Location, Spanned, UserMessageFormatter};

use super::error::{Placed, Problem};

/// A text and where it is in the file.
pub type Text = Spanned<String>;

/// All of it can be left out. It is not shown by `Debug`, as there are secrets in it.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct File {
    pub tls_server_config: Option<Spanned<TlsSection>>,
    pub http_server_config: Option<HttpSection>,
    pub rate_limit: Option<RateLimitSection>,
    pub basic_auth_users: Option<BTreeMap<String, Text>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct TlsSection {
    pub cert: Option<Text>,
    pub cert_file: Option<Text>,
    pub key: Option<Text>,
    pub key_file: Option<Text>,
    pub client_ca: Option<Text>,
    pub client_ca_file: Option<Text>,
    pub client_auth_type: Option<Text>,
    pub client_allowed_sans: Option<Spanned<Vec<String>>>,
    pub min_version: Option<Text>,
    pub max_version: Option<Text>,
    pub cipher_suites: Option<Spanned<Vec<Text>>>,
    pub curve_preferences: Option<Vec<Text>>,
    pub prefer_server_cipher_suites: Option<bool>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct HttpSection {
    /// Only HTTP/1.1 is spoken, which any client of HTTP/2 falls back to.
    #[serde(rename = "http2")]
    pub _http2: Option<bool>,
    pub headers: Option<BTreeMap<String, Text>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct RateLimitSection {
    pub interval: Option<Text>,
    pub burst: Option<Spanned<u32>>,
}

/// What `text` says.
pub fn parse(text: &str) -> Result<File, Placed> {
    // An empty file is none at all.
    match serde_saphyr::from_str::<Option<File>>(text) {
        Ok(file) => Ok(file.unwrap_or_default()),
        Err(error) => {
            // A snippet of the file could show a password.
            let error = error.without_snippet();
            let message = error.render_with_formatter(&UserMessageFormatter);
            let place = error.location().unwrap_or(Location::UNKNOWN);
            let suffix = format!(" at line {}, column {}", place.line(), place.column());
            let message = message.strip_suffix(&suffix).unwrap_or(&message);
            Err((Problem::Yaml(message.into()), place))
        }
    }
}

/// The text, unless it is empty, which says nothing as in YAML's `key:`.
pub fn given(text: &Option<Text>) -> Option<&Text> {
    text.as_ref().filter(|text| !text.value.is_empty())
}
