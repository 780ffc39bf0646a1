//! A client of Prometheus Pushgateways, for batch jobs.
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
//! Without the feature `prometheus` (on by default) families of [`metricsjob_metrics`] are pushed, see
//! [`Pusher::families`]; without `tls` (on by default) gateways are reached by plain HTTP only.
//!
//! - [`Pusher`]: pushes metrics to one group, or deletes it.
//! - [`HttpGateway`]: the client of one gateway that it is built on; [`HttpError`]: why a request failed.
//! - [`GatewayUrl`]: where a gateway is, with the secrets of the URL kept apart.
//! - [`Connection`]: how it is reached besides; [`tls`], [`credentials`] and [`encoding`] are its parts.
//! - [`Backoff`]: waits between attempts; [`Stop`]: what ends a request early.
//! - [`api`]: the groups in a response of the Pushgateway's API.
//! - [`secrets`]: credentials kept out of what a server writes.
//! - [`call`]: parts that every caller of a URL shares: credentials, proxies, a runtime.

#![warn(missing_docs)]

pub mod api;
mod backoff;
pub mod call;
mod connection;
pub mod credentials;
pub mod encoding;
mod http;
mod http_error;
mod pusher;
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
pub use pusher::{Pusher, PusherError};
pub use retries::Retries;
pub use stop::Stop;
pub use url::{GatewayUrl, GatewayUrlError};
