//! The table of settings: the places where each can be given, under one name.
//!
//! The setting `push_timeout` is the option `--push-timeout`, the variable `METRICSJOB_PUSH_TIMEOUT`, and the key
//! `push_timeout` of job files and of the config file, as far as it has these. What is given in several places counts in this order: option,
//! variable, job file, the user's config file, the system's, default.

use std::time::Duration;

use crate::job::duration;
use crate::job::expectations::parse_slo;
use crate::job::file::SHARED_KEYS;
use crate::job::size::parse_size;
use crate::job::{NotifyTarget, ReportDestination, parse_backoff};
use metricsjob_client::grouping::Instance;
use metricsjob_metrics::aggregation::Aggregation;

/// A setting.
#[derive(Debug, PartialEq, Eq)]
pub struct SettingSpec {
    pub name: &'static str,
    /// Table of the config file that it is in; empty for none.
    pub section: &'static str,
    pub kind: ValueKind,
    /// Value where it is given nowhere; empty for none.
    pub default: &'static str,
    places: u8,
    option: &'static str,
    variable: &'static str,
    /// Description, in one line.
    pub help: &'static str,
}

const OPTION: u8 = 1;
const VARIABLE: u8 = 2;
const JOB: u8 = 4;
const CONFIG: u8 = 8;
/// For what a host or a whole pipeline decides.
const HOST: u8 = OPTION | VARIABLE | CONFIG;
const ALL: u8 = HOST | JOB;

impl SettingSpec {
    /// The option, with its dashes, if there is one.
    pub fn option(&self) -> Option<String> {
        let option = || match self.option {
            "" => format!("--{}", self.name.replace('_', "-")),
            named => named.to_owned(),
        };
        (self.places & OPTION != 0).then(option)
    }

    /// The environment variable, if there is one.
    pub fn variable(&self) -> Option<String> {
        let variable = || match self.variable {
            "" => format!("METRICSJOB_{}", self.name.to_uppercase()),
            named => named.to_owned(),
        };
        (self.places & VARIABLE != 0).then(variable)
    }

    /// Returns true if it is a key of job files.
    pub fn is_in_jobs(&self) -> bool {
        self.places & JOB != 0
    }

    /// Returns true if the config file's value is a default of job files. `gateway` is none, because subcommands without
    /// a job need it too: a config file gives it to the command line, which yields to job files.
    pub fn is_default_of_jobs(&self) -> bool {
        self.is_in_jobs() && SHARED_KEYS.contains(&self.name)
    }

    /// Returns true if it is a key of the config file.
    pub fn is_in_config(&self) -> bool {
        self.places & CONFIG != 0
    }

    /// Name in the config file: `push_timeout`, `serve.listen`.
    pub fn key(&self) -> String {
        match self.section {
            "" => self.name.to_owned(),
            section => format!("{section}.{}", self.name),
        }
    }
}

