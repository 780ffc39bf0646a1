//! Getting a report to a gateway, or keeping it.
//!
//! It may use [`crate::backoff`], [`crate::client`], [`metricsjob_system::files`], [`metricsjob_metrics`] and [`metricsjob_state`]; it knows no jobs and no runs.
//!
//! - [`Gateway`]: where pushes go, and what can be asked there.
//! - [`url`]: what names a gateway, with its secrets kept apart.
//! - `api`: the groups in the answer of a Pushgateway's API.
//! - [`Connection`]: how a gateway is reached, besides its URL; [`tls`], [`credentials`] and
//!   [`encoding`] are its parts.
//! - [`http`]: the client of a gateway that is reached over HTTP.
//! - `embedded`: changes of the embedded gateway.
//! - [`Courier`]: delivers to one gateway by way of the outbox. `drain` is all that waits for one group,
//!   `split` a push that is refused, in parts, `together` what waits for many groups of the embedded gateway, `retry` one push that is tried again,
//!   `group_lock` what keeps deliveries to one group apart.
//! - [`DeliveryPolicy`]: what a delivery may take; [`Stop`]: what ends it early.
//! - [`Dispatch`]: one push to several gateways.
//! - [`delete`]: deleting a group, with what waits for it.
//! - [`secrets`]: our own secrets, kept out of what others write.
//! - [`self_report`]: how pushing goes, as metrics.

mod api;
mod connection;
pub mod credentials;
mod deletion;
mod delivery;
mod dispatch;
mod drain;
mod embedded;
pub mod encoding;
mod gateway;
mod group_lock;
pub mod http;
mod policy;
mod retry;
pub mod secrets;
pub mod self_report;
mod split;
mod stop;
pub mod tls;
mod together;
pub mod url;

pub use connection::{Connection, Timeouts};
pub use deletion::delete;
pub use delivery::{Courier, Delivery, Flushed, Kept, Undelivered};
pub use dispatch::Dispatch;
pub use gateway::{EMBEDDED, Gateway, GatewayError, Pusher};
pub use policy::DeliveryPolicy;
pub use stop::Stop;
pub use url::{GatewayUrl, GatewayUrlError};
