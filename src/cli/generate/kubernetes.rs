//! `metricsjob generate kubernetes`: a job as a CronJob, or the gateway.

use std::time::SystemTime;

use anyhow::anyhow;
use clap::Args;
use clap_complete::engine::ArgValueCandidates;

use super::run_options::RunLabelArgs;
use crate::cli::exit::usage;
use crate::cli::help::more;
use crate::cli::options::{JobsArgs, name_and_value};
use crate::cli::{completion, console, exit};
use metricsjob::config::HostConfig;
use metricsjob::generate::kubernetes::{
    CronJob, GATEWAY_NAME, IMAGE, ObjectSettings, Quantities, gateway, names, quantity,
};
use metricsjob::job::GatewayName;
use metricsjob_client::call::redacted;

const EXAMPLES: &str = "\
Examples:
  metricsjob generate kubernetes --gateway | kubectl apply -f -
  metricsjob generate kubernetes nightly | kubectl apply -f -
  metricsjob generate kubernetes nightly --image r.example/dump:7 -g db=shop
  metricsjob generate kubernetes nightly --secret shop-db --state-size 1Gi";

/// Print a job as a CronJob for Kubernetes, or the gateway
///
/// The job's file and settings go into a ConfigMap. Schedule, time zone, overlap, timeout and retries are those of the job
/// file; what Kubernetes does in another way is a comment and a warning. All pods of a job have the CronJob's name for
/// their hostname, so reports and grouping keys are the same in each.
///
/// The state of a pod ends with it: reports are retried for a minute, then lost, and counters and history begin anew
/// with each run. --state-size gives it a volume. The config files of this host do not count.
///
/// --gateway prints the gateway instead: StatefulSet, Service, and a ServiceMonitor for the Prometheus Operator.
#[derive(Args)]
#[command(mut_arg("jobs_dir", |arg| arg.hide_short_help(true)),
    mut_arg("grouping", |arg| arg.conflicts_with("gateway")),
    after_help = more("generate kubernetes", EXAMPLES), after_long_help = EXAMPLES)]
pub struct KubernetesArgs {
    /// Name of a job, or path of a job file
    #[arg(
        value_name = "JOB",
        required_unless_present = "gateway",
        conflicts_with = "gateway",
        add = ArgValueCandidates::new(completion::jobs)
    )]
    job: Option<String>,

    /// Print the gateway
    #[arg(long)]
    gateway: bool,

    /// Leave out the gateway's ServiceMonitor
    #[arg(long, requires = "gateway")]
    no_service_monitor: bool,

    /// Image of the pods
    ///
    /// It has to have the programs that the job needs, too: build it FROM metricsjob.
    #[arg(long, value_name = "IMAGE", default_value = IMAGE, value_parser = image)]
    image: String,

    /// Name of the objects [default: the job's, or metricsjob-gateway]
    #[arg(long, value_name = "NAME", value_parser = name)]
    name: Option<String>,

    /// Namespace of the objects
    #[arg(long, short, value_name = "NAME", value_parser = name)]
    namespace: Option<String>,

    /// Further label of all objects (repeatable)
    #[arg(long, value_name = "NAME=VALUE", value_parser = label)]
    label: Vec<(String, String)>,

    /// Requested resources
    #[arg(long, value_name = "RESOURCES", default_value = "cpu=50m,memory=64Mi")]
    requests: Quantities,

    /// Limits of resources, or '' for none
    #[arg(long, value_name = "RESOURCES", default_value = "memory=512Mi")]
    limits: Quantities,

    /// Size of a volume for the state [default: none, but 1Gi for the gateway]
    #[arg(long, value_name = "SIZE", value_parser = quantity)]
    state_size: Option<String>,

    /// StorageClass of the volume [default: the cluster's]
    #[arg(long, value_name = "NAME", value_parser = object_name)]
    storage_class: Option<String>,

    /// Secret whose keys become environment variables (repeatable)
    ///
    /// METRICSJOB_GATEWAY in it can have a user and a password.
    #[arg(long, value_name = "NAME", value_parser = object_name)]
    secret: Vec<String>,

    /// Environment variable of the job (repeatable)
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_and_value, conflicts_with = "gateway")]
    env: Vec<(String, String)>,

    /// Gateway in place of the job file's [default: http://metricsjob-gateway:9091 if that names none]
    #[arg(long, value_name = "URL", conflicts_with = "gateway")]
    gateway_url: Option<String>,

    #[command(flatten)]
    grouping: RunLabelArgs,

    #[command(flatten)]
    jobs: JobsArgs,
}

pub fn main(args: KubernetesArgs) -> anyhow::Result<u8> {
    let mut settings = ObjectSettings {
        name: String::new(),
        namespace: args.namespace,
        labels: args.label,
        image: args.image,
        requests: args.requests,
        limits: args.limits,
        state_size: args.state_size,
        storage_class: args.storage_class,
        secrets: args.secret,
    };
    let Some(name) = args.job else {
        let size = settings.state_size.take();
        settings.name = args.name.unwrap_or_else(|| GATEWAY_NAME.to_owned());
        names::check_service(&settings.name)
            .map_err(|problem| usage(anyhow!("--name {:?} {problem}", settings.name)))?;
        let size = size.as_deref().unwrap_or("1Gi");
        console::result(&gateway(&settings, size, !args.no_service_monitor))?;
        return Ok(exit::SUCCESS);
    };
    // A pod has no config file of this host.
    let catalog = args.jobs.catalog(&HostConfig::default())?;
    let (job, text) = catalog.find_with_text(&name).map_err(usage)?;
    settings.name = args.name.unwrap_or_else(|| names::of_job(&job.name));
    let cron_job = CronJob {
        job: &job,
        text: &text,
        gateway: args.gateway_url.as_deref().map(gateway_url).transpose()?,
        options: args.grouping.options()?,
        env: args.env,
        settings,
    };
    let manifest = cron_job.manifest(SystemTime::now()).map_err(usage)?;
    for note in &manifest.notes {
        console::warning(note);
    }
    console::result(&manifest.text)?;
    Ok(exit::SUCCESS)
}

/// Checks the URL of a gateway that is to stand in a manifest.
fn gateway_url(text: &str) -> anyhow::Result<String> {
    let names = GatewayName::parse_all(text).map_err(usage)?;
    if names.contains(&GatewayName::Embedded) {
        return Err(usage(anyhow!(
            "--gateway-url embedded: that gateway would be gone with each pod, give the URL of another"
        )));
    }
    if redacted(text) != text {
        return Err(usage(anyhow!(
            "--gateway-url {} has a user or a password in it, which manifests show: put METRICSJOB_GATEWAY into a Secret and \
             name that by --secret",
            redacted(text)
        )));
    }
    Ok(text.to_owned())
}

fn image(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("an image is REGISTRY/NAME:TAG, without blanks".into());
    }
    Ok(text.to_owned())
}

fn name(text: &str) -> Result<String, String> {
    names::check_label(text, 63).map_err(|problem| format!("it {problem}"))?;
    Ok(text.to_owned())
}

fn object_name(text: &str) -> Result<String, String> {
    names::check_name(text).map_err(|problem| format!("it {problem}"))?;
    Ok(text.to_owned())
}

fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = name_and_value(text)?;
    names::check_label_key(&key).map_err(|problem| format!("the label {key:?} {problem}"))?;
    names::check_label_value(&value).map_err(|problem| format!("the value {value:?} {problem}"))?;
    if key.starts_with("app.kubernetes.io/") {
        return Err(format!("{key} is set already, pods are found by it"));
    }
    Ok((key, value))
}
