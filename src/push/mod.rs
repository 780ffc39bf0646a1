//! Getting a report to a gateway, or keeping it.
//!
//! It may use [`metricsjob_client`], [`metricsjob_system`], [`metricsjob_metrics`] and [`metricsjob_state`]; it knows
//! no jobs and no runs.
//!
//! - [`Gateway`]: where pushes go, and the other requests to it; [`GatewayClient`]: pushes to it.
//! - `embedded`: changes of the embedded gateway.
//! - [`Courier`]: delivers to one gateway by way of the outbox. `drain` delivers all entries that wait for one
//!   group, `split` a push that is refused, in parts, `retry` one push that is tried again; `group_lock` keeps
//!   deliveries to one group apart.
//! - [`DeliveryPolicy`]: limits of a delivery.
//! - [`Dispatch`]: one push to several gateways.
//! - [`delete`]: deletes a group, with the entries that wait for it.
//! - [`secrets`]: secrets of this process, kept out of the output of jobs.
//! - [`self_report`]: how pushing goes, as metrics.

mod deletion;
mod delivery;
mod dispatch;
mod drain;
mod embedded;
mod gateway;
mod group_lock;
mod policy;
mod retry;
pub mod secrets;
pub mod self_report;
mod split;

pub use deletion::delete;
pub use delivery::{Courier, Delivery, Flushed, Kept, Undelivered};
pub use dispatch::Dispatch;
pub use gateway::{EMBEDDED, Gateway, GatewayClient, GatewayError};
pub use policy::DeliveryPolicy;
