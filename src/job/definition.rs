//! The definition of a job.

use std::fmt;
use std::path::PathBuf;

use super::builtin::Builtin;
use super::command::Command;
use super::gateway_name::GatewayName;
use super::metric_rule::MetricRule;
use super::params::Params;
use super::policy::Policy;
use super::report_target::ReportDestination;
use super::schedule::{Overlap, Plan};
use metricsjob_client::grouping::{GroupingError, GroupingSettings};
use metricsjob_metrics::{GroupingKey, Method};

/// Definition of a job: the work to run, and how to report it.
#[derive(Clone)]
pub struct Job {
    /// Name of the job for `run`: the file's name without `.toml`.
    pub name: String,
    pub description: Option<String>,
    /// True if it is a demonstration, whose reports are made up.
    pub is_demo: bool,
    /// The `job` label of its grouping key; not empty.
    pub job: String,
    /// Prefix of the names of the runner's metrics.
    pub prefix: String,
    pub method: Method,
    /// The other labels of its grouping key.
    pub grouping: GroupingSettings,
    /// Where it is reported, in place of the host's gateways; empty for those.
    pub gateways: Vec<GatewayName>,
    /// Where it is reported besides gateways, in place of the host's; empty for those.
    pub to: Vec<ReportDestination>,
    pub work: Work,
    /// The parameters of a built-in that may be set over HTTP.
    pub http_params: Vec<String>,
    pub policy: Policy,
    /// When it runs by itself; `None` if it only runs on request.
    pub plan: Option<Plan>,
    /// Not part of the plan, because a run can be requested at any time.
    pub overlap: Overlap,
    /// Rules for the job's own metrics, known before it runs.
    pub metrics: Vec<MetricRule>,
    pub defined_in: DefinedIn,
}

impl Job {
    /// Returns true if its reports have the time when the next success is due.
    pub fn has_deadline(&self) -> bool {
        self.policy.expected.max_age.is_some() || self.plan.is_some()
    }

    /// Returns what is odd about the definition, though it can be run.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        // Nobody relies on a demonstration.
        if self.method == Method::Put && self.has_deadline() && !self.is_demo {
            let expected = match self.policy.expected.max_age {
                Some(_) => "max_age",
                None => "the schedule",
            };
            warnings.push(format!(
                "with method \"put\" a failed run erases the last success, after which {expected} says when the next \
                 one is due (try method = \"post\")"
            ));
        }
        warnings
    }

    /// The grouping key of a run with the labels of `higher` over the job's own.
    ///
    /// # Errors
    ///
    /// A label has a name that none can have, or a placeholder without a value.
    pub fn key(&self, higher: &GroupingSettings) -> Result<GroupingKey, GroupingError> {
        let mut grouping = self.grouping.clone();
        grouping.extend(higher);
        Ok(GroupingKey::new(&self.job, grouping.labels()?)?)
    }
}

/// Work of a job.
#[derive(Clone)]
pub enum Work {
    /// A job that ships in the binary, and its parameters.
    Builtin(&'static dyn Builtin, Params),
    Command(Command),
}

/// `built-in backup`, or the command with its arguments.
impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Work::Builtin(builtin, _) => write!(f, "built-in {}", builtin.name()),
            Work::Command(command) => command.fmt(f),
        }
    }
}

/// Where a definition was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DefinedIn {
    File(PathBuf),
    /// In the binary: a copy of the file with this name that ships with the source.
    CompiledIn,
    /// By the words of a command line.
    CommandLine,
}

impl fmt::Display for DefinedIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DefinedIn::File(path) => path.display().fmt(f),
            DefinedIn::CompiledIn => f.write_str("compiled in"),
            DefinedIn::CommandLine => f.write_str("command line"),
        }
    }
}
