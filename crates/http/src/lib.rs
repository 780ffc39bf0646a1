//! Metrics of HTTP services: a tower layer that counts requests, a handler for `/metrics`, and a manager for
//! all metrics of a service.
//!
//! ```
//! # #[cfg(feature = "axum")] {
//! use axum::{Router, routing::get};
//! use metricsjob_http::{HttpMetrics, Manager};
//!
//! let manager = Manager::builder().label("region", "eu").build()?;
//! let http = manager.register_http(HttpMetrics::builder())?;
//! let app: Router = Router::new()
//!     .route("/users/{id}", get(async || "Ada"))
//!     .layer(http)
//!     .route_service("/metrics", manager.handler());
//! # }
//! # Ok::<(), prometheus::Error>(())
//! ```
//!
//! Whatever clients send, the number of series is bounded: the label `endpoint` is the template of a route
//! (`/users/{id}`), never a path, and unknown methods and routes are [`OTHER`].
//!
//! - [`HttpMetrics`]: the metrics, and the layer that counts into them. [`HttpMetricsBuilder`]: names, labels,
//!   namespace, buckets; [`name_endpoint`]: routes that only a handler knows; [`Exchange`]: one request, for
//!   servers that are no tower services.
//! - [`AccessLog`]: a record of each request, as a closure or as an event of [`tracing`].
//! - [`MetricsHandler`]: the service at `/metrics`; [`negotiation`]: the format of its response.
//! - [`Manager`]: a registry with a namespace, default labels and collectors; with the feature `push`, also
//!   pushes to a Pushgateway.
//!
//! The feature `axum` reads routes and client addresses from axum's extensions. No feature is on by default.

#![warn(missing_docs)]

mod access_log;
mod body;
mod exchange;
mod handler;
mod layer;
mod manager;
mod metrics;
pub mod negotiation;
#[cfg(feature = "push")]
mod push_task;

pub use access_log::{AccessLog, AccessRecord, ClientAddress, TracingAccessLog};
pub use body::MeasuredBody;
pub use exchange::{Exchange, RequestProgress, name_endpoint};
pub use handler::MetricsHandler;
pub use layer::{MeasuredFuture, MeasuredService};
pub use manager::{Manager, ManagerBuilder};
pub use metrics::{
    DURATION_BUCKETS, HttpLabel, HttpMetric, HttpMetrics, HttpMetricsBuilder, OTHER, SIZE_BUCKETS,
};
#[cfg(feature = "push")]
pub use push_task::PushTask;
