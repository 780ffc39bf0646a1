//! Who can reach a server.

use std::sync::Arc;

use super::config::Config;

/// Who can reach a server.
#[derive(Clone)]
pub struct Access {
    is_loopback: bool,
    config: Option<Arc<Config>>,
}

impl Access {
    pub(super) fn new(is_loopback: bool, config: Option<Arc<Config>>) -> Self {
        Access {
            is_loopback,
            config,
        }
    }

    /// Whether no other machine can.
    pub fn is_loopback(&self) -> bool {
        self.is_loopback
    }

    /// Whether only those can that show who they are, by a password or a certificate: the web config file
    /// says so now.
    pub fn is_authenticated(&self) -> bool {
        let config = self.config.as_ref();
        config.is_some_and(|config| config.knows_clients())
    }
}
