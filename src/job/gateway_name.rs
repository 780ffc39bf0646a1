//! Gateways as settings name them.

use std::fmt;
use std::str::FromStr;

use metricsjob_client::call::redacted;
use metricsjob_client::{GatewayUrl, GatewayUrlError};

/// The name of the embedded gateway, where a URL could stand.
pub const EMBEDDED: &str = "embedded";

/// A gateway as a setting names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatewayName {
    /// The one in the state database.
    Embedded,
    Url(GatewayUrl),
}

/// Reason why a text names no gateways. Its texts have credentials removed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum GatewayNamesError {
    #[error(transparent)]
    One(#[from] GatewayUrlError),
    /// The comma or blank may have been meant for a password, of which nothing must be shown.
    #[error(
        "gateway {0:?} has commas or blanks in it, and not each part is a gateway (in a password a comma is %2C, a blank %20)"
    )]
    Several(String),
}

impl GatewayName {
    /// Reads the names in one text: several have commas between them, or blanks.
    ///
    /// # Errors
    ///
    /// One of them is neither `embedded` nor a URL, or there is none.
    pub fn parse_all(text: &str) -> Result<Vec<GatewayName>, GatewayNamesError> {
        let parts: Vec<&str> = elements(text).collect();
        if parts.is_empty() {
            return Err(GatewayUrlError::Empty.into());
        }
        let is_one = parts.len() == 1;
        let names = parts.into_iter().map(GatewayName::from_str);
        match names.collect::<Result<Vec<_>, _>>() {
            Err(_) if !is_one => Err(GatewayNamesError::Several(redacted(text.trim()))),
            parsed => Ok(parsed?),
        }
    }
}

impl FromStr for GatewayName {
    type Err = GatewayUrlError;

    fn from_str(text: &str) -> Result<Self, GatewayUrlError> {
        match text {
            EMBEDDED => Ok(GatewayName::Embedded),
            url => GatewayUrl::parse(url).map(GatewayName::Url),
        }
    }
}

/// Writes the name without credentials.
impl fmt::Display for GatewayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GatewayName::Embedded => f.write_str(EMBEDDED),
            GatewayName::Url(url) => url.fmt(f),
        }
    }
}

/// The elements of a list in one text, which have commas or blanks between them.
pub fn elements(list: &str) -> impl Iterator<Item = &str> {
    let elements = list.split(|c: char| c == ',' || c.is_whitespace());
    elements.filter(|element| !element.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let names = GatewayName::parse_all(text).unwrap();
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn lists() {
        assert_eq!(shown("embedded"), ["embedded"]);
        assert_eq!(
            shown(" http://u:p@h:1/,embedded  pg, "),
            ["http://h:1", "embedded", "http://pg"]
        );
    }

    #[test]
    fn errors_show_no_secret() {
        for text in [
            "http://u:s3 cret@h",
            "http://u:s3,cret@h",
            "ftp://u:s3cret@h",
        ] {
            let message = GatewayName::parse_all(text).unwrap_err().to_string();
            assert!(
                !message.contains("s3") && !message.contains("cret"),
                "{message}"
            );
        }
        for empty in ["", " ", ","] {
            assert!(GatewayName::parse_all(empty).is_err(), "{empty:?}");
        }
    }
}
