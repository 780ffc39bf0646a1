//! Keys of a web config file, as they are written.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_saphyr::{Location, Spanned, UserMessageFormatter};

use super::error::{Placed, Problem};

/// A text and its location in the file.
pub type Text = Spanned<String>;

/// Contents of the file. All of it is optional. It does not implement `Debug`, because it contains secrets.
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
    /// Ignored: only HTTP/1.1 is served, which every client of HTTP/2 can fall back to.
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

/// Parses the text of a web config file.
pub fn parse(text: &str) -> Result<File, Placed> {
    // An empty file is the same as none.
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

/// Returns the text, unless it is empty, which means unset, as in YAML's `key:`.
pub fn given(text: &Option<Text>) -> Option<&Text> {
    text.as_ref().filter(|text| !text.value.is_empty())
}
