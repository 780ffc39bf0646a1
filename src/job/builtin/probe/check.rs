//! One check of an endpoint.

use std::error::Error;
use std::time::{Duration, Instant};

use reqwest::{RequestBuilder, StatusCode};
use tokio::net::TcpStream;
use url::Host;

use super::endpoint::ProbeTarget;
use super::status::ExpectedStatus;
use crate::job::builtin::{Context, TaskError};
use metricsjob_client::call::{self, Credentials, Runtime, innermost};

/// Why a service is down.
#[derive(Debug, thiserror::Error)]
pub enum Down {
    #[error("it responded with {status}, and {expected} is expected")]
    Status {
        status: StatusCode,
        expected: ExpectedStatus,
    },
    #[error("no {what} within {}", humantime::format_duration(*.limit))]
    Timeout { what: &'static str, limit: Duration },
    #[error("{0}")]
    Failed(String),
}

/// A check could not be set up, which says nothing about the service.
#[derive(Debug, thiserror::Error)]
#[error("could not set up the check: {0}")]
pub struct SetupError(String);

/// A check that is set up, before its time begins to count.
pub struct Check {
    request: ProbeRequest,
    runtime: Runtime,
}

enum ProbeRequest {
    Http(Box<RequestBuilder>, ExpectedStatus),
    Tcp(Host, u16),
}

impl Check {
    /// A check of `endpoint`, which is up over HTTP if the response's status is `expected`. For `https`
    /// certificates are verified by the system's roots.
    ///
    /// # Errors
    ///
    /// The system has no roots, or there are too many open files.
    pub fn new(endpoint: &ProbeTarget, expected: ExpectedStatus) -> Result<Self, SetupError> {
        let setup = |error: &(dyn Error + 'static)| SetupError(innermost(error));
        Ok(Check {
            request: match endpoint {
                ProbeTarget::Tcp { host, port } => ProbeRequest::Tcp(host.clone(), *port),
                ProbeTarget::Http { url, credentials } => {
                    // Without a proxy: what one leads to is not what was to be checked.
                    let client = call::builder(url.scheme() == "https").no_proxy().build();
                    let request = client.map_err(|error| setup(&error))?.get(url.clone());
                    let request = match credentials {
                        Some(Credentials { user, password }) => {
                            request.basic_auth(user, Some(password))
                        }
                        None => request,
                    };
                    ProbeRequest::Http(Box::new(request), expected)
                }
            },
            runtime: Runtime::new().map_err(|error| setup(&error))?,
        })
    }

    /// Waits for the headers of the response, or for the TCP connection, for `limit` at most. Returns
    /// how long it took.
    ///
    /// # Errors
    ///
    /// It was interrupted: then nothing is known about the service.
    pub fn run(
        self,
        limit: Duration,
        context: &Context<'_>,
    ) -> Result<Result<Duration, Down>, TaskError> {
        let what = match &self.request {
            ProbeRequest::Http(..) => "answer",
            ProbeRequest::Tcp(..) => "connection",
        };
        let work = async {
            let start = Instant::now();
            match self.request {
                ProbeRequest::Http(request, expected) => get(*request, expected).await,
                ProbeRequest::Tcp(host, port) => connect(&host, port).await,
            }
            .map(|()| start.elapsed())
        };
        let meanwhile = |_| context.progress("waiting for an answer", 0, 0);
        let done = self
            .runtime
            .block_on(context.wait_for(work, limit, meanwhile));
        Ok(done?.unwrap_or(Err(Down::Timeout { what, limit })))
    }
}

async fn get(request: RequestBuilder, expected: ExpectedStatus) -> Result<(), Down> {
    let answer = request.send().await;
    let status = answer
        .map_err(|error| Down::Failed(innermost(&error)))?
        .status();
    if expected.includes(status.as_u16()) {
        Ok(())
    } else {
        Err(Down::Status { status, expected })
    }
}

async fn connect(host: &Host, port: u16) -> Result<(), Down> {
    let stream = match host {
        Host::Domain(name) => TcpStream::connect((name.as_str(), port)).await,
        Host::Ipv4(address) => TcpStream::connect((*address, port)).await,
        Host::Ipv6(address) => TcpStream::connect((*address, port)).await,
    };
    match stream {
        Ok(_) => Ok(()),
        Err(error) => Err(Down::Failed(innermost(&error))),
    }
}
