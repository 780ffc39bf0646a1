//! The options that say who is notified of a job's events.

use std::ffi::OsString;

use clap::Args;
use clap::builder::OsStringValueParser;

use super::help::NOTIFICATIONS;
use super::number::whole;
use super::setting::Strictness::Lenient;
use super::setting::{Setting, given, lists, setting};
use metricsjob::job::{Notify, NotifyTarget};

#[derive(Args)]
pub struct NotifyArgs {
    /// Who is notified of failures: webhook:URL, slack:URL or ping:URL (repeatable)
    ///
    /// A webhook gets JSON when a run fails after one that did not, when a metric is not in its expected range, and when
    /// the job has recovered; slack: is the same as a message for a chat. ping: is for healthchecks.io and servers like it,
    /// which hear of the start and the end of each run. With @FILE in place of the URL it is read from a file, where
    /// others do not see it. What cannot be delivered waits in the outbox. It takes the place of the job's own; an empty
    /// one turns them off.
    #[arg(hide_short_help = true, long, value_name = "TARGET", env = "METRICSJOB_NOTIFY", hide_env_values = true, value_parser = setting(OsStringValueParser::new()), help_heading = NOTIFICATIONS)]
    notify: Vec<Setting<OsString>>,

    /// Notify of every Nth failure in a row again, and not only of the first [default: 0, never]
    #[arg(hide_short_help = true, long, value_name = "N", env = "METRICSJOB_NOTIFY_EVERY", hide_env_values = true, value_parser = setting(whole::<u32>), help_heading = NOTIFICATIONS)]
    notify_every: Option<Setting<u32>>,
}

impl NotifyArgs {
    /// Overrides the settings of a job where an option was given.
    ///
    /// # Errors
    ///
    /// A target that was typed is none. It is not shown, since it can be a secret.
    pub fn apply(&self, notify: &mut Notify) -> anyhow::Result<()> {
        if let Some(every) = given(&self.notify_every, Lenient)? {
            notify.every = every;
        }
        let names = ("--notify", "METRICSJOB_NOTIFY");
        let to = lists(&self.notify, names, NotifyTarget::parse_all, Lenient)?;
        if let (Some(to), false) = (to, self.notify.is_empty()) {
            notify.to = to;
        }
        Ok(())
    }
}
