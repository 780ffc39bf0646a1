//! The options that say what a delivery may take.

use std::time::Duration;

use clap::Args;
use clap::builder::BoolishValueParser;

use crate::job::duration;
use crate::push::DeliveryPolicy;

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
        value_parser = duration::parse,
        help_heading = DELIVERY
    )]
    push_retry_window: Option<Duration>,

    /// How long the whole delivery may take, retries and older reports in the outbox included
    #[arg(
        long,
        value_name = "DURATION",
        env = "METRICSJOB_PUSH_DEADLINE",
        default_value = "10s",
        value_parser = duration::parse_positive,
        help_heading = DELIVERY
    )]
    push_deadline: Duration,

    /// How many reports the outbox may hold; the oldest are dropped, rejected ones first
    #[arg(
        long,
        value_name = "N",
        env = "METRICSJOB_OUTBOX_LIMIT",
        default_value_t = DeliveryPolicy::default().outbox_limit,
        value_parser = clap::value_parser!(u64).range(1..),
        help_heading = DELIVERY
    )]
    outbox_limit: u64,

    /// Whether the gateway gets metrics about the deliveries too, as the job `metricsjob`
    ///
    /// At most once a minute, and at once after a failure.
    #[arg(
        long,
        value_name = "true|false",
        env = "METRICSJOB_SELF_METRICS",
        default_value_t = true,
        action = clap::ArgAction::Set,
        value_parser = BoolishValueParser::new(),
        help_heading = DELIVERY
    )]
    self_metrics: bool,
}

impl DeliveryArgs {
    /// What the options say, for a delivery that `is_required`, so that retries are worth the wait.
    pub fn policy(&self, is_required: bool) -> DeliveryPolicy {
        let window = match is_required {
            true => self.push_deadline,
            false => DeliveryPolicy::default().retry_window,
        };
        DeliveryPolicy {
            deadline: self.push_deadline,
            retry_window: self.push_retry_window.unwrap_or(window),
            outbox_limit: self.outbox_limit,
            self_metrics: self.self_metrics,
        }
    }
}
