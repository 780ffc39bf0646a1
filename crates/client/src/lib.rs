//! Client of Prometheus Pushgateways for batch jobs.
//!
//! A job that times itself and reports how it went, whatever happens:
//!
//! ```no_run
//! use metricsjob_client::Job;
//!
//! # fn import() -> Result<u64, std::io::Error> { Ok(42) }
//! fn main() -> Result<(), std::io::Error> {
//!     Job::new("import").gateway("http://pushgateway:9091").run(|run| {
//!         let rows = import()?;
//!         run.gauge("import_rows", "Rows that were imported.", &[]).set(rows as f64);
//!         Ok(())
//!     })
//! }
//! ```
//!
//! A program that has a registry adds one call:
//!
//! ```
//! use metricsjob_client::Pusher;
//! use prometheus::{IntCounter, Registry};
//!
//! # let gateway = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
//! # let url = format!("http://{}", gateway.local_addr().unwrap());
//! # std::thread::spawn(move || {
//! #     use std::io::{Read, Write};
//! #     let (mut stream, _) = gateway.accept().unwrap();
//! #     let _ = stream.read(&mut [0; 4096]);
//! #     let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
//! # });
//! let records = IntCounter::new("db_backup_records_total", "Records.")?;
//! let registry = Registry::new();
//! registry.register(Box::new(records.clone()))?;
//! records.inc_by(42);
//!
//! Pusher::new(&url, "db_backup")? // such as http://pushgateway:9091
//!     .grouping("db", "customers")?
//!     .registry(&registry)
//!     .add()?; // POST; .push() is PUT, .delete() is DELETE
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Without the feature `prometheus` (on by default), which [`Job`] needs, push families of [`metricsjob_metrics`] by
//! [`Pusher::families`]; without `tls` (on by default), gateways are reached by plain HTTP only.
//!
//! - [`Job`]: a batch job, its [`Run`]s and their [`Report`]s.
//! - [`Pusher`]: pushes metrics to one group, or deletes it; [`PushRequest`]: a push for other HTTP clients.
//! - [`HttpGateway`]: the client of one gateway beneath it; [`HttpError`]: why a request failed.
//! - [`GatewayUrl`]: the URL of a gateway, with its credentials kept apart.
//! - [`Connection`]: further settings; [`tls`], [`credentials`] and [`encoding`] are their parts.
//! - [`Backoff`]: waits between retries; [`Stop`]: abandons requests early.
//! - [`api`]: groups in a response of the Pushgateway's API.
//! - [`grouping`]: grouping labels as settings give them; [`host`]: names of this host and its user.
//! - [`secrets`]: redaction of credentials in messages.
//! - [`call`]: shared parts of HTTP callers: credentials, proxies, a runtime.

#![warn(missing_docs)]

pub mod api;
mod backoff;
pub mod call;
mod connection;
pub mod credentials;
pub mod encoding;
pub mod grouping;
pub mod host;
mod http;
mod http_error;
#[cfg(feature = "prometheus")]
mod job;
mod notices;
mod pusher;
mod request;
mod retries;
pub mod secrets;
mod stop;
#[cfg_attr(not(feature = "tls"), path = "no_tls.rs")]
pub mod tls;
mod url;

pub use backoff::Backoff;
pub use connection::{Connection, Timeouts};
pub use http::HttpGateway;
pub use http_error::{CertificateFailure, HttpError};
#[cfg(feature = "prometheus")]
pub use job::{Job, JobError, Report, Run};
pub use pusher::{Pusher, PusherError};
pub use request::PushRequest;
pub use retries::Retries;
pub use stop::Stop;
pub use url::{GatewayUrl, GatewayUrlError};
