//! The option that has the gateway show sums.

use clap::Args;

use super::exit::usage;
use super::help::LIMITS;
use metricsjob_metrics::aggregation::Aggregation;

#[derive(Args)]
pub struct AggregationArgs {
    /// Show series of several groups as their sum, such as 'job="web" without (instance)' (repeatable)
    ///
    /// A scrape then shows the sum of the series that the matchers select, without the labels in parentheses. Counters,
    /// histograms and summaries are added, and their sum does not fall if one starts anew or its group is removed. Of gauges the
    /// newest is shown, or what `gauges sum`, `gauges max` or `gauges min` behind the parentheses says. Groups stay as they were
    /// pushed. In the variable each line is a rule.
    #[arg(
        hide_short_help = true,
        long = "group.aggregate",
        value_name = "RULE",
        env = "METRICSJOB_AGGREGATE",
        hide_env_values = true,
        value_delimiter = '\n',
        help_heading = LIMITS
    )]
    aggregate: Vec<String>,
}

impl AggregationArgs {
    /// The rules.
    ///
    /// # Errors
    ///
    /// One of them cannot be used.
    pub fn rules(&self) -> anyhow::Result<Aggregation> {
        let rules = self.aggregate.iter().filter(|rule| !rule.trim().is_empty());
        let rules = Aggregation::parse(&rules.collect::<Vec<_>>());
        rules.map_err(|error| usage(anyhow::anyhow!("--group.aggregate: {error}")))
    }

    /// The rules as a status page shows them.
    pub fn flag(&self) -> (&'static str, String) {
        ("group.aggregate", self.aggregate.join("; "))
    }
}
