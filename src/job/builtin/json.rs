//! `json`: numbers from a JSON document over HTTP, by the pointers of the job's `[[metric]]` entries.

use std::time::Duration;

use reqwest::Client;
use reqwest::header::ACCEPT;
use serde_json::Value as Json;

use super::http_target::HttpTarget;
use super::{Builtin, Context, Task, TaskError};
use crate::job::params::{Param, ParamError, Params};
use crate::job::size::parse_size;
use metricsjob_client::call::{self, Runtime, innermost};

/// Reads a document once, and reports the numbers that the rules of the job file point to.
pub struct JsonApi;

const PARAMS: &[Param] = &[
    Param {
        name: "url",
        default: None,
        help: "Where the JSON document is (required): http://… or https://…, without a proxy; \
               user:password@ is sent and never shown",
    },
    Param {
        name: "timeout",
        default: Some("5s"),
        help: "How long all may take: DNS, connection, TLS, the whole answer",
    },
    Param {
        name: "max-size",
        default: Some("1MiB"),
        help: "How large the document may be",
    },
];

impl Builtin for JsonApi {
    fn name(&self) -> &'static str {
        "json"
    }

    fn params(&self) -> &'static [Param] {
        PARAMS
    }

    fn reads_by_rules(&self) -> bool {
        true
    }

    fn prepare(&self, params: &Params) -> Result<Box<dyn Task>, ParamError> {
        let params = params.read(self.name(), PARAMS)?;
        let timeout = params.positive_duration("timeout")?.unwrap_or_default();
        let max_size = params.parse("max-size", |text| match parse_size(text)? {
            0 => Err("leaves room for nothing (for example 1MiB)".into()),
            size => Ok(size),
        })?;
        // The last, so that the others are checked where the URL is still to be given.
        let target = params.parse("url", HttpTarget::parse)?;
        Ok(Box::new(JsonReading {
            target: target.ok_or_else(|| params.required("url"))?,
            timeout,
            max_size: max_size.unwrap_or_default(),
        }))
    }
}

struct JsonReading {
    target: HttpTarget,
    timeout: Duration,
    max_size: usize,
}

impl Task for JsonReading {
    fn run(&mut self, context: &Context<'_>) -> Result<(), TaskError> {
        let url = &self.target.url;
        let failed = |why: String| TaskError(format!("{url}: {why}"));
        let document = self.document(context)?.map_err(failed)?;
        let mut problems = Vec::new();
        for rule in context.rules() {
            let Some(pointer) = &rule.pointer else {
                continue;
            };
            let number = pointer.number(&document).map_err(|error| error.to_string());
            if let Err(problem) = number.and_then(|number| context.report(rule, number)) {
                problems.push(format!("{}: {problem}", rule.name));
            }
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(failed(problems.join("; ")))
        }
    }
}

impl JsonReading {
    /// The document, or why there is none.
    ///
    /// # Errors
    ///
    /// It was interrupted.
    fn document(&self, context: &Context<'_>) -> Result<Result<Json, String>, TaskError> {
        let setup = |why: String| TaskError(format!("could not set up the request: {why}"));
        // Without a proxy, as for probe.
        let client = call::builder(self.target.is_https()).no_proxy().build();
        let client = client.map_err(|error| setup(innermost(&error)))?;
        let runtime = Runtime::new().map_err(|error| setup(innermost(&error)))?;
        let meanwhile = |_| context.progress("waiting for an answer", 0, 0);
        let work = context.wait_for(self.get(&client), self.timeout, meanwhile);
        let limit = humantime::format_duration(self.timeout);
        let late = || Err(format!("no whole answer within {limit}"));
        Ok(runtime.block_on(work)?.unwrap_or_else(late))
    }

    async fn get(&self, client: &Client) -> Result<Json, String> {
        let request = self.target.get(client).header(ACCEPT, "application/json");
        let mut answer = request.send().await.map_err(|error| innermost(&error))?;
        let status = answer.status();
        if status.is_redirection() {
            return Err(format!(
                "it responded with {status}, and redirects are not followed"
            ));
        }
        if !status.is_success() {
            return Err(format!("it responded with {status}, and 2xx is expected"));
        }
        let max_size = self.max_size;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| innermost(&error))? {
            if body.len() + chunk.len() > max_size {
                return Err(format!(
                    "the answer is larger than {max_size} bytes (max-size)"
                ));
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(|error| format!("the answer is not JSON: {error}"))
    }
}
