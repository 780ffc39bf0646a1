//! The option that names destinations of reports besides gateways.

use std::ffi::OsString;

use clap::Args;
use clap::builder::OsStringValueParser;

use super::help::GATEWAY;
use super::host_config;
use super::options::Targets;
use super::setting::{Setting, Strictness, lists, setting};
use metricsjob::job::ReportDestination;
use metricsjob::push::{DeliveryTarget, destinations};

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
        let Targets {
            gateways,
            is_default,
            connection,
            ..
        } = targets;
        Ok(destinations(gateways, *is_default, &named, connection))
    }

    /// The targets that the options name.
    ///
    /// # Errors
    ///
    /// As for [`destinations`](Self::destinations).
    pub fn named(&self, strictness: Strictness) -> anyhow::Result<Vec<ReportDestination>> {
        let named = lists(
            &self.to,
            ("--to", VARIABLE),
            ReportDestination::parse_all,
            strictness,
        )?;
        Ok(named.unwrap_or_default())
    }

    /// Returns true if what a job names counts: neither the command line nor the environment has any.
    pub fn yields_to_jobs(&self) -> bool {
        let is_lent = host_config::is_lent(VARIABLE);
        let is_of_config = |given: &Setting<OsString>| is_lent && !given.is_typed();
        self.to.iter().all(is_of_config)
    }
}
