//! The destinations of reports and notifications.

use std::path::{Path, PathBuf};

use super::gateway::Gateway;
use super::notifier::Notifier;
use super::recipient::Destination;
use crate::job::{GatewayName, Job};
use metricsjob_client::Connection;

/// The destinations of reports, those of the host or those that a job names, and of notifications.
pub struct Destinations {
    gateways: Vec<Gateway>,
    state_dir: PathBuf,
    /// How they are reached that jobs name.
    connection: Connection,
    /// True if the gateways that jobs name count, and the host's are not for every job.
    yields_to_jobs: bool,
}

impl Destinations {
    /// Sends every report to `gateways`, or if that `yields_to_jobs` only those of jobs that name none.
    pub fn new(
        gateways: Vec<Gateway>,
        state_dir: &Path,
        connection: Connection,
        yields_to_jobs: bool,
    ) -> Self {
        Destinations {
            gateways,
            state_dir: state_dir.to_owned(),
            connection,
            yields_to_jobs,
        }
    }

    /// The gateways of the host.
    pub fn of_host(&self) -> &[Gateway] {
        &self.gateways
    }

    /// The gateways of a job that names `named`.
    pub fn of(&self, named: &[GatewayName]) -> Vec<Gateway> {
        if named.is_empty() || !self.yields_to_jobs {
            return self.gateways.clone();
        }
        let named = named.iter().cloned();
        each_once(
            named.map(|name| Gateway::new(name, self.state_dir.clone(), self.connection.clone())),
        )
    }

    /// How they are reached who are notified.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Everything that the reports and notifications of `jobs` go to, each once.
    pub fn of_all<'a>(&self, jobs: impl Iterator<Item = &'a Job> + Clone) -> Vec<Destination> {
        let of_jobs = jobs.clone().flat_map(|job| self.of(&job.gateways));
        let gateways = each_once(self.gateways.iter().cloned().chain(of_jobs));
        let mut all: Vec<Destination> = gateways.iter().map(Destination::from).collect();
        for target in jobs.flat_map(|job| &job.policy.notify.to) {
            let notifier = Notifier::new(target.clone(), &self.connection);
            let notifier = Destination::Notifier(notifier);
            if !all.contains(&notifier) {
                all.push(notifier);
            }
        }
        all
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
