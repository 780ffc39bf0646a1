//! Options for the limits of a delivery.

use std::time::Duration;

use clap::Args;
use clap::builder::BoolishValueParser;

use super::help::GROUPING;
use super::number::positive;
use super::setting::{Setting, Strictness, setting};
use metricsjob::job::duration;
use metricsjob::job::size::parse_size;
use metricsjob::push::DeliveryPolicy;

#[derive(Args)]
pub struct DeliveryArgs {
    /// How long to keep retrying a push after a temporary failure [default: 30ms]
    ///
    /// Temporary failures are a refused or reset connection, no response, 429 and 5xx. The window starts at
    /// the first failure; delays double, with jitter, and follow Retry-After. A report that is not delivered
    /// by then stays in the outbox for the next run, so by default no job waits for a gateway that is down.
    /// With --require-push the default is --push-deadline.
    #[arg(hide_short_help = true, long,
        value_name = "DURATION",
        env = "METRICSJOB_PUSH_RETRY_WINDOW",
        hide_env_values = true,
        value_parser = setting(duration::parse),
        help_heading = GROUPING
    )]
    push_retry_window: Option<Setting<Duration>>,

    /// Time limit for the whole delivery, including retries and older reports in the outbox
    #[arg(hide_short_help = true, long,
        value_name = "DURATION",
        env = "METRICSJOB_PUSH_DEADLINE",
        hide_env_values = true,
        default_value = "10s",
        value_parser = setting(duration::parse_positive),
        help_heading = GROUPING
    )]
    push_deadline: Setting<Duration>,

    /// Maximum number of reports in the outbox; the oldest are dropped, rejected ones first
    #[arg(hide_short_help = true, long,
        value_name = "N",
        env = "METRICSJOB_OUTBOX_LIMIT",
        hide_env_values = true,
        default_value = "10000",
        value_parser = setting(positive::<u64>),
        help_heading = GROUPING
    )]
    outbox_limit: Setting<u64>,

    /// Maximum size of the state database; the oldest runs are dropped, then reports that failed
    ///
    /// The size includes the database's log and is checked from time to time. The last run of each job, reports being
    /// delivered and the embedded gateway's groups are never dropped.
    #[arg(hide_short_help = true, long,
        value_name = "SIZE",
        env = "METRICSJOB_STATE_LIMIT",
        hide_env_values = true,
        default_value = "1GiB",
        value_parser = setting(state_limit),
        help_heading = GROUPING
    )]
    state_limit: Setting<u64>,

    /// Push metrics about deliveries too, as job `metricsjob` with the labels instance and user
    ///
    /// They are pushed at most once a minute, and at once after a failure. They stay at the gateway until deleted, so use
    /// this on permanent hosts, not on short-lived CI runners.
    #[arg(hide_short_help = true, long,
        value_name = "true|false",
        hide_possible_values = true,
        env = "METRICSJOB_SELF_METRICS",
        hide_env_values = true,
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        value_parser = setting(BoolishValueParser::new()),
        help_heading = GROUPING
    )]
    self_metrics: Setting<bool>,
}

/// A smaller limit would be used up by the data that must be kept.
const MIN_STATE_LIMIT: u64 = 1024 * 1024;

fn state_limit(text: &str) -> Result<u64, String> {
    match u64::try_from(parse_size(text)?) {
        Ok(limit) if limit < MIN_STATE_LIMIT => Err("it is less than 1MiB".into()),
        Ok(limit) => Ok(limit),
        Err(_) => Err("it is too large".into()),
    }
}

impl DeliveryArgs {
    /// Policy from the options. A delivery that `is_required` is retried up to its deadline by default, because it is
    /// worth the wait.
    pub fn policy(
        &self,
        is_required: bool,
        strictness: Strictness,
    ) -> anyhow::Result<DeliveryPolicy> {
        let default = DeliveryPolicy::default();
        let deadline = self.push_deadline.get_or(default.deadline, strictness)?;
        let window = if is_required {
            deadline
        } else {
            default.retry_window
        };
        Ok(DeliveryPolicy {
            deadline,
            retry_window: match &self.push_retry_window {
                Some(given) => given.get_or(window, strictness)?,
                None => window,
            },
            outbox_limit: self.outbox_limit.get_or(default.outbox_limit, strictness)?,
            state_limit: self.state_limit.get_or(default.state_limit, strictness)?,
            self_metrics: self.self_metrics.get_or(default.self_metrics, strictness)?,
        })
    }
}
