//! `probe`: a check whether services respond.
//!
//! - `endpoint`: the endpoints that can be checked.
//! - `status`: the HTTP statuses that count as up.
//! - `check`: the checks themselves.

mod check;
mod endpoint;
mod status;

use std::collections::HashSet;
use std::time::Duration;

use self::check::ProbeChecks;
use self::endpoint::{NamedEndpoint, ProbeTarget};
use self::status::ExpectedStatus;
use super::{Builtin, Context, Task, TaskError};
use crate::job::params::{Param, ParamError, Params};

/// Checks once whether HTTP or TCP endpoints respond, and how fast.
pub struct Probe;

/// How many endpoints one run checks: each takes an open file.
const MAX_ENDPOINTS: usize = 100;

const PARAMS: &[Param] = &[
    Param {
        name: "endpoint",
        default: None,
        help: "What to check (required): http://…, https://… or tcp://HOST:PORT, without a proxy; \
               user:password@ is sent and never shown",
    },
    Param {
        name: "service",
        default: None,
        help: "The label service of the metrics (default: the endpoint's host)",
    },
    Param {
        name: "endpoints",
        default: None,
        help: "In place of endpoint and service: several NAME=ENDPOINT, in a job file a list, else with \
               blanks between them; all are checked at the same time",
    },
    Param {
        name: "timeout",
        default: Some("5s"),
        help: "How long the whole check may take: DNS, connection, TLS, the answer's headers",
    },
    Param {
        name: "status",
        default: None,
        help: "HTTP: the status that means up, such as 200 or 2xx (default: 2xx or 3xx; redirects \
               are not followed)",
    },
];

impl Builtin for Probe {
    fn name(&self) -> &'static str {
        "probe"
    }

    fn params(&self) -> &'static [Param] {
        PARAMS
    }

    fn prepare(&self, params: &Params) -> Result<Box<dyn Task>, ParamError> {
        let params = params.read(self.name(), PARAMS)?;
        let service = params.parse("service", |text| match text {
            "" => Err("is no label value: leave it out for the endpoint's host".into()),
            _ => Ok(text.to_owned()),
        })?;
        let timeout = params.positive_duration("timeout")?.unwrap_or_default();
        let endpoint = params.parse("endpoint", ProbeTarget::parse)?;
        let several = params.words("endpoints", NamedEndpoint::parse)?;
        let mut all = endpoint
            .iter()
            .chain(several.iter().flatten().map(|named| &named.endpoint));
        let has_endpoint = endpoint.is_some() || several.is_some();
        let is_tcp = has_endpoint && all.all(ProbeTarget::is_tcp);
        let status = params.parse("status", |text| {
            if is_tcp {
                Err("is for an HTTP endpoint: what is reached over TCP has no status".into())
            } else {
                text.parse()
            }
        })?;
        // The last, so that the others are checked where the endpoint is still to be given.
        let endpoints = match several {
            Some(several) => {
                params.either("endpoints", "endpoint")?;
                params.either("endpoints", "service")?;
                check_all(&several)
                    .map_err(|(value, problem)| params.refused("endpoints", &value, problem))?;
                several
            }
            None => {
                let endpoint = endpoint.ok_or_else(|| params.required("endpoint"))?;
                let service = service.unwrap_or_else(|| endpoint.host());
                vec![NamedEndpoint { service, endpoint }]
            }
        };
        Ok(Box::new(Probing {
            endpoints,
            timeout,
            expected: status.unwrap_or_default(),
        }))
    }
}

/// Checks the endpoints of one run.
///
/// # Errors
///
/// There is none, or too many, or two would have the same series: the value, and what is wrong with it.
fn check_all(endpoints: &[NamedEndpoint]) -> Result<(), (String, String)> {
    let count = endpoints.len();
    if count == 0 {
        return Err((String::new(), "names no endpoint".into()));
    }
    if count > MAX_ENDPOINTS {
        let value = format!("{} …", endpoints[0].service);
        let problem =
            format!("names {count} endpoints, and {MAX_ENDPOINTS} is the most: make several jobs");
        return Err((value, problem));
    }
    let mut seen = HashSet::new();
    for NamedEndpoint { service, endpoint } in endpoints {
        let endpoint = endpoint.to_string();
        if !seen.insert((service, endpoint.clone())) {
            return Err((format!("{service}={endpoint}"), "is named twice".into()));
        }
    }
    Ok(())
}

struct Probing {
    endpoints: Vec<NamedEndpoint>,
    timeout: Duration,
    expected: ExpectedStatus,
}

impl Task for Probing {
    fn run(&mut self, context: &Context<'_>) -> Result<(), TaskError> {
        let endpoints = self.endpoints.iter().map(|named| &named.endpoint);
        let checks = ProbeChecks::new(endpoints, self.expected)
            .map_err(|error| TaskError(error.to_string()))?;
        let results = checks.run(self.timeout, context)?;
        // Registered only now: while the checks are running, and if they are interrupted, nothing is known.
        let mut down = Vec::new();
        for (NamedEndpoint { service, endpoint }, result) in self.endpoints.iter().zip(results) {
            let endpoint = endpoint.to_string();
            let labels = [("service", &**service), ("endpoint", &*endpoint)];
            let up = context.labelled_gauge(
                "external_service_up",
                "Whether the service answered as expected (1) or not (0).",
                &labels,
            )?;
            match result {
                Ok(latency) => {
                    up.set(1.0);
                    let help = "Seconds until the headers of the HTTP answer, or until the TCP connection stood.";
                    context
                        .labelled_gauge("external_service_latency_seconds", help, &labels)?
                        .set(latency.as_secs_f64());
                }
                Err(why) => down.push(format!("{service} at {endpoint} is down: {why}")),
            }
        }
        if down.is_empty() {
            Ok(())
        } else {
            Err(TaskError(down.join("; ")))
        }
    }
}
