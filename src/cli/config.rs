//! `metricsjob config`: the settings of this host.

use std::env;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use nix::unistd::Uid;
use serde_json::{Value as Json, json};

use super::exit::{self, usage};
use super::help::{OUTPUT, more};
use super::options::{Output, OutputArgs};
use super::setting::Strictness::Strict;
use super::table::{Column, table};
use super::{console, json};
use metricsjob::config::settings::{SETTINGS, SettingSpec, ValueKind};
use metricsjob::config::{HostConfig, SYSTEM_FILE, TEMPLATE, user_file};
use metricsjob::job::{NotifyTarget, elements};
use metricsjob_client::call::redacted;

/// Show and set up the settings of this host
///
/// They are in /etc/metricsjob/metricsjob.toml for all users, and over it, key by key, in
/// ~/.config/metricsjob/metricsjob.toml; --config names another file in place of both. Options win over
/// variables, these over job files, and these over the config files. What is wrong in a config file is
/// warned about and ignored, so that it keeps no job from running.
#[derive(Args)]
#[command(after_help = more("config", ""), after_long_help = "")]
pub struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Subcommand)]
#[command(defer = true)]
enum ConfigCommand {
    /// Show the value of each setting, and where it comes from
    Show(ConfigShowArgs),
    /// Write a config file with comments, in which instance is true
    Init(InitArgs),
}

const SHOW_EXAMPLES: &str = "\
Examples:
  metricsjob config show
  metricsjob config show --output json";

/// Show the value of each setting, and where it comes from
///
/// Options of a command line and keys of a job file are not among it: they are for one run or one job.
/// Passwords in gateways' URLs are not shown.
#[derive(Args)]
#[command(after_help = more("config show", SHOW_EXAMPLES), after_long_help = SHOW_EXAMPLES)]
struct ConfigShowArgs {
    #[command(flatten)]
    output: OutputArgs,
}

const INIT_EXAMPLES: &str = "\
Examples:
  sudo metricsjob config init
  metricsjob config init ./metricsjob.toml";

/// Write a config file with comments, in which instance is true
///
/// Without FILE it is /etc/metricsjob/metricsjob.toml for root, else ~/.config/metricsjob/metricsjob.toml.
#[derive(Args)]
#[command(after_help = more("config init", INIT_EXAMPLES), after_long_help = INIT_EXAMPLES)]
struct InitArgs {
    /// The file to write
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// Replace the file if there is one
    #[arg(long, help_heading = OUTPUT)]
    force: bool,
}

const COLUMNS: [Column; 3] = [
    Column::kept("SETTING"),
    Column::kept("VALUE").down_to(12),
    Column::ranked("FROM", 1).down_to(12).keeping_end(),
];

pub fn main(args: ConfigArgs, config: &HostConfig) -> anyhow::Result<u8> {
    match args.command {
        ConfigCommand::Show(args) => show(&args, config),
        ConfigCommand::Init(args) => init(&args),
    }
}

/// A setting in force.
struct InForce {
    setting: &'static SettingSpec,
    value: String,
    /// The variable or the file and line; `None` for the default.
    from: Option<String>,
}

fn show(args: &ConfigShowArgs, config: &HostConfig) -> anyhow::Result<u8> {
    let settings = SETTINGS.iter().map(|setting| in_force(setting, config));
    match args.output.get(Strict)? {
        Output::Json => json::print(&settings.map(|setting| setting.json()).collect())?,
        Output::Text => {
            let rows = settings.map(
                |InForce {
                     setting,
                     value,
                     from,
                 }| {
                    let from = from.unwrap_or_else(|| "default".into());
                    let value = if value.is_empty() { "-".into() } else { value };
                    [setting.key().into(), value.into(), from.into()]
                },
            );
            console::result(&table(&COLUMNS, &rows.collect::<Vec<_>>()))?;
        }
    }
    Ok(exit::SUCCESS)
}

fn in_force(setting: &'static SettingSpec, config: &HostConfig) -> InForce {
    let variable = setting.variable();
    let of_variable = variable.and_then(|name| Some((env::var_os(&name)?, name)));
    let of_file = config.get(setting);
    let (value, from) = match (of_variable, of_file) {
        // Labels of all places are merged.
        (of_variable, Some(given)) if setting.kind == ValueKind::Labels => {
            let mut values = vec![config.defaults.grouping.to_string()];
            let mut from = vec![given.place.clone()];
            if let Some((value, name)) = of_variable {
                values.push(value.to_string_lossy().into_owned());
                from.push(name);
            }
            (values.join(","), Some(from.join(", ")))
        }
        (Some((value, name)), _) => (value.to_string_lossy().into_owned(), Some(name)),
        (None, Some(given)) => (given.text.clone(), Some(given.place.clone())),
        (None, None) => (setting.default.to_owned(), None),
    };
    let each = |shown: fn(&str) -> String| {
        let elements: Vec<String> = elements(&value).map(shown).collect();
        elements.join(",")
    };
    let value = match setting.name {
        "gateway" => each(redacted),
        "notify" => each(|target| match target.parse::<NotifyTarget>() {
            Ok(target) => target.to_string(),
            Err(_) => "***".into(),
        }),
        _ => value,
    };
    InForce {
        setting,
        value,
        from,
    }
}

impl InForce {
    fn json(&self) -> Json {
        let InForce {
            setting,
            value,
            from,
        } = self;
        json!({
            "setting": setting.key(),
            "value": (!value.is_empty()).then_some(value),
            "from": from,
            "default": (!setting.default.is_empty()).then_some(setting.default),
            "option": setting.option(),
            "variable": setting.variable(),
            "is_in_job_files": setting.is_in_jobs(),
            "is_in_config_files": setting.is_in_config(),
            "help": setting.help,
        })
    }
}

fn init(args: &InitArgs) -> anyhow::Result<u8> {
    let path = match &args.file {
        Some(file) => file.clone(),
        None if Uid::effective().is_root() => SYSTEM_FILE.into(),
        None => user_file(|name| env::var_os(name)).ok_or_else(|| {
            usage(anyhow!(
                "there is neither HOME nor XDG_CONFIG_HOME: name the FILE to write"
            ))
        })?,
    };
    let shown = console::visible(&path.display().to_string()).into_owned();
    let dir = path.parent().unwrap_or(Path::new(""));
    if !dir.as_os_str().is_empty() {
        fs::create_dir_all(dir)
            .with_context(|| format!("could not create the directory {}", dir.display()))?;
    }
    match write(&path, args.force) {
        Ok(()) => console::result(&format!("wrote {shown}\n"))?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(anyhow!(
                "{shown} is there already: edit it, or replace it by --force"
            ));
        }
        Err(error) => return Err(error).context(format!("could not write {shown}")),
    }
    Ok(exit::SUCCESS)
}

fn write(path: &Path, force: bool) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    options.open(path)?.write_all(TEMPLATE.as_bytes())
}
