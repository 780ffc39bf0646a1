//! A client of Prometheus Pushgateways.
//!
//! - [`HttpGateway`]: the client of one gateway; [`HttpError`]: why a request failed.
//! - [`GatewayUrl`]: where it is, with the secrets of the URL kept apart.
//! - [`Connection`]: how it is reached besides; [`tls`], [`credentials`] and [`encoding`] are its parts.
//! - [`Backoff`]: waits between attempts; [`Stop`]: what ends a request early.
//! - [`api`]: the groups in a response of the Pushgateway's API.
//! - [`secrets`]: credentials kept out of what a server writes.
//! - [`call`]: what everything shares that calls a URL: credentials, proxies, a runtime.
//!
//! Of ours it imports [`metricsjob_metrics`] only.

pub mod api;
mod backoff;
pub mod call;
mod connection;
pub mod credentials;
pub mod encoding;
mod http;
pub mod secrets;
mod stop;
pub mod tls;
mod url;

pub use backoff::Backoff;
pub use connection::{Connection, Timeouts};
pub use http::{HttpError, HttpGateway};
pub use stop::Stop;
pub use url::{GatewayUrl, GatewayUrlError};
