//! The gateway: a StatefulSet with a volume, its Service, and a ServiceMonitor of the Prometheus Operator.

use serde_json::{Map, Value as Json, json};

use super::{ObjectSettings, STATE, STATE_DIR, container_security, pod_security, stream};

/// Name of the gateway's objects.
pub const GATEWAY_NAME: &str = "metricsjob-gateway";

/// URL of the gateway for pods of its namespace.
pub const GATEWAY_URL: &str = "http://metricsjob-gateway:9091";

const PORT: u16 = 9091;

/// Name of the port.
const HTTP: &str = "http";

const COMPONENT: &str = "gateway";

/// Labels of the gateway's pod, which are none of what others pushed to it.
const OF_THE_POD: &str = "container|endpoint|pod|service";

/// The manifests of the gateway. `state_size` is that of its volume.
pub fn gateway(settings: &ObjectSettings, state_size: &str, has_service_monitor: bool) -> String {
    let name = &settings.name;
    let selector = settings.selector(COMPONENT);
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": settings.metadata(name, COMPONENT),
        "spec": {
            "selector": selector,
            "ports": [{"name": HTTP, "port": PORT, "targetPort": HTTP}],
        },
    });
    let stateful_set = json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": settings.metadata(name, COMPONENT),
        "spec": {
            "replicas": 1,
            "serviceName": name,
            "selector": {"matchLabels": selector},
            "template": {
                "metadata": {"labels": settings.labels(COMPONENT)},
                "spec": {
                    "automountServiceAccountToken": false,
                    "enableServiceLinks": false,
                    "securityContext": pod_security(),
                    "containers": [container(settings)],
                    "volumes": [{"name": "tmp", "emptyDir": {}}],
                },
            },
            "volumeClaimTemplates": [{
                "metadata": {"name": STATE},
                "spec": settings.volume_claim(state_size),
            }],
        },
    });
    let mut objects = vec![service, stateful_set];
    if has_service_monitor {
        objects.push(json!({
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "ServiceMonitor",
            "metadata": settings.metadata(name, COMPONENT),
            "spec": {
                "selector": {"matchLabels": selector},
                "endpoints": [{
                    "port": HTTP,
                    "path": "/metrics",
                    "interval": "15s",
                    "honorLabels": true,
                    "relabelings": [{"action": "labeldrop", "regex": OF_THE_POD}],
                }],
            },
        }));
    }
    let comment = format!(
        "# The gateway of metricsjob, written by `metricsjob generate kubernetes --gateway`. Jobs of its namespace push to\n\
         # http://{name}:{PORT}. One pod has its volume: more replicas would be gateways of their own.\n"
    );
    stream(&comment, &objects)
}

fn container(settings: &ObjectSettings) -> Json {
    let probe = |path: &str, period: u32, failures: u32| {
        json!({
            "httpGet": {"path": path, "port": HTTP},
            "periodSeconds": period,
            "timeoutSeconds": 5,
            "failureThreshold": failures,
        })
    };
    let mut container = Map::new();
    let mut set = |key: &str, value: Json| container.insert(key.to_owned(), value);
    set("name", COMPONENT.into());
    set("image", settings.image.as_str().into());
    set("command", json!(["metricsjob"]));
    set(
        "args",
        json!(["gateway", format!("--web.listen-address=:{PORT}")]),
    );
    set(
        "env",
        json!([{"name": "METRICSJOB_STATE_DIR", "value": STATE_DIR}]),
    );
    if let Some(sources) = settings.environment_sources() {
        set("envFrom", sources);
    }
    set("ports", json!([{"name": HTTP, "containerPort": PORT}]));
    // A large database takes a while to read.
    set("startupProbe", probe("/-/ready", 2, 150));
    set("livenessProbe", probe("/-/healthy", 10, 3));
    set("readinessProbe", probe("/-/ready", 5, 2));
    set("resources", settings.resources());
    set("securityContext", container_security());
    set(
        "volumeMounts",
        json!([
            {"name": STATE, "mountPath": STATE_DIR},
            {"name": "tmp", "mountPath": "/tmp"},
        ]),
    );
    container.into()
}