// One row each, so that it can be read as a table.
/// All settings that can be given in more than one way.
#[rustfmt::skip]
pub const SETTINGS: &[SettingSpec] = &[
    row("gateway", ValueKind::List, "embedded", ALL, "Where reports go: URLs of Pushgateways, or embedded"),
    row("to", ValueKind::Targets, "", ALL, "Where reports go besides gateways: textfile:DIR or remote-write:URL"),
    row("prefix", ValueKind::Text, "batch_job", ALL, "What the names of the runner's metrics begin with"),
    row("method", ValueKind::OneOf(&["put", "post"]), "post", ALL, "How a report changes its group"),
    row("grouping", ValueKind::Labels, "", ALL, "Further labels of the grouping key"),
    row("instance", ValueKind::Instance, "false", ALL, "The label instance: true for this host's name, or a name"),
    row("timeout", ValueKind::PositiveDuration, "", ALL, "How long an attempt may take"),
    row("kill_after", ValueKind::Duration, "10s", ALL, "How long after SIGTERM the SIGKILL follows"),
    row("retries", ValueKind::Count(0), "0", ALL, "How often a run is tried again"),
    row("backoff", ValueKind::Backoff, "1s..1m", ALL, "How long to wait between attempts"),
    row("lock", ValueKind::Boolean, "false", ALL, "Skip a run while another one of its group is in progress"),
    row("lock_wait", ValueKind::Duration, "0s", ALL, "How long to wait for the other run before skipping"),
    row("splay", ValueKind::Duration, "0s", ALL, "Wait a random time up to this before the run"),
    row("tail", ValueKind::Count(0), "0", ALL, "How many of the last lines of stderr are kept"),
    row("keep", ValueKind::Count(0), "1000", ALL, "How many runs of a job the history keeps"),
    row("max_age", ValueKind::PositiveDuration, "", ALL, "How long after a success the next one has to come; by default the schedule says so"),
    row("max_duration", ValueKind::PositiveDuration, "", ALL, "How long a run should take at most"),
    row("slo", ValueKind::Share, "", ALL, "Share of runs that should succeed, such as 0.99"),
    row("severity", ValueKind::Text, "", ALL, "The severity of alerts about the job"),
    row("owner", ValueKind::Text, "", ALL, "Who gets the alerts about the job"),
    row("runbook", ValueKind::Text, "", ALL, "The URL of what to do when the job fails"),
    row("anomaly_metrics", ValueKind::List, "", ALL, "Metrics that are compared with earlier runs, such as duration_seconds"),
    row("notify", ValueKind::Notify, "", ALL, "Who is notified of failures: webhook:URL, slack:URL or ping:URL"),
    row("notify_every", ValueKind::Count(0), "0", ALL, "Notify of every nth failure in a row again, not only of the first"),
    row("metrics_limit", ValueKind::Size, "64MiB", ALL, "How much is read of what a command reports itself"),
    row("push_start", ValueKind::Boolean, "false", ALL, "Report the beginning of a run too"),
    row("push_interval", ValueKind::PositiveDuration, "", ALL, "How often a run in progress is reported"),
    row("require_push", ValueKind::Boolean, "false", ALL, "End with exit code 69 if a report was not delivered"),
    row("ttl", ValueKind::Duration, "", ALL, "How long after the last push our gateway removes the group; 0 for never"),
    row("push_timeout", ValueKind::PositiveDuration, "10s", HOST, "How long to wait for the gateway's response"),
    row("connect_timeout", ValueKind::PositiveDuration, "5s", HOST, "How long to wait for the connection to the gateway"),
    row("push_deadline", ValueKind::PositiveDuration, "10s", HOST, "How long a delivery may take, with its retries"),
    row("push_retry_window", ValueKind::Duration, "30ms", HOST, "How long to try a push again"),
    row("compress", ValueKind::OneOf(&["none", "gzip"]), "none", HOST, "How what is sent is compressed"),
    row("format", ValueKind::OneOf(&["text", "protobuf"]), "text", HOST, "The format in which metrics are sent"),
    row("outbox_limit", ValueKind::Count(1), "10000", HOST, "How many reports the outbox may hold"),
    row("state_limit", ValueKind::Size, "1GiB", HOST, "How large the state may get"),
    row("self_metrics", ValueKind::Boolean, "false", HOST, "Push metrics about the deliveries too"),
    row("state_dir", ValueKind::Path, "", HOST, "Where the local database is"),
    row("jobs_dir", ValueKind::Path, "", HOST, "A directory with job files, searched before the others"),
    row("quiet", ValueKind::Boolean, "false", HOST, "Print errors and warnings only"),
    row("output", ValueKind::OneOf(&["text", "json"]), "text", OPTION | VARIABLE, "The form of the result"),
    row("basic_auth_file", ValueKind::Path, "", HOST, "A file with user:password").of("credentials"),
    row("bearer_token_file", ValueKind::Path, "", HOST, "A file with a bearer token").of("credentials"),
    row("ca_file", ValueKind::Path, "", HOST, "The certificate authorities to trust").of("credentials"),
    row("client_cert", ValueKind::Path, "", HOST, "The client certificate").of("credentials"),
    row("client_key", ValueKind::Path, "", HOST, "The private key of the client certificate").of("credentials"),
    row("aggregate", ValueKind::Rules, "", HOST, "Which series of the gateway a scrape shows as their sum, such as job=\"web\" without (instance)").option_named("--group.aggregate"),
    row("receiver", ValueKind::Receivers, "", CONFIG, "Who gets the alerts, for generate alertmanager"),
    row("listen", ValueKind::List, "127.0.0.1:9464", HOST, "Where serve listens").of("serve").option_named("--web.listen-address").variable_named("METRICSJOB_SERVE_LISTEN"),
    row("gateway_listen", ValueKind::Text, "", HOST, "Where serve serves the embedded gateway").of("serve"),
    row("concurrency", ValueKind::Count(1), "64", HOST, "How many runs of serve there may be at a time").of("serve"),
    row("grace", ValueKind::Duration, "5s", HOST, "How long runs of serve may go on at its end").of("serve"),
    row("push_interval", ValueKind::PositiveDuration, "", HOST, "How often serve pushes its own metrics").of("serve").variable_named("METRICSJOB_SERVE_PUSH_INTERVAL"),
    row("push_instance", ValueKind::Text, "", HOST, "The label instance of serve's own metrics").of("serve"),
];

