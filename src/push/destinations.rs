//! The gateways that reports go to.

use std::path::{Path, PathBuf};

use super::gateway::Gateway;
use crate::job::GatewayName;
use metricsjob_client::Connection;

/// The gateways that reports go to: those of the host, or those that a job names.
pub struct Destinations {
    gateways: Vec<Gateway>,
    state_dir: PathBuf,
    /// How the gateways of jobs are reached; `None` if the host's are for every job.
    of_jobs: Option<Connection>,
}

impl Destinations {
    /// Sends every report to `gateways`, or with `of_jobs` only those of jobs that name none.
    pub fn new(gateways: Vec<Gateway>, state_dir: &Path, of_jobs: Option<Connection>) -> Self {
        Destinations {
            gateways,
            state_dir: state_dir.to_owned(),
            of_jobs,
        }
    }

    /// The gateways of the host.
    pub fn of_host(&self) -> &[Gateway] {
        &self.gateways
    }

    /// The gateways of a job that names `named`.
    pub fn of(&self, named: &[GatewayName]) -> Vec<Gateway> {
        match &self.of_jobs {
            Some(connection) if !named.is_empty() => {
                let named = named.iter().cloned();
                each_once(
                    named
                        .map(|name| Gateway::new(name, self.state_dir.clone(), connection.clone())),
                )
            }
            _ => self.gateways.clone(),
        }
    }

    /// The gateways of the host and of jobs that name `named`, each once.
    pub fn of_all<'a>(&self, named: impl Iterator<Item = &'a [GatewayName]>) -> Vec<Gateway> {
        let of_jobs = named.flat_map(|named| self.of(named));
        each_once(self.gateways.iter().cloned().chain(of_jobs))
    }
}

/// Leaves out those that have the name of an earlier one: the outbox tells them apart by it.
pub fn each_once(gateways: impl Iterator<Item = Gateway>) -> Vec<Gateway> {
    let mut unique: Vec<Gateway> = Vec::new();
    for gateway in gateways {
        let name = gateway.to_string();
        if !unique.iter().any(|known| known.to_string() == name) {
            unique.push(gateway);
        }
    }
    unique
}
