//! Getting a report to a gateway, or keeping it.
//!
//! It may use [`metricsjob_client`], [`metricsjob_system`], [`metricsjob_metrics`], [`metricsjob_state`] and the
//! destinations that a [`crate::job`] names; it knows no runs.
//!
//! - [`DeliveryTarget`]: where entries of the outbox go; [`Recipient`]: a client of one.
//! - [`Gateway`]: where pushes go; [`GatewayClient`]: requests to it; [`Destinations`]: the gateways of each job.
//! - `embedded`: changes of the embedded gateway.
//! - `textfile`, `remote_write`: destinations of reports besides gateways; `notifier`: where notifications go.
//! - [`Courier`]: delivers to one destination by way of the outbox; [`Delivery`] is the outcome. `drain` delivers all
//!   entries that wait for one group; `send` sends one push, with retries, and by `split` in parts if it is refused;
//!   `group_lock` keeps deliveries to one group apart.
//! - [`DeliveryPolicy`]: limits of a delivery.
//! - [`Dispatch`]: deliveries to several destinations.
//! - [`delete`]: deletes a group, with the entries that wait for it; [`GroupSelection`] deletes those that selectors select.
//! - [`secrets`]: secrets of this process, kept out of the output of jobs.
//! - [`self_report`]: how pushing goes, as metrics.
//! - [`strays`]: groups that this host has left behind, or shares with another one.

mod courier;
mod deletion;
mod delivery;
mod destinations;
mod dispatch;
mod drain;
mod embedded;
mod gateway;
mod group_lock;
mod notifier;
mod policy;
mod recipient;
mod remote_write;
pub mod secrets;
mod selection;
pub mod self_report;
mod send;
mod split;
pub mod strays;
mod textfile;

pub use courier::Courier;
pub use deletion::delete;
pub use delivery::{Delivery, Kept, Undelivered};
pub use destinations::{Destinations, destinations, each_once};
pub use dispatch::{Dispatch, Item};
pub use gateway::{Gateway, GatewayClient, GatewayError};
pub use notifier::{Notifier, NotifierClient};
pub use policy::DeliveryPolicy;
pub use recipient::{DeliveryTarget, Recipient};
pub use selection::{DeletedGroups, GroupSelection};
pub use textfile::{Textfile, TextfileError};
