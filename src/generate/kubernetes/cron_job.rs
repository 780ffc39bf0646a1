//! A job as a CronJob, with its file and its settings in a ConfigMap.
//!
//! The identity of its group is the CronJob's: the pods have its name for a hostname, so that nothing that a report or a
//! grouping key says of its host is different in each of them.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value as Json, json};

use super::names::{self, MAX_OWNER};
use super::{
    GATEWAY_URL, ObjectSettings, STATE, STATE_DIR, container_security, pod_security, stream,
};
use crate::generate::invocation::{self, comment};
use crate::generate::schedule::{self, ScheduleError, clock_changes, for_kubernetes};
use crate::job::schedule::{Missed, Zone};
use crate::job::{GatewayName, Job, LockPolicy, Overlap, Plan, ReportDestination};

const COMPONENT: &str = "job";

/// Where the program looks for its settings and for job files.
const CONFIG_DIR: &str = "/etc/metricsjob";

/// How late Kubernetes may start a run that is not made up for: its controller is at times that late.
const STARTING_DEADLINE: Duration = Duration::from_secs(120);

/// How long a pod without a volume tries to deliver a report.
const DELIVERY_TIME: Duration = Duration::from_secs(60);

/// How long it may take until a pod runs, its image being pulled.
const START_TIME: Duration = Duration::from_secs(300);

/// Reason why a job cannot be a CronJob.
#[derive(Debug, thiserror::Error)]
pub enum CronJobError {
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    #[error("{name:?} cannot be the name of a CronJob: it {problem} (give another one by --name)")]
    Name { name: String, problem: String },
    #[error(
        "the job's gateway is \"embedded\", which would be gone with each pod: name one by --gateway-url (such as {GATEWAY_URL}, \
         which `metricsjob generate kubernetes --gateway` makes)"
    )]
    Embedded,
    #[error(
        "the job reports to {0}, a directory of a host, which a pod does not have: take it out of the job file's `to`"
    )]
    Textfile(String),
    #[error(
        "overlap = \"allow\" runs several pods at a time, and a volume for the state is for one: leave out --state-size, or \
         make it overlap = \"skip\""
    )]
    SharedState,
}

/// A job for Kubernetes.
pub struct CronJob<'a> {
    pub job: &'a Job,
    /// Its file.
    pub text: &'a str,
    /// The gateway in place of the job's own.
    pub gateway: Option<String>,
    /// Further options of `run`.
    pub options: Vec<String>,
    /// Further environment variables.
    pub env: Vec<(String, String)>,
    pub settings: ObjectSettings,
}

/// The manifests, and what is not quite as the job's definition says.
pub struct Manifest {
    pub text: String,
    pub notes: Vec<String>,
}

