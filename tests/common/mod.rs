//! The harness: the built binary in a home of its own, gateways to push to, servers that misbehave.

mod authority;
pub mod campaign;
#[cfg(feature = "real-servers")]
mod chromium;
pub mod client_model;
#[cfg(feature = "real-servers")]
pub mod code_blocks;
#[cfg(feature = "real-servers")]
pub mod curl;
mod fake_server;
pub mod families;
mod fault;
mod fault_proxy;
mod gateway;
pub mod histograms;
pub mod http;
pub mod monitoring;
pub mod own_gateway;
pub mod own_server;
pub mod page;
mod port;
pub mod process;
mod program;
mod proxy;
mod sandbox;
mod server;
mod stamp;
mod tls_server;
mod waiting;
pub mod web_server;

pub use authority::Authority;
pub use fake_server::FakeServer;
pub use fault::Fault;
pub use fault_proxy::FaultProxy;
pub use gateway::{Samples, TestGateway, of_job, status_samples};
pub use port::Port;
pub use process::PATIENCE;
pub use program::{US, environment, isolate};
pub use proxy::TunnelProxy;
pub use sandbox::{Finished, Sandbox};
pub use server::Server;
pub use stamp::{stamp, stamp_groups};
pub use tls_server::TlsServer;
pub use waiting::{
    awaited, catches, children, eventually, eventually_within, finished, is_alive, kib, send,
};
#[cfg(feature = "real-servers")]
pub use {chromium::Chromium, gateway::exposed_samples, http::Answer, process::Process};

/// Makes each named function, which takes a `&TestGateway`, a test against the embedded gateway, and
/// one against a real Pushgateway.
macro_rules! on_each_gateway {
    ($($name:ident),+ $(,)?) => {
        mod embedded {
            $(#[test]
            fn $name() {
                super::$name(&crate::common::TestGateway::embedded());
            })+
        }
        #[cfg(feature = "real-servers")]
        mod pushgateway {
            $(#[test]
            fn $name() {
                super::$name(&crate::common::TestGateway::pushgateway());
            })+
        }
    };
}
