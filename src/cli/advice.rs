//! Advice on errors: the options that mend them.

use anyhow::anyhow;
use reqwest::StatusCode;

use super::exit::usage;
use metricsjob::push::GatewayError;
use metricsjob_client::{CertificateFailure, HttpError};
use metricsjob_web::{ListenError, WebError};

/// The text of `error`, with advice where an option can mend it.
pub fn with_advice(error: &GatewayError) -> String {
    let advice = error.http().and_then(advice).unwrap_or_default();
    format!("{error}{advice}")
}

/// The option that mends `error`, to follow its text.
pub fn advice(error: &HttpError) -> Option<&'static str> {
    use CertificateFailure as Failure;
    match error {
        HttpError::Timeout { is_of_caller, .. } => Some(if *is_of_caller {
            ": raise --push-deadline if it is only slow"
        } else {
            ": raise --push-timeout if it is only slow"
        }),
        HttpError::ConnectTimeout { .. } => Some(": raise --connect-timeout if it is only slow"),
        HttpError::TooLarge { .. } => {
            Some(" (gateway import reads larger ones by --max-answer-size)")
        }
        HttpError::Status {
            status: StatusCode::UNAUTHORIZED,
            had_credentials: false,
            ..
        } => Some(" (give it credentials by --basic-auth-file or --bearer-token-file)"),
        HttpError::Status { url, .. } if is_below_metrics(url) => Some(
            " (the gateway's URL ends in /metrics, which is where Prometheus scrapes it: give its base URL alone, \
             such as http://127.0.0.1:9091)",
        ),
        HttpError::Connect {
            certificates: Some(failure),
            ..
        } => match failure {
            Failure::UnknownAuthority { are_given: true } => {
                Some(": is --ca-file the one for this gateway?")
            }
            Failure::UnknownAuthority { are_given: false } => {
                Some(": give that authority's certificate by --ca-file")
            }
            Failure::ClientMissing => Some(": give one by --client-cert and --client-key"),
            Failure::ClientRefused => Some(
                ": is --client-cert from the authority that the gateway trusts, and still valid?",
            ),
            _ => None,
        },
        _ => None,
    }
}

/// Returns true for a URL that was made of a gateway's base URL with `/metrics` at its end.
fn is_below_metrics(url: &str) -> bool {
    url.contains("/metrics/metrics/job") || url.contains("/metrics/api/v1/")
}

/// The error of a server that cannot start, whose address came from `option`.
pub fn cannot_start(error: WebError, option: &str) -> anyhow::Error {
    let WebError::Listen(error) = error else {
        return error.into();
    };
    match &error {
        ListenError::Address { .. } => usage(anyhow!("{option}: {error}")),
        ListenError::None => usage(anyhow!("{error}: give one by {option}")),
        ListenError::Bind { .. } => anyhow!("{error} (choose another address with {option})"),
        ListenError::NoSystemdSocket | ListenError::SystemdSocket { .. } => {
            anyhow!("--web.systemd-socket: {error}")
        }
    }
}
