//! Reasons why a web config file cannot be used.

use std::io;
use std::path::{Path, PathBuf};

use super::yaml::NodePlace;
use metricsjob_system::reason;

/// Reason why a web config file cannot be used. It never shows passwords, hashes or keys.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("could not read {}: {} (--web.config.file)", .path.display(), reason(.source))]
    Read { path: PathBuf, source: io::Error },
    /// A problem at a line and column, both from 1.
    #[error("{}:{line}:{column}: {problem}", .path.display())]
    At {
        path: PathBuf,
        line: usize,
        column: usize,
        problem: Problem,
    },
    #[error("{}: {problem}", .path.display())]
    Somewhere { path: PathBuf, problem: Problem },
}

/// A problem in the file.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("{0}")]
    Yaml(String),
    #[error("{key} {value:?} is not known: it can be {known}")]
    Unknown {
        key: &'static str,
        value: String,
        known: String,
    },
    #[error("{key} {value:?} is not supported: {cure}")]
    Unsupported {
        key: &'static str,
        value: String,
        cure: &'static str,
    },
    #[error("tls_server_config: missing one of {0} or {0}_file")]
    Missing(&'static str),
    #[error("{0} and {0}_file are both given: remove one of them")]
    Both(&'static str),
    #[error("failed to read {key} ({}): {}", .path.display(), reason(.source))]
    File {
        key: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("{0}: it holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)")]
    NoCertificate(String),
    #[error("{0}: it is not well-formed PEM")]
    Pem(String),
    #[error(
        "{0}: it holds no private key in PEM form; one that is encrypted must be decrypted first"
    )]
    NoKey(String),
    #[error("{of}: certificate {number} in it cannot be used: {reason}")]
    Certificate {
        of: String,
        number: usize,
        reason: String,
    },
    #[error("the key in {key} is not the one of the certificate in {certificate}")]
    OtherKey { key: String, certificate: String },
    #[error("the certificate or key cannot be used: {0}")]
    Identity(String),
    #[error("min_version {0} is above max_version {1}")]
    NoVersion(&'static str, &'static str),
    #[error("no cipher suite is left: {0}")]
    NoCipher(&'static str),
    #[error("client CA's have been configured without a Client Auth Policy: set client_auth_type")]
    NoPolicy,
    #[error(
        "client_auth_type {0} needs the authorities that the clients' certificates are from: give \
         client_ca_file"
    )]
    NoAuthority(&'static str),
    #[error(
        "client_allowed_sans protects nothing while clients are not asked for a certificate: set \
         client_auth_type: RequireAndVerifyClientCert"
    )]
    UselessSans,
    #[error("HTTP header {0:?} can not be configured: it can be {1}")]
    Header(String, String),
    #[error("invalid value for {name}. Expected one of: {expected:?}, but got: {value:?}")]
    HeaderValue {
        name: &'static str,
        expected: &'static [&'static str],
        value: String,
    },
    #[error("the value of {0} has a character in it that no header may have")]
    HeaderText(&'static str),
    #[error(
        "the value for the user {0:?} is not a bcrypt hash: make one of the password by htpasswd \
         -nBC 10 {0}"
    )]
    Hash(String),
    #[error("the user {0:?} has a colon in the name, which ends it in a request")]
    User(String),
    #[error("interval {0:?} is no duration (try 1s or 100ms)")]
    Interval(String),
    #[error("with burst: 0 no request is ever answered: give at least 1")]
    Burst,
}

impl Problem {
    /// Locates the problem at `place` in the file `path`.
    pub fn at(self, path: &Path, place: Option<NodePlace>) -> ConfigError {
        let path = path.to_owned();
        let problem = self;
        match place {
            None => ConfigError::Somewhere { path, problem },
            Some(NodePlace { line, column }) => ConfigError::At {
                path,
                line,
                column,
                problem,
            },
        }
    }
}

/// A problem and its location, if it has one.
pub type Placed = (Problem, Option<NodePlace>);
