//! Where reports go.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use metricsjob_metrics::check::check_push;
use metricsjob_metrics::{DEFAULT_PREFIX, Family, GroupingKey, Method, is_metric_name, text};
use tokio::task::{JoinError, JoinSet};

use super::environment::Environment;
use super::{Job, JobError, log};
use crate::call::innermost;
use crate::pusher::block_on;
use crate::{GatewayUrl, PushRequest, Pusher, PusherError, Stop};

/// Interval at which pushes look whether a stop is wanted.
const LOOK_UP: Duration = Duration::from_millis(20);

/// Default limit for the delivery of a report.
const DEADLINE: Duration = Duration::from_secs(10);

/// Destination of a job's reports, as the code and the environment say.
#[derive(Debug, Clone)]
pub struct Destination {
    target: ReportTarget,
    pub prefix: String,
    pub method: Method,
    deadline: Duration,
}

#[derive(Debug, Clone)]
enum ReportTarget {
    /// Gateways, each with its URL to show.
    Gateways(GroupingKey, Vec<Pusher>),
    /// The file of the `metricsjob` that runs this program.
    Runner(PathBuf),
    /// The settings have a problem, which is known by now.
    Nowhere,
}

/// Families of a report: those of the run, and those that the job recorded.
#[derive(Debug, Clone)]
pub struct ReportFamilies {
    pub run: Vec<Family>,
    pub recorded: Vec<Family>,
}

impl Destination {
    /// Resolves the settings of `job`, with the problems that they have.
    pub fn of(job: &Job) -> (Self, Vec<JobError>) {
        let environment = Environment::of_process();
        let mut problems = environment.problems;
        let mut prefix = job.prefix.clone().or(environment.prefix);
        if let Some(bad) = prefix.take_if(|prefix| !is_metric_name(prefix)) {
            problems.push(JobError::Prefix(bad));
        }
        let mut destination = Destination {
            target: ReportTarget::Nowhere,
            prefix: prefix.unwrap_or_else(|| DEFAULT_PREFIX.to_owned()),
            method: job.method.or(environment.method).unwrap_or_default(),
            deadline: job.deadline.or(environment.deadline).unwrap_or(DEADLINE),
        };
        if let Some(file) = environment.metrics_file {
            destination.target = ReportTarget::Runner(file);
            return (destination, problems);
        }
        let labels = merged(job.grouping.clone(), environment.grouping);
        let key = match GroupingKey::new(&job.name, labels) {
            Ok(key) => key,
            Err(error) => {
                problems.push(error.into());
                return (destination, problems);
            }
        };
        let urls = match job.gateways.as_slice() {
            [] => environment.gateways,
            gateways => gateways.to_vec(),
        };
        if urls.is_empty() {
            problems.push(JobError::NoGateway);
        }
        let connection = job.connection.clone().unwrap_or(environment.connection);
        let mut pushers = Vec::new();
        for url in urls {
            match GatewayUrl::parse(&url) {
                Ok(url) => {
                    let pusher = Pusher::to(url, key.clone(), connection.clone());
                    pushers.push(pusher.retry_for(destination.deadline));
                }
                Err(error) => problems.push(error.into()),
            }
        }
        if !pushers.is_empty() {
            destination.target = ReportTarget::Gateways(key, pushers);
        }
        (destination, problems)
    }

    /// Delivers a report as [`deliver_async`](Self::deliver_async) does, from anywhere.
    pub fn deliver(
        &self,
        method: Method,
        families: ReportFamilies,
        stop: &Stop,
    ) -> Result<(), JobError> {
        block_on(self.deliver_async(method, families, stop))?
    }

    /// Delivers a report in the caller's runtime, unless `stop` is wanted before. Further failures than the first one are
    /// logged.
    pub async fn deliver_async(
        &self,
        method: Method,
        families: ReportFamilies,
        stop: &Stop,
    ) -> Result<(), JobError> {
        match &self.target {
            ReportTarget::Gateways(key, pushers) => {
                let families = consistent(key, families);
                push_to_all(pushers, method, families, self.deadline, stop).await
            }
            ReportTarget::Runner(file) => hand_over(file, &families.recorded),
            ReportTarget::Nowhere => Ok(()),
        }
    }

