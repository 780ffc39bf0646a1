//! The option that names destinations of reports besides gateways.

use std::ffi::OsString;

use clap::Args;
use clap::builder::OsStringValueParser;

use super::exit::usage;
use super::help::GATEWAY;
use super::host_config;
use super::options::Targets;
use super::setting::{Setting, Strictness, setting};
use metricsjob::job::ReportDestination;
use metricsjob::push::DeliveryTarget;

const VARIABLE: &str = "METRICSJOB_TO";

#[derive(Args)]
pub struct ToArgs {
    /// Report to textfile:DIR (for node_exporter) or remote-write:URL too (repeatable)
    ///
    /// textfile: writes a file for each group into the directory of node_exporter's textfile collector. remote-write: sends
    /// samples to Prometheus, VictoriaMetrics, Mimir and others that take Prometheus' remote write, with the
    /// credentials of a gateway. They add to a gateway that is given, and take the place of the embedded one. It wins
    /// over the `to` of job files.
    #[arg(
        hide_short_help = true,
        long,
        value_name = "TARGET",
        env = "METRICSJOB_TO",
        hide_env_values = true,
        value_parser = setting(OsStringValueParser::new()),
        help_heading = GATEWAY
    )]
    to: Vec<Setting<OsString>>,
}

impl ToArgs {
    /// The destinations of the reports of a job that names `of_job`: the gateways of `targets` and what is named besides.
    ///
    /// # Errors
    ///
    /// A mistake on the command line; one elsewhere only if `strictness` makes that wrong usage.
    pub fn destinations(
        &self,
        targets: &Targets,
        of_job: &[ReportDestination],
        strictness: Strictness,
    ) -> anyhow::Result<Vec<DeliveryTarget>> {
        let named = if self.yields_to_jobs() && !of_job.is_empty() {
            of_job.to_vec()
        } else {
            self.named(strictness)?
        };
        let is_embedded_by_default = targets.is_default && !named.is_empty();
        let gateways = targets.gateways.iter().map(DeliveryTarget::from);
        let mut destinations: Vec<DeliveryTarget> =
            gateways.filter(|_| !is_embedded_by_default).collect();
        for target in named {
            let destination = DeliveryTarget::target(target, &targets.connection);
            if !destinations.contains(&destination) {
                destinations.push(destination);
            }
        }
        Ok(destinations)
    }

    /// The targets that the options name.
    ///
    /// # Errors
    ///
    /// As for [`destinations`](Self::destinations).
    pub fn named(&self, strictness: Strictness) -> anyhow::Result<Vec<ReportDestination>> {
        let mut named = Vec::new();
        for given in &self.to {
            let text = given.get(strictness)?.and_then(|text| text.to_str());
            let targets = match text {
                Some(text) => ReportDestination::parse_all(text),
                None => Err("is not UTF-8".into()),
            };
            match targets {
                Ok(targets) => named.extend(targets),
                Err(problem) if given.is_typed() => {
                    return Err(usage(anyhow::anyhow!("a value of --to {problem}")));
                }
                Err(problem) => {
                    let origin = host_config::origin(VARIABLE);
                    strictness.settle(&format!("{origin} {problem}"))?;
                }
            }
        }
        Ok(named)
    }

    /// Returns true if what a job names counts: neither the command line nor the environment has any.
    pub fn yields_to_jobs(&self) -> bool {
        let is_lent = host_config::is_lent(VARIABLE);
        let is_of_config = |given: &Setting<OsString>| is_lent && !given.is_typed();
        self.to.iter().all(is_of_config)
    }
}
