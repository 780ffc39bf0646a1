//! Getting a report to a gateway, or keeping it.
//!
//! It may use [`crate::client`], [`crate::metrics`] and [`crate::state`]; it knows no jobs and no runs.
//!
//! - [`Gateway`]: where pushes go, and what can be asked there.
//! - [`url`]: what names a gateway, with its secrets kept apart.
//! - [`path`]: a grouping key as URL path.
//! - `api`: the groups in the answer of a Pushgateway's API.
//! - [`Connection`]: how a gateway is reached, besides its URL; [`tls`], [`credentials`] and
//!   [`encoding`] are its parts.
//! - [`http`]: the client of a gateway that is reached over HTTP.
//! - [`deliver`]: one push, from the check to the outbox.

mod api;
mod connection;
pub mod credentials;
mod delivery;
pub mod encoding;
mod gateway;
pub mod http;
pub mod path;
pub mod tls;
pub mod url;

pub use connection::Connection;
pub use delivery::{Delivery, Kept, deliver};
pub use gateway::{EMBEDDED, Gateway, GatewayError, Pusher};
pub use http::Timeouts;
pub use url::{GatewayUrl, GatewayUrlError};
