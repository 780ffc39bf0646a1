//! All metrics of the server, pushed to the gateways: for servers that cannot be scraped.

use std::time::SystemTime;

use super::damage::tell_damage;
use super::exporter::Shown;
use super::scheduler::Scheduler;
use crate::push::{Gateway, GatewayClient};
use metricsjob_client::Stop;
use metricsjob_metrics::check::add_pushable;
use metricsjob_metrics::{Family, GroupingKey, GroupingKeyError, Labels, Method, Push};
use metricsjob_state::LazyState;

/// The job label of the group.
const JOB: &str = "metricsjob";

/// Pushes all metrics to one gateway. Nothing is kept that cannot be delivered: the next push has newer
/// values.
pub struct Publication {
    key: GroupingKey,
    client: GatewayClient,
    state: LazyState,
    /// True if the last one failed, which is logged once.
    has_failed: bool,
    stop: Stop,
}

impl Publication {
    /// One for each gateway, so that none waits for another. They push into the group of this `instance`.
    pub fn to_each_gateway(
        scheduler: &Scheduler,
        instance: String,
        stop: &Stop,
    ) -> Result<Vec<Self>, GroupingKeyError> {
        let runner = scheduler.runner();
        let key = GroupingKey::new(JOB, [("instance".to_owned(), instance)])?;
        let to = |gateway: &Gateway| Publication {
            key: key.clone(),
            client: GatewayClient::new(gateway),
            state: LazyState::new(runner.state_dir()),
            has_failed: false,
            stop: stop.clone(),
        };
        Ok(runner.destinations().of_host().iter().map(to).collect())
    }

    /// Pushes the current metrics of `scheduler`, and `further` families of the server.
    pub fn push(&mut self, scheduler: &Scheduler, further: Vec<Family>) {
        let all = Shown::of(scheduler, further).families();
        let all = all
            .into_iter()
            .map(|family| self.pushable(family))
            .collect();
        let mut families = Vec::new();
        let left_out = add_pushable(&self.key, &mut families, all);
        let push = Push::new(self.key.clone(), Method::Put, families, SystemTime::now());
        let push = match push {
            Ok(push) => push,
            Err(error) => return self.tell(Err(error.to_string())),
        };
        let timeout = scheduler.runner().delivery().deadline;
        let (state, stop) = (&mut self.state, &self.stop);
        let result = self.client.push(&push, state, timeout, stop);
        tell_damage(state);
        let (sent, failed) = (u64::from(result.is_ok()), u64::from(result.is_err()));
        scheduler.state().window.pushes(sent, failed);
        let result = result.map_err(|error| error.to_string());
        let left_out = left_out.first().map(|error| error.to_string());
        self.tell(result.and(left_out.map_or(Ok(()), Err)));
    }

    /// The family as it can be in the group: labels that the group has are renamed as Prometheus renames those
    /// that its target has.
    fn pushable(&self, mut family: Family) -> Family {
        for metric in &mut family.metrics {
            let has_ours = metric.labels.keys().any(|label| self.key.has_label(label));
            if has_ours {
                let labels = metric.labels.iter();
                let labels = labels.map(|(name, value)| {
                    if self.key.has_label(name) {
                        (format!("exported_{name}"), value)
                    } else {
                        (name.to_owned(), value)
                    }
                });
                metric.labels = labels.collect::<Labels>();
            }
        }
        family
    }

    fn tell(&mut self, result: Result<(), String>) {
        let is_failure = result.is_err();
        let gateway = self.client.name();
        match result {
            Err(error) if !self.has_failed => {
                tracing::warn!(
                    gateway,
                    err = error,
                    "the server's metrics could not all be pushed"
                );
            }
            Ok(()) if self.has_failed => {
                tracing::info!(gateway, "the server's metrics are pushed again");
            }
            _ => {}
        }
        self.has_failed = is_failure;
    }
}
