//! Checks of endpoints, all at the same time.

use std::error::Error;
use std::time::{Duration, Instant};

use reqwest::{Client, RequestBuilder, StatusCode};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use url::Host;

use super::endpoint::ProbeTarget;
use super::status::ExpectedStatus;
use crate::job::builtin::{Context, TaskError};
use metricsjob_client::call::{self, Runtime, innermost};

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

/// Checks that are set up, before their time begins to count.
pub struct ProbeChecks {
    requests: Vec<ProbeRequest>,
    runtime: Runtime,
}

enum ProbeRequest {
    Http(Box<RequestBuilder>, ExpectedStatus),
    Tcp(Host, u16),
}

impl ProbeChecks {
    /// A check of each of `endpoints`, which is up over HTTP if the response's status is `expected`. For `https`
    /// certificates are verified by the system's roots.
    ///
    /// # Errors
    ///
    /// The system has no roots, or there are too many open files.
    pub fn new<'a>(
        endpoints: impl Iterator<Item = &'a ProbeTarget>,
        expected: ExpectedStatus,
    ) -> Result<Self, SetupError> {
        let setup = |error: &(dyn Error + 'static)| SetupError(innermost(error));
        let (mut plain, mut tls) = (None, None);
        let mut request = |endpoint: &ProbeTarget| {
            let target = match endpoint {
                ProbeTarget::Tcp { host, port } => {
                    return Ok(ProbeRequest::Tcp(host.clone(), *port));
                }
                ProbeTarget::Http(target) => target,
            };
            let is_https = target.is_https();
            let known = if is_https { &mut tls } else { &mut plain };
            let client: &Client = match known {
                Some(client) => client,
                None => {
                    // Without a proxy: what one leads to is not what was to be checked.
                    let client = call::builder(is_https).no_proxy().build();
                    known.insert(client.map_err(|error| setup(&error))?)
                }
            };
            let request = target.get(client);
            Ok(ProbeRequest::Http(Box::new(request), expected))
        };
        Ok(ProbeChecks {
            requests: endpoints.map(&mut request).collect::<Result<_, _>>()?,
            runtime: Runtime::new().map_err(|error| setup(&error))?,
        })
    }

    /// Waits for the headers of each response, or for each TCP connection, for `limit` at most. Returns how long
    /// each took, in the order of the endpoints.
    ///
    /// # Errors
    ///
    /// It was interrupted: then nothing is known about the services.
    pub fn run(
        self,
        limit: Duration,
        context: &Context<'_>,
    ) -> Result<Vec<Result<Duration, Down>>, TaskError> {
        let late = |request: &ProbeRequest| Down::Timeout {
            what: match request {
                ProbeRequest::Http(..) => "answer",
                ProbeRequest::Tcp(..) => "connection",
            },
            limit,
        };
        let mut results: Vec<_> = self.requests.iter().map(late).map(Err).collect();
        let work = async {
            let mut checks = JoinSet::new();
            for (place, request) in self.requests.into_iter().enumerate() {
                checks.spawn(async move { (place, request.duration().await) });
            }
            while let Some(done) = checks.join_next().await {
                let (place, result) = done.map_err(|error| TaskError(error.to_string()))?;
                results[place] = result;
            }
            Ok(())
        };
        let meanwhile = |_| context.progress("waiting for an answer", 0, 0);
        let work = context.wait_for(work, limit, meanwhile);
        self.runtime.block_on(work)?.transpose()?;
        Ok(results)
    }
}

impl ProbeRequest {
    async fn duration(self) -> Result<Duration, Down> {
        let start = Instant::now();
        match self {
            ProbeRequest::Http(request, expected) => get(*request, expected).await,
            ProbeRequest::Tcp(host, port) => connect(&host, port).await,
        }
        .map(|()| start.elapsed())
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
