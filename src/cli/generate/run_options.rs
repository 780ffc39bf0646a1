//! Options of the runs that other schedulers start.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::Args;

use crate::cli::exit::usage;
use crate::cli::grouping_options::typed_labels;
use crate::cli::help::{GROUPING, JOB};
use crate::cli::options::name_and_value;
use metricsjob::generate::invocation;
use metricsjob_client::grouping::check_placeholders;
use metricsjob_metrics::check_grouping_label;

#[derive(Args)]
pub struct RunLabelArgs {
    /// Further label of the runs' grouping key (repeatable)
    ///
    /// Placeholders such as ${env:NAME} in the value are replaced when a run begins.
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = name_and_value, help_heading = GROUPING)]
    grouping: Vec<(String, String)>,
}

impl RunLabelArgs {
    /// Options for `run` with the same effect, each in one word.
    pub fn options(&self) -> anyhow::Result<Vec<String>> {
        typed_labels(&self.grouping)?;
        for (name, value) in &self.grouping {
            check_grouping_label(name).map_err(usage)?;
            check_placeholders(value)
                .map_err(|error| usage(anyhow!("--grouping {name}: {error}")))?;
        }
        let pairs = self.grouping.iter();
        Ok(pairs
            .map(|(name, value)| format!("--grouping={name}={value}"))
            .collect())
    }
}

#[derive(Args)]
pub struct ProgramArgs {
    /// Path of the program that runs the jobs [default: this one]
    #[arg(long, value_name = "PATH", help_heading = JOB)]
    program: Option<PathBuf>,
}

impl ProgramArgs {
    /// Its absolute path.
    pub fn path(&self) -> anyhow::Result<String> {
        match &self.program {
            Some(program) => invocation::absolute(program).map_err(usage),
            None => {
                let program = env::current_exe();
                let program = program
                    .context("the path of this program is unknown: give one by --program")?;
                Ok(invocation::absolute(&program)?)
            }
        }
    }
}
