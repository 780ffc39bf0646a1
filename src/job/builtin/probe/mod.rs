//! `probe`: a check whether a service responds.
//!
//! - `endpoint`: the endpoints that can be checked.
//! - `status`: the HTTP statuses that count as up.
//! - `check`: the check itself.

mod check;
mod endpoint;
mod status;

use std::time::Duration;

use self::check::Check;
use self::endpoint::ProbeTarget;
use self::status::ExpectedStatus;
use super::{Builtin, Context, Task, TaskError};
use crate::job::params::{Param, ParamError, Params};

/// Checks once whether an HTTP or TCP endpoint responds, and how fast.
pub struct Probe;

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
        let is_tcp = endpoint.as_ref().is_some_and(ProbeTarget::is_tcp);
        let status = params.parse("status", |text| {
            if is_tcp {
                Err("is for an HTTP endpoint: what is reached over TCP has no status".into())
            } else {
                text.parse()
            }
        })?;
        // The last, so that the others are checked where the endpoint is still to be given.
        let endpoint = endpoint.ok_or_else(|| params.required("endpoint"))?;
        Ok(Box::new(Probing {
            service: service.unwrap_or_else(|| endpoint.host()),
            endpoint,
            timeout,
            expected: status.unwrap_or_default(),
        }))
    }
}

struct Probing {
    service: String,
    endpoint: ProbeTarget,
    timeout: Duration,
    expected: ExpectedStatus,
}

impl Task for Probing {
    fn run(&mut self, context: &Context<'_>) -> Result<(), TaskError> {
        let check = Check::new(&self.endpoint, self.expected)
            .map_err(|error| TaskError(error.to_string()))?;
        let result = check.run(self.timeout, context)?;
        let endpoint = self.endpoint.to_string();
        let labels = [("service", &*self.service), ("endpoint", &*endpoint)];
        // Registered only now: while the check is running, and if it is interrupted, nothing is known.
        let up = context.labelled_gauge(
            "external_service_up",
            "Whether the service answered as expected (1) or not (0).",
            &labels,
        )?;
        let latency = result
            .map_err(|down| TaskError(format!("{} at {endpoint} is down: {down}", self.service)))?;
        up.set(1.0);
        context
            .labelled_gauge(
                "external_service_latency_seconds",
                "Seconds until the headers of the HTTP answer, or until the TCP connection stood.",
                &labels,
            )?
            .set(latency.as_secs_f64());
        Ok(())
    }
}
