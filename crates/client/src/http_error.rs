//! Failures of requests to a gateway.

use std::time::Duration;

use reqwest::StatusCode;

/// Reason why a request to a gateway failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HttpError {
    /// The client could not be set up.
    #[error("could not set up the HTTP client: {0}")]
    Setup(String),
    /// [`Connection::unusable`](crate::Connection::unusable), which forbids any request.
    #[error("{0}")]
    Unusable(String),
    /// No connection to the gateway or its proxy.
    #[error("could not connect to {url}: {reason}")]
    Connect {
        /// The URL, without credentials.
        url: String,
        /// The reason, in words.
        reason: String,
        /// The certificate that was refused, if that is the reason.
        certificates: Option<CertificateFailure>,
    },
    /// No complete response within the time limit.
    #[error("{url} did not respond within {}", rounded(*.limit))]
    Timeout {
        /// The URL, without credentials.
        url: String,
        /// The time limit.
        limit: Duration,
        /// True if the limit is the caller's, and not that of [`Timeouts`](crate::Timeouts).
        is_of_caller: bool,
    },
    /// No connection within the time limit.
    #[error("no connection to {url} within {}", humantime::format_duration(*.limit))]
    ConnectTimeout {
        /// The URL, without credentials.
        url: String,
        /// The time limit.
        limit: Duration,
    },
    /// A request abandoned because a stop was wanted.
    #[error("{url} had not responded when this process was asked to end")]
    Stopped {
        /// The URL, without credentials.
        url: String,
    },
    /// A response body larger than the caller accepts, or than memory allows.
    #[error("{url} sends an answer of more than {most} bytes, or than there is memory for")]
    TooLarge {
        /// The URL, without credentials.
        url: String,
        /// The most bytes that the caller accepts.
        most: usize,
    },
    /// A connection that broke, or a response that is not valid HTTP.
    #[error("the connection to {url} broke: {reason}")]
    Broken {
        /// The URL, without credentials.
        url: String,
        /// The reason, in words.
        reason: String,
    },
    /// A response with a status other than 2xx.
    #[error("{url} responded with {status}{}{}", said(.message), advised(.cure))]
    Status {
        /// The URL, without credentials.
        url: String,
        /// The status of the response.
        status: StatusCode,
        /// The body of the response or the target of its redirect, redacted, on one line. May be empty.
        message: String,
        /// Advice on how to fix it, if known.
        cure: Option<String>,
        /// True if the request had credentials.
        had_credentials: bool,
        /// The wait that the gateway asks for: `Retry-After` in seconds (RFC 9110, section 10.2.3). The form with a
        /// date is ignored.
        retry_after: Option<Duration>,
    },
}

/// Reason why a TLS handshake failed, where one side did not accept the other's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateFailure {
    /// The gateway's certificate is not from a trusted authority.
    UnknownAuthority {
        /// True if the authorities were configured, false for the system's.
        are_given: bool,
    },
    /// The gateway requires a client certificate, and none is configured.
    ClientMissing,
    /// The gateway does not accept the client certificate.
    ClientRefused,
}

impl HttpError {
    /// Returns true if the gateway refused the push itself, and would refuse it again: a status from 400 to 499,
    /// except 408 (request timeout), 429 (too many requests), and those of [`is_of_sender`](Self::is_of_sender).
    pub fn is_rejection(&self) -> bool {
        self.status().is_some_and(|status| {
            status.is_client_error()
                && !matches!(status.as_u16(), 408 | 429)
                && !self.is_of_sender()
        })
    }

    /// Returns true if the gateway refused the sender: 401, 403 or 407. It may accept the same push with other
    /// credentials.
    pub fn is_of_sender(&self) -> bool {
        let status = self.status().as_ref().map(StatusCode::as_u16);
        matches!(status, Some(401 | 403 | 407))
    }

    /// Returns true if a retry may succeed: no connection (but for a refused certificate), no or a broken response, 408, 429, or a status from 500 to
    /// 599.
    pub fn is_transient(&self) -> bool {
        match self {
            HttpError::Status { status, .. } => {
                status.is_server_error() || matches!(status.as_u16(), 408 | 429)
            }
            // A certificate that is refused now is refused again.
            HttpError::Connect { certificates, .. } => certificates.is_none(),
            HttpError::Setup(_)
            | HttpError::Unusable(_)
            | HttpError::Stopped { .. }
            | HttpError::TooLarge { .. } => false,
            HttpError::Timeout { .. }
            | HttpError::ConnectTimeout { .. }
            | HttpError::Broken { .. } => true,
        }
    }

    /// Returns the wait that the gateway asks for by `Retry-After`.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            HttpError::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Returns the status of the response, if it is the reason.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            HttpError::Status { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// Formats a duration in whole milliseconds.
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