const fn row(
    name: &'static str,
    kind: ValueKind,
    default: &'static str,
    places: u8,
    help: &'static str,
) -> SettingSpec {
    SettingSpec {
        name,
        section: "",
        kind,
        default,
        places,
        option: "",
        variable: "",
        help,
    }
}

impl SettingSpec {
    const fn of(self, section: &'static str) -> SettingSpec {
        SettingSpec { section, ..self }
    }

    const fn option_named(self, option: &'static str) -> SettingSpec {
        SettingSpec { option, ..self }
    }

    const fn variable_named(self, variable: &'static str) -> SettingSpec {
        SettingSpec { variable, ..self }
    }
}

/// Form of a setting's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    Text,
    /// One or several; in a variable separated by commas or blanks.
    List,
    /// A table in files; a list of `name=value` in a variable.
    Labels,
    /// Destinations of reports besides gateways.
    Targets,
    /// Rules of aggregation; in a variable a line each.
    Rules,
    /// Where notifications go, which may be secret.
    Notify,
    /// Tables `[[receiver]]` in a file.
    Receivers,
    /// `true`, `false` or a name.
    Instance,
    Path,
    Duration,
    /// Longer than 0.
    PositiveDuration,
    /// `1s..1m`.
    Backoff,
    Size,
    Boolean,
    /// Between 0 and 1.
    Share,
    /// A whole number from this on.
    Count(u64),
    OneOf(&'static [&'static str]),
}

impl ValueKind {
    /// Checks a value in the form of a variable.
    ///
    /// # Errors
    ///
    /// The reason, for a person to read behind the value.
    pub fn check(self, text: &str) -> Result<(), String> {
        match self {
            ValueKind::Duration => duration::parse(text).map(|_: Duration| ()),
            ValueKind::Backoff => parse_backoff(text).map(|_| ()),
            ValueKind::Instance => text.parse().map(|_: Instance| ()),
            ValueKind::Targets => ReportDestination::parse_all(text).map(|_| ()),
            ValueKind::Rules => {
                let rules: Vec<&str> = text.lines().collect();
                let rules = Aggregation::parse(&rules);
                rules
                    .map(drop)
                    .map_err(|error| format!("is not a list of rules: {error}"))
            }
            ValueKind::Notify => NotifyTarget::parse_all(text).map(|_| ()),
            ValueKind::PositiveDuration => duration::parse_positive(text).map(|_| ()),
            ValueKind::Size => parse_size(text).map(|_| ()),
            ValueKind::Share => parse_slo(text).map(|_| ()),
            ValueKind::Count(least) => match text.parse::<u64>() {
                Ok(count) if count >= least => Ok(()),
                _ => Err(format!("is not a whole number from {least} on")),
            },
            ValueKind::Boolean if !matches!(text, "true" | "false") => {
                Err("is neither true nor false".into())
            }
            ValueKind::OneOf(names) if !names.contains(&text) => {
                Err(format!("is not one of {}", names.join(", ")))
            }
            // A relative one would depend on where a job is started.
            ValueKind::Path if !text.starts_with('/') => Err("is not an absolute path".into()),
            ValueKind::Text if text.is_empty() => Err("is empty".into()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table as `docs/reference/settings.md` has it.
    fn table() -> String {
        let mut table = String::from(
            "| Setting | Option | Variable | Job file | Config file | Default |\n| --- | --- | --- | --- | --- | --- |\n",
        );
        for setting in SETTINGS {
            let code = |text: Option<String>| text.map_or("".into(), |text| format!("`{text}`"));
            let default = (!setting.default.is_empty()).then(|| setting.default.to_owned());
            table += &format!(
                "| {} | {} | {} | {} | {} | {} |\n",
                setting.help.replace('|', "\\|"),
                code(setting.option()),
                code(setting.variable()),
                code(setting.is_in_jobs().then(|| setting.name.to_owned())),
                code(setting.is_in_config().then(|| setting.key())),
                code(default),
            );
        }
        table
    }

    #[test]
    fn the_documentation_has_the_table() {
        let page = include_str!("../../docs/reference/settings.md");
        let table = table();
        assert!(
            page.contains(&table),
            "put this into docs/reference/settings.md:\n{table}"
        );
    }

    #[test]
    fn defaults_are_values() {
        for setting in SETTINGS
            .iter()
            .filter(|setting| !setting.default.is_empty())
        {
            let checked = setting.kind.check(setting.default);
            assert_eq!(checked, Ok(()), "{}", setting.name);
        }
    }
}
