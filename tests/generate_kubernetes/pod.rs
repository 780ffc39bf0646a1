//! A job's pod as a kubelet makes it of the manifests: with namespaces of its own, a read-only root, the files of its
//! ConfigMap, an empty directory for its state, and the user, name and command line that they say.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value as Json;

use super::manifest::read;
use super::{NIGHTLY, generated};
use crate::common::curl::finished;
use crate::common::own_gateway::OwnGateway;
use crate::common::{Finished, Sandbox, US};

/// With the sandbox as $1, the built binary as $2, the pod's name as $3 and its user as $4; then come variables and the
/// command. Nothing is mounted outside of the namespace.
const START: &str = r#"
root=$1 program=$2 user=$4
echo "$3" >/proc/sys/kernel/hostname
shift 4
mount -t tmpfs none /usr/local/bin
touch /usr/local/bin/metricsjob
mount --bind "$program" /usr/local/bin/metricsjob
mount --bind "$root/etc" /etc
mount -t tmpfs none /var/lib
mkdir /var/lib/metricsjob
mount --bind "$root/state" /var/lib/metricsjob
mount -o remount,bind,ro /var/lib
mount -o remount,bind,ro /
mount -t tmpfs none /tmp
cd /
exec setpriv --reuid="$user" --regid="$user" --groups="$user" --bounding-set=-all --no-new-privs \
  env -i PATH=/usr/local/bin:/usr/bin:/bin HOSTNAME="$(cat /proc/sys/kernel/hostname)" "$@"
"#;

/// Objects of a job in Kubernetes.
struct Pod {
    spec: Json,
    data: Json,
    dir: Sandbox,
}

impl Pod {
    /// A new pod of the CronJob in `objects`.
    fn new(objects: &Json) -> Self {
        let spec = &objects["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"];
        let pod = Pod {
            spec: spec.clone(),
            data: objects["ConfigMap"]["data"].clone(),
            dir: Sandbox::new(),
        };
        let user = pod.user();
        pod.dir.write("etc/passwd", "root:x:0:0::/:/bin/sh\n");
        let state = pod.dir.path().join("state");
        fs::create_dir(&state).unwrap();
        // An emptyDir belongs to root and to the group of fsGroup.
        chown(&state, Some(0), Some(user)).unwrap();
        fs::set_permissions(&state, fs::Permissions::from_mode(0o2777)).unwrap();
        pod.config();
        pod
    }

    fn user(&self) -> u32 {
        let context = &self.spec["securityContext"];
        assert_eq!(context["runAsUser"], context["runAsGroup"]);
        assert_eq!(context["runAsUser"], context["fsGroup"]);
        u32::try_from(context["runAsUser"].as_u64().unwrap()).unwrap()
    }

    /// The files of the ConfigMap where they are mounted: links into a directory that is replaced as a whole.
    fn config(&self) {
        let container = &self.spec["containers"][0];
        let mount = named(&container["volumeMounts"], "config");
        let volume = named(&self.spec["volumes"], "config");
        let dir = mount["mountPath"].as_str().unwrap();
        let dir = self.dir.path().join(dir.trim_start_matches('/'));
        let place = |path: &str| dir.join("..2026_01_02").join(path);
        for item in volume["configMap"]["items"].as_array().unwrap() {
            let path = place(item["path"].as_str().unwrap());
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let text = self.data[item["key"].as_str().unwrap()].as_str().unwrap();
            fs::write(path, text).unwrap();
        }
        symlink("..2026_01_02", dir.join("..data")).unwrap();
        for entry in fs::read_dir(place("")).unwrap() {
            let name = entry.unwrap().file_name();
            symlink(Path::new("..data").join(&name), dir.join(&name)).unwrap();
        }
    }

    /// Runs `words`, or the container's command where they are none.
    fn run(&self, words: &[&str]) -> Finished {
        let container = &self.spec["containers"][0];
        let texts = |list: &Json| -> Vec<String> {
            let texts = list.as_array().unwrap().iter();
            texts.map(|text| expanded(text.as_str().unwrap())).collect()
        };
        let env = container["env"].as_array().unwrap().iter();
        let env = env.map(|variable| {
            let value = expanded(variable["value"].as_str().unwrap());
            format!("{}={value}", variable["name"].as_str().unwrap())
        });
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--uts", "sh", "-euc", START, "sh"])
            .arg(self.dir.path())
            .arg(US)
            .arg(self.spec["hostname"].as_str().unwrap())
            .arg(self.user().to_string())
            .args(env)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null());
        if words.is_empty() {
            command.args(texts(&container["command"]));
            command.args(texts(&container["args"]));
        } else {
            command.args(words);
        }
        finished(&mut command)
    }
}

