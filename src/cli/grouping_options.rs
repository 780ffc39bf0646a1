//! The options for the labels of a group.

use std::env;

use clap::Args;
use clap_complete::engine::ArgValueCandidates;

use super::completion;
use super::exit::usage;
use super::help::GROUPING;
use super::options::name_and_value;
use super::setting::{Setting, Strictness, setting};
use metricsjob::job::elements;
use metricsjob_client::grouping::{GroupingSettings, Instance};
use metricsjob_metrics::GroupingKeyError;

#[derive(Args)]
pub struct GroupingArgs {
    /// Further label of the grouping key (repeatable)
    ///
    /// The value can contain ${hostname}, ${user}, ${env:NAME}, and ${task}, the number of this task in a job array of
    /// Slurm, GitLab CI or Kubernetes: -g 'task=${task}'. A plain ${ is written $${. The variable METRICSJOB_GROUPING
    /// has such labels, separated by commas or blanks. Labels of the job file and the config file are merged with
    /// these.
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = name_and_value, help_heading = GROUPING, add = ArgValueCandidates::new(completion::group_labels))]
    grouping: Vec<(String, String)>,

    /// Label `instance`: true for this host's name, or a name
    ///
    /// `false` leaves out the label that a job file or the config file sets.
    ///
    /// [env: METRICSJOB_INSTANCE]
    #[arg(
        long,
        value_name = "NAME",
        env = "METRICSJOB_INSTANCE",
        hide_env_values = true,
        hide_env = true,
        value_parser = setting(str::parse::<Instance>),
        help_heading = GROUPING
    )]
    instance: Option<Setting<Instance>>,

    /// Leave out this label of the grouping key, whatever sets it (repeatable)
    #[arg(long, value_name = "NAME", hide_short_help = true, help_heading = GROUPING)]
    drop_label: Vec<String>,
}

/// The variable with labels of the grouping key.
const VARIABLE: &str = "METRICSJOB_GROUPING";

impl GroupingArgs {
    /// The labels of the environment, and over them those of the command line.
    ///
    /// # Errors
    ///
    /// The command line has a label twice; the environment has a bad one, and `strictness` makes that wrong usage.
    pub fn settings(&self, strictness: Strictness) -> anyhow::Result<GroupingSettings> {
        let mut settings = labels_of_variable(strictness)?;
        let mut typed = typed_labels(&self.grouping)?;
        if let Some(given) = &self.instance
            && let Some(instance) = given.get(strictness)?
        {
            let level = if given.is_typed() {
                &mut typed
            } else {
                &mut settings
            };
            level.set_instance(instance.clone());
        }
        for problem in settings.take_problems() {
            let problem = format!("{VARIABLE} or METRICSJOB_INSTANCE: {problem}");
            strictness.settle(&problem)?;
        }
        settings.extend(&typed);
        for label in &self.drop_label {
            settings.remove(label);
        }
        Ok(settings)
    }
}

/// The labels that the environment gives, with commas between them.
fn labels_of_variable(strictness: Strictness) -> anyhow::Result<GroupingSettings> {
    let mut settings = GroupingSettings::default();
    let Some(text) = env::var_os(VARIABLE) else {
        return Ok(settings);
    };
    let Some(text) = text.to_str() else {
        strictness.settle(&format!("{VARIABLE} is not UTF-8"))?;
        return Ok(settings);
    };
    for pair in elements(text) {
        match name_and_value(pair) {
            Ok((name, value)) => settings.set(name, value),
            Err(problem) => strictness.settle(&format!("{VARIABLE} {pair:?}: {problem}"))?,
        }
    }
    Ok(settings)
}

/// The labels of `-g`, each once.
pub fn typed_labels(pairs: &[(String, String)]) -> anyhow::Result<GroupingSettings> {
    let mut settings = GroupingSettings::default();
    for (index, (name, value)) in pairs.iter().enumerate() {
        if pairs[..index].iter().any(|(before, _)| before == name) {
            return Err(usage(GroupingKeyError::DuplicateLabel(name.clone())));
        }
        settings.set(name, value);
    }
    Ok(settings)
}
