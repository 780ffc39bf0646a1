//! Manifests for Kubernetes: a job as a CronJob, and the gateway that it reports to.
//!
//! - [`CronJob`]: the job, its file and its settings; [`gateway`]: the gateway with its volume, Service and ServiceMonitor.
//! - [`names`], [`Quantities`]: texts that Kubernetes takes for names, labels and resources.
//! - [`ObjectSettings`]: what both have in common.

mod cron_job;
mod gateway;
pub mod names;
mod quantity;

use serde_json::{Map, Value as Json, json};

use super::yaml;

pub use self::cron_job::{CronJob, CronJobError, Manifest};
pub use self::gateway::{GATEWAY_NAME, GATEWAY_URL, gateway};
pub use self::quantity::{Quantities, quantity};

/// The image of `docker build -t metricsjob:VERSION .`, in the cluster's registry or on its nodes.
pub const IMAGE: &str = concat!("metricsjob:", env!("CARGO_PKG_VERSION"));

/// User and group of the image.
pub const USER: u32 = 10001;

/// Where the state is, in the image and in its volume.
const STATE_DIR: &str = "/var/lib/metricsjob";

/// Name of the volume with the state.
const STATE: &str = "state";

/// How the objects are called, where they are, and what they get of the cluster.
#[derive(Debug, Clone, Default)]
pub struct ObjectSettings {
    pub name: String,
    pub namespace: Option<String>,
    /// Further labels of all objects.
    pub labels: Vec<(String, String)>,
    pub image: String,
    pub requests: Quantities,
    pub limits: Quantities,
    /// Size of the volume with the state.
    pub state_size: Option<String>,
    pub storage_class: Option<String>,
    /// Secrets whose keys are environment variables.
    pub secrets: Vec<String>,
}

impl ObjectSettings {
    /// The labels by which the pods are found.
    fn selector(&self, component: &str) -> Map<String, Json> {
        let labels = [
            ("app.kubernetes.io/name", "metricsjob"),
            ("app.kubernetes.io/instance", &self.name),
            ("app.kubernetes.io/component", component),
        ];
        let labels = labels.into_iter();
        labels
            .map(|(key, value)| (key.to_owned(), value.into()))
            .collect()
    }

    fn labels(&self, component: &str) -> Map<String, Json> {
        let mut labels = self.selector(component);
        labels.insert("app.kubernetes.io/part-of".into(), "metricsjob".into());
        let further = self.labels.iter();
        labels.extend(further.map(|(key, value)| (key.clone(), value.as_str().into())));
        labels
    }

    fn metadata(&self, name: &str, component: &str) -> Json {
        let mut metadata = Map::new();
        metadata.insert("name".into(), name.into());
        if let Some(namespace) = &self.namespace {
            metadata.insert("namespace".into(), namespace.as_str().into());
        }
        metadata.insert("labels".into(), self.labels(component).into());
        metadata.into()
    }

    fn resources(&self) -> Json {
        let mut resources = Map::new();
        for (kind, quantities) in [("requests", &self.requests), ("limits", &self.limits)] {
            if !quantities.0.is_empty() {
                resources.insert(kind.into(), quantities.json());
            }
        }
        resources.into()
    }

    fn environment_sources(&self) -> Option<Json> {
        let sources = self.secrets.iter();
        let sources: Vec<Json> = sources
            .map(|name| json!({"secretRef": {"name": name}}))
            .collect();
        (!sources.is_empty()).then(|| sources.into())
    }

    fn volume_claim(&self, size: &str) -> Json {
        let mut claim = json!({
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": size}},
        });
        if let Some(class) = &self.storage_class {
            claim["storageClassName"] = class.as_str().into();
        }
        claim
    }
}

/// Rights of a pod: none that the program does not need.
fn pod_security() -> Json {
    json!({
        "runAsNonRoot": true,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    })
}

fn container_security() -> Json {
    json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"]},
    })
}

/// The objects as one stream of documents, under a comment.
fn stream(comment: &str, objects: &[Json]) -> String {
    let documents: Vec<String> = objects.iter().map(yaml::document).collect();
    format!("{comment}{}", documents.join("---\n"))
}
