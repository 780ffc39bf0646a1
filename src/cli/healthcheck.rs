//! `metricsjob healthcheck`: is a server ready?

use std::env;
use std::slice;
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use reqwest::StatusCode;

use super::advice::advice;
use super::connection_options::IdentityArgs;
use super::exit::{self, usage};
use super::help::more;
use super::setting::Strictness;
use metricsjob::job::duration::parse_positive;
use metricsjob_client::{Connection, GatewayUrl, HttpError, HttpGateway, Timeouts};

const EXAMPLES: &str = "\
Examples:
  metricsjob healthcheck
  metricsjob healthcheck http://127.0.0.1:9464 --timeout 2s
  metricsjob healthcheck https://gateway.example:9091 --ca-file ca.pem

In a Dockerfile:
  HEALTHCHECK CMD [\"metricsjob\", \"healthcheck\"]";

/// Where `gateway` and `serve` listen by default.
const LOCAL: [&str; 2] = ["http://127.0.0.1:9091", "http://127.0.0.1:9464"];

/// Bytes of a response that are read. A ready server says so in a few words.
const MAX_RESPONSE: usize = 64 * 1024;

/// Ask a server whether it is ready, as containers and scripts do
///
/// It is ready if it responds to GET /-/ready with a status of 2xx, as `metricsjob gateway` and `serve`, Pushgateways,
/// Prometheus and Alertmanager do. Then the exit code is 0 and nothing is printed; else it is 1, with the reason on
/// stderr. Proxies are not used.
#[derive(Args)]
#[command(after_help = more("healthcheck", EXAMPLES), after_long_help = EXAMPLES)]
pub struct HealthcheckArgs {
    /// Base URL of the server [default: http://127.0.0.1:9091, else http://127.0.0.1:9464]
    ///
    /// The default is where `gateway` listens by default, or where `serve` does if nothing listens there. The URL may have
    /// a path prefix, and a user and password, which are never printed. Credentials in variables and config files are
    /// used only for a URL that is given.
    #[arg(value_name = "URL")]
    url: Option<String>,

    /// Time limit for the whole check
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = parse_positive)]
    timeout: Duration,

    #[command(flatten)]
    identity: IdentityArgs,
}

pub fn main(args: &HealthcheckArgs) -> anyhow::Result<u8> {
    // A proxy's response would say nothing about the server.
    // SAFETY: there is only this thread so far.
    unsafe { env::set_var("NO_PROXY", "*") };
    let mut connection = Connection {
        timeouts: Timeouts {
            connect: args.timeout,
            total: args.timeout,
        },
        ..Connection::default()
    };
    let urls = match &args.url {
        Some(url) => {
            // What is wrong elsewhere makes the connection unusable, so that the exit code is 1.
            connection = args.identity.apply(connection, Strictness::Lenient)?;
            slice::from_ref(url)
        }
        None if args.identity.are_typed() => {
            return Err(usage(anyhow!(
                "credentials and headers are for one server: name it by its URL"
            )));
        }
        None => &LOCAL.map(str::to_owned),
    };
    for url in urls {
        let url = GatewayUrl::parse(url).map_err(usage)?;
        let server = HttpGateway::new(url, &connection);
        match server.and_then(|server| server.get("/-/ready", MAX_RESPONSE)) {
            Ok(_) => return Ok(exit::SUCCESS),
            Err(HttpError::Connect { .. }) if args.url.is_none() => {}
            Err(error) => return Err(anyhow!("{error}{}", cure(&error))),
        }
    }
    let [gateway, serve] = LOCAL;
    Err(anyhow!(
        "nothing listens at {gateway} (metricsjob gateway) or {serve} (serve): start one, or give the URL of another server"
    ))
}

fn cure(error: &HttpError) -> &'static str {
    match error {
        HttpError::Timeout { .. } | HttpError::ConnectTimeout { .. } => {
            ": raise --timeout if it is only slow"
        }
        HttpError::Status { status, .. } => match *status {
            StatusCode::NOT_FOUND => " (give the base URL of the server, below which is /-/ready)",
            StatusCode::SERVICE_UNAVAILABLE => " (its log says more)",
            _ => advice(error).unwrap_or_default(),
        },
        // The advice is for others.
        HttpError::TooLarge { .. } => " (is it the right URL?)",
        _ => advice(error).unwrap_or_default(),
    }
}