impl CronJob<'_> {
    /// The manifests of the ConfigMap, the volume and the CronJob.
    ///
    /// # Errors
    ///
    /// The definition says something that Kubernetes cannot do.
    pub fn manifest(&self, now: SystemTime) -> Result<Manifest, CronJobError> {
        let (job, settings) = (self.job, &self.settings);
        let name = &settings.name;
        names::check_label(name, MAX_OWNER).map_err(|problem| CronJobError::Name {
            name: name.clone(),
            problem,
        })?;
        let plan = schedule::plan(job)?;
        self.check_destinations()?;
        if settings.state_size.is_some() && job.overlap == Overlap::Allow {
            return Err(CronJobError::SharedState);
        }
        let (fields, zone) = for_kubernetes(&plan.schedule)?;
        let metadata = settings.metadata(name, COMPONENT);
        let mut objects = vec![json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata,
            "data": {"job.toml": self.text, "metricsjob.toml": self.host_settings()},
        })];
        if let Some(size) = &settings.state_size {
            objects.push(json!({
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": settings.metadata(&self.state_claim(), COMPONENT),
                "spec": settings.volume_claim(size),
            }));
        }
        let mut spec = Map::new();
        spec.insert("schedule".into(), fields.join(" ").into());
        spec.insert("timeZone".into(), zone.into());
        let policy = match job.overlap {
            Overlap::Skip | Overlap::Queue => "Forbid",
            Overlap::Allow => "Allow",
        };
        spec.insert("concurrencyPolicy".into(), policy.into());
        if is_missed_for_good(job.overlap, plan) {
            spec.insert(
                "startingDeadlineSeconds".into(),
                STARTING_DEADLINE.as_secs().into(),
            );
        }
        spec.insert(
            "jobTemplate".into(),
            json!({
                "metadata": {"labels": settings.labels(COMPONENT)},
                "spec": self.job_spec(plan),
            }),
        );
        objects.push(json!({
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": metadata,
            "spec": spec,
        }));
        let notes = self.notes(plan, now);
        let mut lines = vec![format!(
            "The job {}, written by `metricsjob generate kubernetes`. Its attempts are made in one pod: retries are the job's own.",
            job.name
        )];
        lines.extend(notes.iter().cloned());
        Ok(Manifest {
            text: stream(&comment(&lines), &objects),
            notes,
        })
    }

    fn check_destinations(&self) -> Result<(), CronJobError> {
        if self.gateway.is_none() && self.job.gateways.contains(&GatewayName::Embedded) {
            return Err(CronJobError::Embedded);
        }
        let is_textfile = |to: &&ReportDestination| matches!(to, ReportDestination::Textfile(_));
        match self.job.to.iter().find(is_textfile) {
            Some(textfile) => Err(CronJobError::Textfile(textfile.to_string())),
            None => Ok(()),
        }
    }

    /// The settings of the pod's host, below the job's own.
    fn host_settings(&self) -> String {
        let mut file = String::from("# Settings that neither the job file nor a variable gives.\n");
        // A destination besides gateways takes the place of the embedded one.
        if self.job.gateways.is_empty() && self.job.to.is_empty() {
            file += &format!("gateway = \"{GATEWAY_URL}\"\n");
        }
        if self.settings.state_size.is_none() {
            let time = invocation::duration(DELIVERY_TIME);
            file += &format!(
                "# What is not delivered is lost with the pod.\npush_retry_window = \"{time}\"\npush_deadline = \"{time}\"\n"
            );
        }
        file
    }

    fn state_claim(&self) -> String {
        format!("{}-{STATE}", self.settings.name)
    }

    fn notes(&self, plan: &Plan, now: SystemTime) -> Vec<String> {
        let mut notes = Vec::new();
        let changes = clock_changes(&plan.schedule, now);
        if plan.schedule.is_at_particular_times() {
            if changes.skips {
                notes.push("A run whose time is skipped when the clock is put forward does not take place.".to_owned());
            }
            if changes.repeats {
                notes.push(
                    "A run whose time is repeated when the clock is put back takes place twice."
                        .to_owned(),
                );
            }
        }
        match (self.job.overlap, plan.missed) {
            (Overlap::Skip, Missed::RunOnce) => notes.push(
                "missed = \"run-once\": Kubernetes also makes up for a run that was due while another one was running."
                    .to_owned(),
            ),
            (Overlap::Queue, Missed::Skip) => notes.push(
                "overlap = \"queue\": Kubernetes also makes up for a run that was missed while its controller was down."
                    .to_owned(),
            ),
            (Overlap::Queue, Missed::RunOnce) => notes.push(
                "overlap = \"queue\": of several runs that are due while one is running, Kubernetes starts one.".to_owned(),
            ),
            _ => {}
        }
        if self.job.overlap == Overlap::Allow && self.job.policy.lock != LockPolicy::Off {
            notes.push(
                "lock: each pod has a state of its own, so no run sees another one's lock."
                    .to_owned(),
            );
        }
        notes
    }

    fn job_spec(&self, plan: &Plan) -> Json {
        let mut spec = Map::new();
        spec.insert("backoffLimit".into(), 0.into());
        if let Some(limit) = self.limit(plan) {
            spec.insert("activeDeadlineSeconds".into(), limit.into());
        }
        spec.insert(
            "template".into(),
            json!({
                "metadata": {"labels": self.settings.labels(COMPONENT)},
                "spec": self.pod_spec(plan),
            }),
        );
        spec.into()
    }

    /// Seconds after which a run cannot be going as its definition says, if that limits its attempts.
    fn limit(&self, plan: &Plan) -> Option<u64> {
        let policy = &self.job.policy;
        let attempt = policy.timeout?.saturating_add(policy.kill_after);
        let lock = match policy.lock {
            LockPolicy::Off => Duration::ZERO,
            LockPolicy::Wait(wait) => wait,
        };
        let attempts = attempt.saturating_mul(policy.retries.saturating_add(1));
        let waits =
            (1..=policy.retries.min(1000)).map(|attempt| policy.backoff.delay(attempt, 1.0));
        let parts = [
            attempts,
            plan.jitter,
            policy.splay,
            lock,
            DELIVERY_TIME,
            START_TIME,
        ];
        let whole = parts
            .into_iter()
            .chain(waits)
            .fold(Duration::ZERO, Duration::saturating_add);
        Some(whole.as_secs())
    }

    fn pod_spec(&self, plan: &Plan) -> Json {
        let settings = &self.settings;
        let state = match &settings.state_size {
            Some(_) => {
                json!({"name": STATE, "persistentVolumeClaim": {"claimName": self.state_claim()}})
            }
            None => json!({"name": STATE, "emptyDir": {}}),
        };
        let file = format!("jobs/{}.toml", self.job.name);
        let items = json!([
            {"key": "metricsjob.toml", "path": "metricsjob.toml"},
            {"key": "job.toml", "path": file},
        ]);
        let end = self.job.policy.kill_after + DELIVERY_TIME + Duration::from_secs(10);
        json!({
            "hostname": settings.name,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": end.as_secs(),
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "securityContext": pod_security(),
            "containers": [self.container(plan, &file)],
            "volumes": [
                {"name": "config", "configMap": {"name": settings.name, "items": items}},
                state,
                {"name": "tmp", "emptyDir": {}},
            ],
        })
    }

    fn container(&self, plan: &Plan, file: &str) -> Json {
        let settings = &self.settings;
        let mut args = vec!["run".to_owned(), format!("{CONFIG_DIR}/{file}")];
        if !plan.jitter.is_zero() {
            args.push("--splay".into());
            args.push(invocation::duration(plan.jitter + self.job.policy.splay));
        }
        args.extend(self.options.iter().cloned());
        let args: Vec<String> = args.iter().map(|arg| unexpanded(arg)).collect();
        let mut container = Map::new();
        let mut set = |key: &str, value: Json| container.insert(key.to_owned(), value);
        set("name", COMPONENT.into());
        set("image", settings.image.as_str().into());
        set("command", json!(["metricsjob"]));
        set("args", args.into());
        set("env", self.env(plan));
        if let Some(sources) = settings.environment_sources() {
            set("envFrom", sources);
        }
        set("resources", settings.resources());
        set("securityContext", container_security());
        set(
            "volumeMounts",
            json!([
                {"name": "config", "mountPath": CONFIG_DIR, "readOnly": true},
                {"name": STATE, "mountPath": STATE_DIR},
                {"name": "tmp", "mountPath": "/tmp"},
            ]),
        );
        container.into()
    }

    fn env(&self, plan: &Plan) -> Json {
        let mut env = vec![("METRICSJOB_STATE_DIR", STATE_DIR)];
        if let Some(zone) = plan.schedule.zone()
            && *zone == Zone::system()
            && *zone != Zone::utc()
        {
            // The deadline that a run reports goes by the schedule too.
            env.push(("TZ", zone.name()));
        }
        if let Some(gateway) = &self.gateway {
            env.push(("METRICSJOB_GATEWAY", gateway));
        }
        for (name, value) in &self.env {
            env.retain(|(ours, _)| ours != name);
            env.push((name, value));
        }
        let env = env.into_iter();
        env.map(|(name, value)| json!({"name": name, "value": unexpanded(value)}))
            .collect()
    }
}

/// Returns true if Kubernetes must start no run that is late.
fn is_missed_for_good(overlap: Overlap, plan: &Plan) -> bool {
    // With it, a run that was due while another one was running would begin after that.
    overlap != Overlap::Queue && plan.missed == Missed::Skip
}

/// `text` as Kubernetes leaves it, which replaces `$(NAME)`.
fn unexpanded(text: &str) -> String {
    text.replace('$', "$$")
}
