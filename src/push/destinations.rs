//! The destinations of reports and notifications.

use std::path::PathBuf;

use super::gateway::Gateway;
use super::notifier::Notifier;
use super::recipient::DeliveryTarget;
use crate::job::{GatewayName, Job, ReportDestination};
use metricsjob_client::Connection;

/// The destinations of reports, those of the host or those that a job names, and of notifications.
pub struct Destinations {
    pub gateways: Vec<Gateway>,
    /// True if the only gateway is the embedded one because none was named.
    pub is_default: bool,
    /// Destinations of the host besides the gateways.
    pub targets: Vec<ReportDestination>,
    pub state_dir: PathBuf,
    /// How they are reached that jobs name.
    pub connection: Connection,
    /// True if the gateways that jobs name count, and the host's are not for every job.
    pub yields_gateways: bool,
    /// True if other destinations that jobs name count, likewise.
    pub yields_targets: bool,
}

impl Destinations {
    /// The gateways of the host.
    pub fn of_host(&self) -> &[Gateway] {
        if self.is_default && !self.targets.is_empty() {
            return &[];
        }
        &self.gateways
    }

    /// The gateways of a job that names `named`, whether or not it reports elsewhere.
    fn gateways_of(&self, named: &[GatewayName]) -> Vec<Gateway> {
        if named.is_empty() || !self.yields_gateways {
            return self.gateways.clone();
        }
        let named = named.iter().cloned();
        each_once(
            named.map(|name| Gateway::new(name, self.state_dir.clone(), self.connection.clone())),
        )
    }

    /// The destinations of the reports of `job`: its gateways, or those of the host, and likewise what else there is. The
    /// embedded gateway is one by default where there is no other.
    pub fn of(&self, job: &Job) -> Vec<DeliveryTarget> {
        let targets = match job.to.as_slice() {
            named if named.is_empty() || !self.yields_targets => &self.targets,
            named => named,
        };
        let is_default = self.is_default && (job.gateways.is_empty() || !self.yields_gateways);
        let gateways = self.gateways_of(&job.gateways);
        destinations(&gateways, is_default, targets, &self.connection)
    }

    /// Everything that the reports and notifications of `jobs` go to, and the gateways of the host, each once.
    pub fn of_all<'a>(&self, jobs: impl Iterator<Item = &'a Job>) -> Vec<DeliveryTarget> {
        let mut all: Vec<DeliveryTarget> =
            self.of_host().iter().map(DeliveryTarget::from).collect();
        for job in jobs {
            let notified = job.policy.notify.to.iter().cloned();
            let notified = notified
                .map(|target| DeliveryTarget::Notifier(Notifier::new(target, &self.connection)));
            for destination in self.of(job).into_iter().chain(notified) {
                if !all.iter().any(|known| known.name() == destination.name()) {
                    all.push(destination);
                }
            }
        }
        all
    }
}

/// The destinations of a report: `gateways` and `named`, each once. An embedded gateway that is the only one by default
/// gives way to what is named.
pub fn destinations(
    gateways: &[Gateway],
    is_default: bool,
    named: &[ReportDestination],
    connection: &Connection,
) -> Vec<DeliveryTarget> {
    let mut all: Vec<DeliveryTarget> = if is_default && !named.is_empty() {
        Vec::new()
    } else {
        gateways.iter().map(DeliveryTarget::from).collect()
    };
    for target in named {
        let target = DeliveryTarget::target(target.clone(), connection);
        if !all.contains(&target) {
            all.push(target);
        }
    }
    all
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
