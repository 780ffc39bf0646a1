//! The jobs that ship in the binary.
//!
//! One file per built-in. To add one: implement [`Builtin`] and [`Task`] in a file of its own, put
//! it into `BUILTINS`, and its job file into `jobs/` and, if that runs as it is, `DEFINITIONS`.

mod backup;
mod context;
mod demo;
mod http_target;
mod json;
mod probe;
mod random;
pub mod sqlite_copy;

pub use context::{Context, NoProgress, Progress, RuleMetrics, TaskError};

use super::params::{Param, ParamError, Params};

/// A job written in Rust.
pub trait Builtin: Sync {
    /// Name of the built-in, as a job file's `builtin` has it.
    fn name(&self) -> &'static str;

    /// The parameters it takes.
    fn params(&self) -> &'static [Param];

    /// Returns true if it reads numbers by the pointers of the job's metric rules.
    fn reads_by_rules(&self) -> bool {
        false
    }

    /// Makes it ready to run, and does nothing else: this is called to validate job files too.
    fn prepare(&self, params: &Params) -> Result<Box<dyn Task>, ParamError>;
}

/// A built-in that has its parameters.
pub trait Task {
    /// Does the work. Metrics that it registered in `context` are reported, also when it fails.
    fn run(&mut self, context: &Context<'_>) -> Result<(), TaskError>;
}

const BUILTINS: [&dyn Builtin; 6] = [
    &backup::Backup,
    &demo::Orders,
    &demo::Satisfaction,
    &json::JsonApi,
    &probe::Probe,
    &random::Random,
];

/// The job files that `run NAME` finds from any directory.
const DEFINITIONS: [(&str, &str); 7] = [
    ("backup", include_str!("../../../jobs/backup.toml")),
    ("demo-flaky", include_str!("../../../jobs/demo-flaky.toml")),
    (
        "demo-orders",
        include_str!("../../../jobs/demo-orders.toml"),
    ),
    ("demo-probe", include_str!("../../../jobs/demo-probe.toml")),
    (
        "demo-satisfaction",
        include_str!("../../../jobs/demo-satisfaction.toml"),
    ),
    ("probe", include_str!("../../../jobs/probe.toml")),
    ("random", include_str!("../../../jobs/random.toml")),
];

/// The built-in called `name`.
pub fn find(name: &str) -> Option<&'static dyn Builtin> {
    BUILTINS.into_iter().find(|builtin| builtin.name() == name)
}

/// The names of all built-ins.
pub fn names() -> impl Iterator<Item = &'static str> + Clone {
    BUILTINS.iter().map(|builtin| builtin.name())
}

/// The text of the compiled-in job file `NAME.toml`.
pub fn definition(name: &str) -> Option<&'static str> {
    definitions()
        .find(|(known, _)| *known == name)
        .map(|(_, text)| text)
}

/// The compiled-in job files, by name.
pub fn definitions() -> impl Iterator<Item = (&'static str, &'static str)> {
    DEFINITIONS.into_iter()
}