    /// Returns the report as requests, one for each gateway.
    pub fn requests(&self, families: ReportFamilies) -> Result<Vec<PushRequest>, JobError> {
        let ReportTarget::Gateways(key, pushers) = &self.target else {
            return Ok(Vec::new());
        };
        let families = consistent(key, families);
        let requests = pushers.iter().map(|pusher| {
            let pusher = pusher.clone().families(families.clone());
            Ok(pusher.request(self.method)?)
        });
        requests.collect()
    }
}

/// Returns the grouping labels of the code, and those of the environment with other names.
fn merged(
    mut labels: Vec<(String, String)>,
    environment: Vec<(String, String)>,
) -> Vec<(String, String)> {
    for (name, value) in environment {
        if !labels.iter().any(|(known, _)| *known == name) {
            labels.push((name, value));
        }
    }
    labels
}

/// Returns all families but those that would keep a gateway from taking the others.
fn consistent(key: &GroupingKey, families: ReportFamilies) -> Vec<Family> {
    let ReportFamilies { run, recorded } = families;
    let runs_own = run.len();
    let mut all = run;
    all.extend(recorded);
    if check_push(key, &all).is_ok() {
        return all;
    }
    for family in all.split_off(runs_own) {
        all.push(family);
        if let Err(error) = check_push(key, &all) {
            all.pop();
            log(&JobError::Metrics(error).to_string());
        }
    }
    all
}

async fn push_to_all(
    pushers: &[Pusher],
    method: Method,
    families: Vec<Family>,
    deadline: Duration,
    stop: &Stop,
) -> Result<(), JobError> {
    let mut pushes = JoinSet::new();
    for pusher in pushers {
        let pusher = pusher.clone().families(families.clone());
        pushes.spawn(async move {
            let push = async {
                match method {
                    Method::Put => pusher.push_async().await,
                    Method::Post => pusher.add_async().await,
                }
            };
            let pushed = tokio::time::timeout(deadline, push).await;
            match pushed {
                Ok(result) => Ok(result?),
                Err(_) => Err(JobError::Deadline {
                    gateway: pusher.url().to_string(),
                    deadline,
                }),
            }
        });
    }
    let mut first = Ok(());
    loop {
        let joined = match tokio::time::timeout(LOOK_UP, pushes.join_next()).await {
            Ok(Some(joined)) => joined,
            Ok(None) => return first,
            // Those that are left are abandoned.
            Err(_) if stop.is_wanted() => return first,
            Err(_) => continue,
        };
        let panicked = |error: JoinError| PusherError::Thread(error.to_string());
        let Err(error) = joined.map_err(panicked)? else {
            continue;
        };
        match first {
            Ok(()) => first = Err(error),
            Err(_) => log(&error.to_string()),
        }
    }
}

/// Appends `families` to the file of the `metricsjob` that runs this program. The last value of a series counts there.
fn hand_over(path: &Path, families: &[Family]) -> Result<(), JobError> {
    if families.is_empty() {
        return Ok(());
    }
    let failure = |error: std::io::Error| JobError::Handover {
        path: path.to_owned(),
        reason: innermost(&error),
    };
    // Whole lines in one write, because other processes may append too.
    let mut file = OpenOptions::new()
        .append(true)
        .open(path)
        .map_err(failure)?;
    file.write_all(text::encode(families).as_bytes())
        .map_err(failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_the_code_win() {
        let labels = |labels: &[(&str, &str)]| -> Vec<(String, String)> {
            let labels = labels.iter();
            labels
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect()
        };
        let code = labels(&[("instance", "${hostname}"), ("db", "customers")]);
        let environment = labels(&[("db", "orders"), ("instance", "web-1"), ("site", "x")]);
        let expected = [
            ("instance", "${hostname}"),
            ("db", "customers"),
            ("site", "x"),
        ];
        assert_eq!(merged(code, environment), labels(&expected));
    }
}