/// `text` once Kubernetes has replaced `$(NAME)` in it, of which there is none.
fn expanded(text: &str) -> String {
    assert!(!text.replace("$$", "").contains("$("), "{text}");
    text.replace("$$", "$")
}

fn named<'a>(list: &'a Json, name: &str) -> &'a Json {
    let mut list = list.as_array().unwrap().iter();
    list.find(|entry| entry["name"] == name).unwrap()
}

#[test]
fn the_group_is_the_cron_jobs() {
    let gateway = OwnGateway::alone(&[]);
    let options = format!(
        "-g note=a$(B)$$ --env ROWS=9 --gateway-url {}",
        gateway.url()
    );
    let objects = read(&generated(NIGHTLY, &options).code(0).stdout());
    assert_eq!(
        objects["CronJob"]["metadata"]["name"],
        objects["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["hostname"]
    );
    for _ in 0..2 {
        Pod::new(&objects).run(&[]).code(0).err("nightly: success");
    }
    // Both are the same group, though the job asks for the host's name.
    let (_, metrics) = gateway.get("/metrics");
    let labels = r#"{instance="nightly",job="nightly",note="a$(B)$$"}"#;
    assert!(
        metrics.contains(&format!("\ndump_rows{labels} 9\n")),
        "{metrics}"
    );
    let groups = metrics
        .lines()
        .filter(|line| line.starts_with("batch_job_success{"));
    assert_eq!(groups.count(), 1, "{metrics}");
    assert!(
        metrics.contains(r#"batch_job_info{host="nightly","#),
        "{metrics}"
    );
}

#[test]
fn the_settings_are_below_the_jobs_own() {
    let shown = |objects: &Json, name: &str| {
        let pod = Pod::new(objects);
        let shown = pod.run(&["metricsjob", "config", "show"]).code(0).stdout();
        let line = shown
            .lines()
            .find(|line| line.starts_with(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("{name}: {shown}")).to_owned()
    };
    let objects = read(&generated(NIGHTLY, "").code(0).stdout());
    let gateway = shown(&objects, "gateway");
    assert!(
        gateway.contains("http://metricsjob-gateway:9091"),
        "{gateway}"
    );
    // Without a volume, a report is tried for longer.
    for name in ["push_retry_window", "push_deadline"] {
        let line = shown(&objects, name);
        assert!(
            line.contains("1m") && line.contains("/etc/metricsjob/metricsjob.toml"),
            "{line}"
        );
    }
    let objects = read(&generated(NIGHTLY, "--state-size 1Gi").code(0).stdout());
    let window = shown(&objects, "push_retry_window");
    assert!(window.contains("30ms"), "{window}");
}

/// The job's own gateway wins over that of the settings; without one of its own nothing is lost with the embedded one.
#[test]
fn a_jobs_own_gateway() {
    let gateway = OwnGateway::alone(&[]);
    let file = format!("{NIGHTLY}gateway = \"{}\"\n", gateway.url());
    let objects = read(&generated(&file, "").code(0).stdout());
    assert!(
        !objects["ConfigMap"]["data"]["metricsjob.toml"]
            .as_str()
            .unwrap()
            .contains("gateway =")
    );
    let run = Pod::new(&objects).run(&[]);
    run.code(0).err("nightly: success");
    assert!(!run.stderr().contains("warning"), "{}", run.stderr());
    let (_, metrics) = gateway.get("/metrics");
    assert!(metrics.contains("\ndump_rows{"), "{metrics}");
}

/// The paths of the probes and of the ServiceMonitor are there.
#[test]
fn the_gateways_paths() {
    let run = Sandbox::new().run("generate kubernetes --gateway");
    let objects = read(&run.code(0).stdout());
    let container = &objects["StatefulSet"]["spec"]["template"]["spec"]["containers"][0];
    let gateway = OwnGateway::alone(&[]);
    let mut paths = vec![&objects["ServiceMonitor"]["spec"]["endpoints"][0]["path"]];
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        paths.push(&container[probe]["httpGet"]["path"]);
    }
    for path in paths {
        let path = path.as_str().unwrap();
        assert_eq!(gateway.get(path).0, 200, "{path}");
    }
}
