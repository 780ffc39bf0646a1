//! The table of settings: the places where each can be given, under one name.
//!
//! The setting `push_timeout` is the option `--push-timeout`, the variable `METRICSJOB_PUSH_TIMEOUT`, and the key
//! `push_timeout` of job files and of the config file, as far as it has these. What is given in several places counts in this order: option,
//! variable, job file, the user's config file, the system's, default.

use std::time::Duration;

use crate::job::duration;
use crate::job::grouping::Instance;
use crate::job::parse_backoff;
use crate::job::size::parse_size;

/// A setting.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    pub name: &'static str,
    /// Table of the config file that it is in; empty for none.
    pub section: &'static str,
    pub kind: Kind,
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

impl Setting {
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

/// All settings that can be given in more than one way.
pub const SETTINGS: &[Setting] = &[
    row(
        "gateway",
        Kind::List,
        "embedded",
        HOST,
        "Where reports go: URLs of Pushgateways, or embedded",
    ),
    row(
        "prefix",
        Kind::Text,
        "batch_job",
        ALL,
        "What the names of the runner's metrics begin with",
    ),
    row(
        "method",
        Kind::OneOf(&["put", "post"]),
        "post",
        ALL,
        "How a report changes its group",
    ),
    row(
        "grouping",
        Kind::Labels,
        "",
        ALL,
        "Further labels of the grouping key",
    ),
    row(
        "instance",
        Kind::Instance,
        "false",
        ALL,
        "The label instance: true for this host's name, or a name",
    ),
    row(
        "timeout",
        Kind::PositiveDuration,
        "",
        ALL,
        "How long an attempt may take",
    ),
    row(
        "kill_after",
        Kind::Duration,
        "10s",
        ALL,
        "How long after SIGTERM the SIGKILL follows",
    ),
    row(
        "retries",
        Kind::Count(0),
        "0",
        ALL,
        "How often a run is tried again",
    ),
    row(
        "backoff",
        Kind::Backoff,
        "1s..1m",
        ALL,
        "How long to wait between attempts",
    ),
    row(
        "lock",
        Kind::Boolean,
        "false",
        ALL,
        "Skip a run while another one of its group goes on",
    ),
    row(
        "lock_wait",
        Kind::Duration,
        "0s",
        ALL,
        "How long to wait for the other run before skipping",
    ),
    row(
        "splay",
        Kind::Duration,
        "0s",
        ALL,
        "Wait a random time up to this before the run",
    ),
    row(
        "tail",
        Kind::Count(0),
        "0",
        ALL,
        "How many of the last lines of stderr are kept",
    ),
    row(
        "keep",
        Kind::Count(0),
        "1000",
        ALL,
        "How many runs of a job the history keeps",
    ),
    row(
        "metrics_limit",
        Kind::Size,
        "64MiB",
        ALL,
        "How much is read of what a command reports itself",
    ),
    row(
        "push_start",
        Kind::Boolean,
        "false",
        ALL,
        "Report the beginning of a run too",
    ),
    row(
        "push_interval",
        Kind::PositiveDuration,
        "",
        ALL,
        "How often a run is reported while it goes on",
    ),
    row(
        "require_push",
        Kind::Boolean,
        "false",
        HOST,
        "End with exit code 69 if a report was not delivered",
    ),
    row(
        "push_timeout",
        Kind::PositiveDuration,
        "10s",
        HOST,
        "How long to wait for the gateway's answer",
    ),
    row(
        "connect_timeout",
        Kind::PositiveDuration,
        "5s",
        HOST,
        "How long to wait for the connection to the gateway",
    ),
    row(
        "push_deadline",
        Kind::PositiveDuration,
        "10s",
        HOST,
        "How long a delivery may take, with its retries",
    ),
    row(
        "push_retry_window",
        Kind::Duration,
        "30ms",
        HOST,
        "How long to try a push again",
    ),
    row(
        "compress",
        Kind::OneOf(&["none", "gzip"]),
        "none",
        HOST,
        "How what is sent is compressed",
    ),
    row(
        "format",
        Kind::OneOf(&["text", "protobuf"]),
        "text",
        HOST,
        "The format in which metrics are sent",
    ),
    row(
        "outbox_limit",
        Kind::Count(1),
        "10000",
        HOST,
        "How many reports the outbox may hold",
    ),
    row(
        "state_limit",
        Kind::Size,
        "1GiB",
        HOST,
        "How large the state may get",
    ),
    row(
        "self_metrics",
        Kind::Boolean,
        "false",
        HOST,
        "Push metrics about the deliveries too",
    ),
    row(
        "state_dir",
        Kind::Path,
        "",
        HOST,
        "Where the local database is",
    ),
    row(
        "jobs_dir",
        Kind::Path,
        "",
        HOST,
        "A directory with job files, searched before the others",
    ),
    row(
        "quiet",
        Kind::Boolean,
        "false",
        HOST,
        "Print errors and warnings only",
    ),
    row(
        "output",
        Kind::OneOf(&["text", "json"]),
        "text",
        OPTION | VARIABLE,
        "The form of the result",
    ),
    row(
        "basic_auth_file",
        Kind::Path,
        "",
        HOST,
        "A file with user:password",
    )
    .of("credentials"),
    row(
        "bearer_token_file",
        Kind::Path,
        "",
        HOST,
        "A file with a bearer token",
    )
    .of("credentials"),
    row(
        "ca_file",
        Kind::Path,
        "",
        HOST,
        "The certificate authorities to trust",
    )
    .of("credentials"),
    row(
        "client_cert",
        Kind::Path,
        "",
        HOST,
        "The client certificate",
    )
    .of("credentials"),
    row(
        "client_key",
        Kind::Path,
        "",
        HOST,
        "The private key of the client certificate",
    )
    .of("credentials"),
    row(
        "listen",
        Kind::List,
        "127.0.0.1:9464",
        HOST,
        "Where serve listens",
    )
    .of("serve")
    .as_option("--web.listen-address")
    .as_variable("METRICSJOB_SERVE_LISTEN"),
    row(
        "gateway_listen",
        Kind::Text,
        "",
        HOST,
        "Where serve serves the embedded gateway",
    )
    .of("serve"),
    row(
        "concurrency",
        Kind::Count(1),
        "64",
        HOST,
        "How many runs of serve there may be at a time",
    )
    .of("serve"),
    row(
        "grace",
        Kind::Duration,
        "5s",
        HOST,
        "How long runs of serve may go on at its end",
    )
    .of("serve"),
    row(
        "push_interval",
        Kind::PositiveDuration,
        "",
        HOST,
        "How often serve pushes its own metrics",
    )
    .of("serve")
    .as_variable("METRICSJOB_SERVE_PUSH_INTERVAL"),
    row(
        "push_instance",
        Kind::Text,
        "",
        HOST,
        "The label instance of serve's own metrics",
    )
    .of("serve"),
];

const fn row(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    places: u8,
    help: &'static str,
) -> Setting {
    Setting {
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

impl Setting {
    const fn of(self, section: &'static str) -> Setting {
        Setting { section, ..self }
    }

    const fn as_option(self, option: &'static str) -> Setting {
        Setting { option, ..self }
    }

    const fn as_variable(self, variable: &'static str) -> Setting {
        Setting { variable, ..self }
    }
}

/// Form of a setting's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// One or several; in a variable separated by commas.
    List,
    /// A table in files; `name=value` pairs separated by commas in a variable.
    Labels,
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
    /// A whole number from this on.
    Count(u64),
    OneOf(&'static [&'static str]),
}

impl Kind {
    /// Checks a value in the form of a variable.
    ///
    /// # Errors
    ///
    /// The reason, for a person to read behind the value.
    pub fn check(self, text: &str) -> Result<(), String> {
        match self {
            Kind::Duration => duration::parse(text).map(|_: Duration| ()),
            Kind::Backoff => parse_backoff(text).map(|_| ()),
            Kind::Instance => text.parse().map(|_: Instance| ()),
            Kind::PositiveDuration => duration::parse_positive(text).map(|_| ()),
            Kind::Size => parse_size(text).map(|_| ()),
            Kind::Count(least) => match text.parse::<u64>() {
                Ok(count) if count >= least => Ok(()),
                _ => Err(format!("is not a whole number from {least} on")),
            },
            Kind::Boolean if !matches!(text, "true" | "false") => {
                Err("is neither true nor false".into())
            }
            Kind::OneOf(names) if !names.contains(&text) => {
                Err(format!("is not one of {}", names.join(", ")))
            }
            // A relative one would depend on where a job is started.
            Kind::Path if !text.starts_with('/') => Err("is not an absolute path".into()),
            Kind::Text if text.is_empty() => Err("is empty".into()),
            _ => Ok(()),
        }
    }
}
