//! Keys of a web config file, as they are written.

use super::error::Placed;
use super::yaml::{self, Keys, Located, Node, Text};

/// Contents of the file. All of it is optional. It does not implement `Debug`, because it contains secrets.
#[derive(Default)]
pub struct File {
    pub tls_server_config: Option<Located<TlsSection>>,
    /// Values of the keys below `headers`.
    pub headers: Vec<(Text, Text)>,
    pub rate_limit: RateLimitSection,
    pub basic_auth_users: Vec<(Text, Text)>,
}

pub struct TlsSection {
    pub cert: Option<Text>,
    pub cert_file: Option<Text>,
    pub key: Option<Text>,
    pub key_file: Option<Text>,
    pub client_ca: Option<Text>,
    pub client_ca_file: Option<Text>,
    pub client_auth_type: Option<Text>,
    pub client_allowed_sans: Option<Located<Vec<Text>>>,
    pub min_version: Option<Text>,
    pub max_version: Option<Text>,
    pub cipher_suites: Option<Located<Vec<Text>>>,
    pub curve_preferences: Option<Located<Vec<Text>>>,
    pub prefer_server_cipher_suites: Option<bool>,
}

#[derive(Default)]
pub struct RateLimitSection {
    pub interval: Option<Text>,
    pub burst: Option<Located<u32>>,
}

/// Parses the text of a web config file. An empty file is the same as none.
pub fn parse(text: &str) -> Result<File, Placed> {
    let mut keys = Keys::of(&yaml::parse(text)?)?;
    let mut file = File::default();
    if let Some(node) = keys.take("tls_server_config") {
        let value = TlsSection::of(&node)?;
        let place = node.place;
        file.tls_server_config = Some(Located { value, place });
    }
    if let Some(node) = keys.take("http_server_config") {
        file.headers = headers(&node)?;
    }
    if let Some(node) = keys.take("rate_limit") {
        file.rate_limit = RateLimitSection::of(&node)?;
    }
    if let Some(node) = keys.take("basic_auth_users") {
        file.basic_auth_users = texts(&node)?;
    }
    keys.finish()?;
    Ok(file)
}

impl TlsSection {
    fn of(node: &Node) -> Result<Self, Placed> {
        let mut keys = Keys::of(node)?;
        let section = TlsSection {
            cert: keys.text("cert")?,
            cert_file: keys.text("cert_file")?,
            key: keys.text("key")?,
            key_file: keys.text("key_file")?,
            client_ca: keys.text("client_ca")?,
            client_ca_file: keys.text("client_ca_file")?,
            client_auth_type: keys.text("client_auth_type")?,
            client_allowed_sans: keys.texts("client_allowed_sans")?,
            min_version: keys.text("min_version")?,
            max_version: keys.text("max_version")?,
            cipher_suites: keys.texts("cipher_suites")?,
            curve_preferences: keys.texts("curve_preferences")?,
            prefer_server_cipher_suites: keys.boolean("prefer_server_cipher_suites")?,
        };
        keys.finish()?;
        Ok(section)
    }
}

impl RateLimitSection {
    fn of(node: &Node) -> Result<Self, Placed> {
        let mut keys = Keys::of(node)?;
        let section = RateLimitSection {
            interval: keys.text("interval")?,
            burst: keys.number("burst")?,
        };
        keys.finish()?;
        Ok(section)
    }
}

fn headers(node: &Node) -> Result<Vec<(Text, Text)>, Placed> {
    let mut keys = Keys::of(node)?;
    // Ignored: only HTTP/1.1 is served, which every client of HTTP/2 can fall back to.
    keys.boolean("http2")?;
    let headers = keys.take("headers").map(|node| texts(&node)).transpose()?;
    keys.finish()?;
    Ok(headers.unwrap_or_default())
}

/// Returns the texts below any keys.
fn texts(node: &Node) -> Result<Vec<(Text, Text)>, Placed> {
    let entries = node.entries()?.into_iter();
    entries.map(|(key, node)| Ok((key, node.text()?))).collect()
}

/// Returns the text, unless it is empty, which means unset, as in YAML's `key:`.
pub fn given(text: &Option<Text>) -> Option<&Text> {
    text.as_ref().filter(|text| !text.value.is_empty())
}
