//! Options for the limits of a delivery.

use std::time::Duration;

use clap::Args;
use clap::builder::BoolishValueParser;

use super::number::positive;
use super::setting::{Setting, Strictness, setting};
use metricsjob::job::duration;
use metricsjob::job::size::parse_size;
use metricsjob::push::DeliveryPolicy;

const DELIVERY: &str = "Delivery";

#[derive(Args)]
pub struct DeliveryArgs {
    /// How long to try a push again that failed for a reason that may pass [default: 30ms]
    ///
    /// Such are a refused or reset connection, a missing answer, 429 and 5xx. It is counted from the first
    /// failure on; the waits double, with jitter, and are as long as Retry-After says. What is undelivered
    /// then stays in the outbox, and the next run brings it, so by default no job waits for a gateway that
    /// is down. With --require-push the default is --push-deadline.
    #[arg(
        long,
        value_name = "DURATION",
        env = "METRICSJOB_PUSH_RETRY_WINDOW",
        value_parser = setting(duration::parse),
        help_heading = DELIVERY
    )]
    push_retry_window: Option<Setting<Duration>>,

    /// How long the whole delivery may take, retries and older reports in the outbox included
    #[arg(
        long,
        value_name = "DURATION",
        env = "METRICSJOB_PUSH_DEADLINE",
        default_value = "10s",
        value_parser = setting(duration::parse_positive),
        help_heading = DELIVERY
    )]
    push_deadline: Setting<Duration>,

    /// How many reports the outbox may hold; the oldest are dropped, rejected ones first
    #[arg(
        long,
        value_name = "N",
        env = "METRICSJOB_OUTBOX_LIMIT",
        default_value = "10000",
        value_parser = setting(positive::<u64>),
        help_heading = DELIVERY
    )]
    outbox_limit: Setting<u64>,

    /// How large the state may get; the oldest runs of the history are dropped, then reports that were tried
    ///
    /// That is the state database with its log, looked at now and then. What is left in any case is the last run of each
    /// job, the reports that are on their way, and the groups of the embedded gateway.
    #[arg(
        long,
        value_name = "SIZE",
        env = "METRICSJOB_STATE_LIMIT",
        default_value = "1GiB",
        value_parser = setting(state_limit),
        help_heading = DELIVERY
    )]
    state_limit: Setting<u64>,

    /// Push metrics about the deliveries too, as the job `metricsjob` with the labels instance and user
    ///
    /// At most once a minute, and at once after a failure. They stay at the gateway for as long as it lives, so they are
    /// for hosts that do, and not for runners of a CI system that come and go.
    #[arg(
        long,
        value_name = "true|false",
        env = "METRICSJOB_SELF_METRICS",
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        value_parser = setting(BoolishValueParser::new()),
        help_heading = DELIVERY
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
