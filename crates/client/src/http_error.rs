//! Failures of requests to a gateway.

use std::time::Duration;

use reqwest::StatusCode;

/// A request to a gateway that did not do what it should.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HttpError {
    /// A client that could not be set up.
    #[error("could not set up the HTTP client: {0}")]
    Setup(String),
    /// A variable or a file that describes the connection cannot be used.
    #[error("{0}")]
    Unusable(String),
    /// There is no connection.
    #[error("could not connect to {url}: {reason}")]
    Connect {
        /// The URL, without credentials.
        url: String,
        /// The reason, in words.
        reason: String,
        /// The side whose certificate was not accepted, if that is the reason.
        certificates: Option<CertificateFailure>,
    },
    /// A complete answer that took too long.
    #[error("{url} did not respond within {}", rounded(*.limit))]
    Timeout {
        /// The URL, without credentials.
        url: String,
        /// The time limit.
        limit: Duration,
        /// The caller's limit is over, and not that of [`Timeouts`](crate::Timeouts).
        is_of_caller: bool,
    },
    /// A connection that took too long.
    #[error("no connection to {url} within {}", humantime::format_duration(*.limit))]
    ConnectTimeout {
        /// The URL, without credentials.
        url: String,
        /// The time limit.
        limit: Duration,
    },
    /// A request that was stopped early.
    #[error("{url} had not responded when this process was asked to end")]
    Stopped {
        /// The URL, without credentials.
        url: String,
    },
    /// An answer that is too large.
    #[error("{url} sends an answer of more than {most} bytes, or than there is memory for")]
    TooLarge {
        /// The URL, without credentials.
        url: String,
        /// The most bytes that are read.
        most: usize,
    },
    /// An answer that broke off.
    #[error("the connection to {url} broke: {reason}")]
    Broken {
        /// The URL, without credentials.
        url: String,
        /// The reason, in words.
        reason: String,
    },
    /// An answer with a status other than success.
    #[error("{url} responded with {status}{}{}", said(.message), advised(.cure))]
    Status {
        /// The URL, without credentials.
        url: String,
        /// The status of the answer.
        status: StatusCode,
        /// What the gateway wrote, made fit for a terminal. May be empty.
        message: String,
        /// What to do about it, where that is known.
        cure: Option<String>,
        /// The request had credentials.
        had_credentials: bool,
        /// How long it asked to be left alone, by `Retry-After` in seconds (RFC 9110, section 10.2.3).
        retry_after: Option<Duration>,
    },
}

/// The reason why a TLS handshake failed, where one side did not accept the other's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateFailure {
    /// The gateway's is not from an authority that is trusted here.
    UnknownAuthority {
        /// The authorities were given, and are not the system's.
        are_given: bool,
    },
    /// The gateway wants one of ours, and there is none.
    ClientMissing,
    /// The gateway does not accept ours.
    ClientRefused,
}

impl HttpError {
    /// Returns true if the gateway got the push and refused it, so that it would refuse it again: an HTTP
    /// status from 400 to 499, but for 408 (request timeout) and 429 (too many requests), and for those
    /// that are about who sends it, see [`is_of_sender`](Self::is_of_sender).
    pub fn is_rejection(&self) -> bool {
        self.status().is_some_and(|status| {
            status.is_client_error()
                && !matches!(status.as_u16(), 408 | 429)
                && !self.is_of_sender()
        })
    }

    /// Returns true if the gateway did not take it because of who sent it: 401, 403 or 407. With the right
    /// credentials it may take the same push.
    pub fn is_of_sender(&self) -> bool {
        let status = self.status().as_ref().map(StatusCode::as_u16);
        matches!(status, Some(401 | 403 | 407))
    }

    /// Returns true if the reason may pass by itself: no connection, no response, a broken one, 408, 429, or a
    /// status from 500 to 599.
    pub fn is_transient(&self) -> bool {
        match self {
            HttpError::Status { status, .. } => {
                status.is_server_error() || matches!(status.as_u16(), 408 | 429)
            }
            HttpError::Setup(_)
            | HttpError::Unusable(_)
            | HttpError::Stopped { .. }
            | HttpError::TooLarge { .. } => false,
            HttpError::Connect { .. }
            | HttpError::Timeout { .. }
            | HttpError::ConnectTimeout { .. }
            | HttpError::Broken { .. } => true,
        }
    }

    /// How long the gateway asked to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            HttpError::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The status of the response, if there was one.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            HttpError::Status { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// In whole milliseconds.
fn rounded(duration: Duration) -> humantime::FormattedDuration {
    let millis = duration.as_millis().try_into().unwrap_or(u64::MAX);
    humantime::format_duration(Duration::from_millis(millis))
}

fn said(message: &str) -> String {
    match message {
        "" => String::new(),
        _ => format!(": {message}"),
    }
}

fn advised(cure: &Option<String>) -> String {
    match cure {
        Some(cure) => format!(" ({cure})"),
        None => String::new(),
    }
}
