//! Authorization and further headers of requests.

use std::fmt;

use reqwest::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue,
    TRANSFER_ENCODING,
};

use crate::call::Credentials;

/// A text that `Debug` shows as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Returns the text, to be sent or redacted.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Secret(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Reason why a text is not a valid secret or header. The message follows the name of its source, and shows nothing
/// of the text but a header's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// An empty value.
    #[error("it is empty")]
    Empty,
    /// A control character.
    #[error("it has a control character in it, such as a line break: remove that")]
    Control,
    /// A character outside ASCII.
    #[error("it has a character in it that is not ASCII, which a token has not")]
    NotAscii,
    /// A blank in a token.
    #[error("it has a blank in it, which a token has not")]
    Blank,
    /// A missing colon, and thus password, in `user:password`.
    #[error("it has no colon: the form is user:password")]
    NoPassword,
    /// A colon in a user name, which RFC 7617 does not allow: what follows would be taken for the password.
    #[error("the user name has a colon in it, which it cannot have in basic authentication")]
    ColonInUser,
    /// A missing colon, and thus value, in `NAME: VALUE`.
    #[error("it has no colon: the form is NAME: VALUE")]
    NoValue,
    /// A name that is not a valid header name.
    #[error("the part before its colon is not a header name")]
    HeaderName,
    /// A value with a control character, such as a line break.
    #[error("the value of {0} has a control character in it")]
    HeaderValue(HeaderName),
    /// A header that the client itself sets, such as `Content-Type`.
    #[error("{0} is set by metricsjob itself: leave it out")]
    OwnHeader(HeaderName),
}

/// Value of the `Authorization` header, and the name of its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    /// Marked as sensitive, so that `Debug` does not show it.
    value: HeaderValue,
    secrets: Vec<Secret>,
    source: String,
}

impl Authorization {
    /// Creates basic authentication from `user:password` (RFC 7617).
    ///
    /// # Errors
    ///
    /// Fails without a colon, and with a control character.
    pub fn basic(secret: &Secret, source: String) -> Result<Self, CredentialsError> {
        let pair = checked(secret)?.split_once(':');
        let (user, password) = pair.ok_or(CredentialsError::NoPassword)?;
        let credentials = Credentials {
            user: user.to_owned(),
            password: password.to_owned(),
        };
        let value = format!("Basic {}", credentials.encoded());
        Ok(Authorization {
            value: sensitive(value.as_bytes()).ok_or(CredentialsError::Control)?,
            secrets: credentials.secrets().map(Secret).into(),
            source,
        })
    }

    /// Creates a bearer token (RFC 6750).
    ///
    /// # Errors
    ///
    /// Fails if it is empty, or has a blank, a control character or a character outside ASCII.
    pub fn bearer(secret: &Secret, source: String) -> Result<Self, CredentialsError> {
        let token = checked(secret)?;
        if !token.is_ascii() {
            return Err(CredentialsError::NotAscii);
        }
        if token.contains(' ') {
            return Err(CredentialsError::Blank);
        }
        let value = format!("Bearer {token}");
        Ok(Authorization {
            value: sensitive(value.as_bytes()).ok_or(CredentialsError::Control)?,
            secrets: vec![secret.clone()],
            source,
        })
    }

    /// Takes `value` as it is, but marks it as sensitive, so that `Debug` does not show it.
    pub fn custom(mut value: HeaderValue, source: String) -> Self {
        value.set_sensitive(true);
        let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
        // Redacted alone too, without the name of the scheme.
        let rest = text.split_once(' ').map(|(_, rest)| rest.to_owned());
        Authorization {
            secrets: rest.into_iter().chain([text]).map(Secret).collect(),
            value,
            source,
        }
    }

    /// Returns the value of the header.
    pub fn value(&self) -> &HeaderValue {
        &self.value
    }

    /// Returns the texts that must never be shown.
    pub fn secrets(&self) -> &[Secret] {
        &self.secrets
    }

    /// Returns the source for messages, such as `--bearer-token-file token`.
    pub fn source(&self) -> &str {
        &self.source
    }
}

fn checked(Secret(text): &Secret) -> Result<&str, CredentialsError> {
    match text {
        text if text.is_empty() => Err(CredentialsError::Empty),
        text if text.contains(char::is_control) => Err(CredentialsError::Control),
        text => Ok(text),
    }
}

fn sensitive(bytes: &[u8]) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_bytes(bytes).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Headers that describe the body and the target, which only the client knows.
const OWN_HEADERS: [HeaderName; 5] = [
    CONTENT_TYPE,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    HOST,
    TRANSFER_ENCODING,
];

/// Parses `NAME: VALUE`. The value, which can be secret, is marked as sensitive.
///
/// # Errors
///
/// Fails without a colon, for an invalid name or value, and for the headers that the client itself sets:
/// `Content-Type`, `Content-Encoding`, `Content-Length`, `Host`, `Transfer-Encoding`.
pub fn parse_header(Secret(line): &Secret) -> Result<(HeaderName, HeaderValue), CredentialsError> {
    let (name, value) = line.split_once(':').ok_or(CredentialsError::NoValue)?;
    let name = HeaderName::try_from(name.trim_end()).map_err(|_| CredentialsError::HeaderName)?;
    if OWN_HEADERS.contains(&name) {
        return Err(CredentialsError::OwnHeader(name));
    }
    match sensitive(value.trim_matches([' ', '\t']).as_bytes()) {
        Some(value) => Ok((name, value)),
        None => Err(CredentialsError::HeaderValue(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let parse = |text: &str| parse_header(&Secret(text.into()));
        let (name, value) = parse("X-Scope-OrgID:  tenant a\t").unwrap();
        assert_eq!(
            (name.as_str(), value.as_bytes()),
            ("x-scope-orgid", &b"tenant a"[..])
        );
        assert_eq!(parse("a:").unwrap().1.as_bytes(), b"");
        assert_eq!(parse("s3cret"), Err(CredentialsError::NoValue));
        assert_eq!(parse("a b: c"), Err(CredentialsError::HeaderName));
        assert_eq!(parse(": c"), Err(CredentialsError::HeaderName));
        assert_eq!(
            parse("content-Type: c"),
            Err(CredentialsError::OwnHeader(CONTENT_TYPE))
        );
        let error = parse("x: s3\ncret").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the value of x has a control character in it"
        );
    }

    #[test]
    fn nothing_shows_a_secret() {
        let secret = Secret("me:s3cret".into());
        let basic = Authorization::basic(&secret, "F".into()).unwrap();
        let bearer = Authorization::bearer(&secret, "F".into()).unwrap();
        let header = parse_header(&secret).unwrap().1;
        let shown = format!("{secret:?} {basic:?} {bearer:?} {header:?}");
        // base64 of me:s3cret
        assert!(
            !shown.contains("s3cret") && !shown.contains("bWU6"),
            "{shown}"
        );
        assert_eq!(basic.value(), "Basic bWU6czNjcmV0");
        assert_eq!(bearer.value(), "Bearer me:s3cret");
    }
}
