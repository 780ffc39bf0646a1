//! The manifests as Kubernetes reads them.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value as Json, json};

use super::{NIGHTLY, generated, with};
use crate::common::curl::finished;
use crate::common::{Finished, Sandbox};

fn checked(manifests: &str) -> Finished {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/kubernetes/bin/python");
    assert!(
        python.exists(),
        "scripts/test installs kubernetes-validate: {python:?}"
    );
    let sandbox = Sandbox::new();
    let file = sandbox.write("manifests.yaml", manifests);
    let mut command = Command::new(python);
    command
        .arg(root.join("tests/clients/manifests.py"))
        .stdin(fs::File::open(file).unwrap());
    finished(&mut command)
}

/// Manifests that Kubernetes takes, by their kinds.
pub fn read(manifests: &str) -> Json {
    let run = checked(manifests);
    run.code(0).quiet_stderr();
    let manifests = run.json();
    let manifests = manifests.as_array().unwrap().iter();
    let by_kind = manifests.map(|manifest| {
        let kind = manifest["kind"].as_str().unwrap();
        (kind.to_owned(), manifest.clone())
    });
    Json::Object(by_kind.collect())
}

/// The CronJob's `spec` for a job with these lines.
fn cron_job(lines: &str) -> Json {
    let run = generated(&format!("command = ['true']\n{lines}"), "");
    read(&run.code(0).stdout())["CronJob"]["spec"].clone()
}

#[test]
fn all_options() {
    let options = "--image registry.example/dump:7 --namespace batch -g db=shop --secret shop-database --env ROWS=3 \
                   --label example.com/team=dba --limits memory=2Gi,cpu=1 --requests= --state-size 1Gi \
                   --storage-class fast --gateway-url http://gateway.example:9091";
    let objects = read(&generated(NIGHTLY, options).code(0).stdout());
    assert_eq!(objects.as_object().unwrap().len(), 3, "{objects}");
    for object in objects.as_object().unwrap().values() {
        assert_eq!(object["metadata"]["namespace"], "batch");
        assert_eq!(object["metadata"]["labels"]["example.com/team"], "dba");
    }
    assert_eq!(objects["ConfigMap"]["data"]["job.toml"], NIGHTLY);
    // The volume is the pod's.
    let claim = &objects["PersistentVolumeClaim"]["metadata"]["name"];
    let pod = &objects["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"];
    let volumes = pod["volumes"].as_array().unwrap().iter();
    let claims = volumes.filter(|volume| volume["persistentVolumeClaim"]["claimName"] == *claim);
    assert_eq!(claims.count(), 1, "{pod}");
}

#[test]
fn the_check_finds_what_is_wrong() {
    let good = generated(NIGHTLY, "").code(0).stdout();
    for (right, wrong, problem) in [
        (
            "backoffLimit: 0",
            "backoffLimit: none",
            "is not of type 'integer'",
        ),
        ("restartPolicy:", "restartpolicy:", "restartpolicy"),
        ("batch/v1", "batch/v0", "Couldn't find schema"),
    ] {
        assert!(good.contains(right), "{good}");
        checked(&good.replace(right, wrong)).code(0).err(problem);
    }
}

#[test]
fn the_gateway() {
    let run = Sandbox::new().run("generate kubernetes --gateway --state-size 5Gi --secret tls");
    let objects = read(&run.code(0).stdout());
    let set = &objects["StatefulSet"];
    assert_eq!(set["spec"]["replicas"], 1);
    let pod = &set["spec"]["template"];
    // The Service finds the pod, and the ServiceMonitor the Service.
    let selector = &objects["Service"]["spec"]["selector"];
    let monitor = &objects["ServiceMonitor"];
    for (labels, selector) in [
        (&pod["metadata"]["labels"], selector),
        (
            &pod["metadata"]["labels"],
            &set["spec"]["selector"]["matchLabels"],
        ),
        (
            &objects["Service"]["metadata"]["labels"],
            &monitor["spec"]["selector"]["matchLabels"],
        ),
    ] {
        for (name, value) in selector.as_object().unwrap() {
            assert_eq!(labels[name], *value, "{name}");
        }
    }
    let port = &objects["Service"]["spec"]["ports"][0];
    let container = &pod["spec"]["containers"][0];
    assert_eq!(port["targetPort"], container["ports"][0]["name"]);
    assert_eq!(port["port"], container["ports"][0]["containerPort"]);
    let storage =
        &set["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"];
    assert_eq!(storage, "5Gi");
    // The fields that the Prometheus Operator documents for monitoring.coreos.com/v1.
    assert_eq!(monitor["apiVersion"], "monitoring.coreos.com/v1");
    let expected = json!({
        "selector": {"matchLabels": selector},
        "endpoints": [{
            "port": port["name"],
            "path": "/metrics",
            "interval": "15s",
            "honorLabels": true,
            "relabelings": [{"action": "labeldrop", "regex": "container|endpoint|pod|service"}],
        }],
    });
    assert_eq!(monitor["spec"], expected);
}

#[test]
fn a_job_file_comes_through() {
    for (number, end) in [
        "",
        "\n",
        "\n\n",
        "\n  ",
        " \n\t\n",
        "\r\n",
        "\u{7f}\n",
        "# é\u{2028}\n",
    ]
    .into_iter()
    .enumerate()
    {
        let begin = if number % 2 == 0 { "" } else { "\n  " };
        // A comment can have what TOML does not take elsewhere.
        let file = format!(
            "{begin}command = ['true']\nschedule = '@daily' #: - \"x\" 'y' {{{{ }}}} &a *b !c %d @e `f` \\n\n\n\t\n#{end}"
        );
        let run = with(&file).run("generate kubernetes nightly");
        if !run.code_is(0) {
            // No job file at all.
            run.code(2).err("nightly.toml:");
            continue;
        }
        let objects = read(&run.stdout());
        assert_eq!(objects["ConfigMap"]["data"]["job.toml"], file, "{file:?}");
    }
}

#[test]
fn overlap_and_missed() {
    for (lines, policy, deadline) in [
        ("every = '1h'", "Forbid", json!(120)),
        ("every = '1h'\nmissed = 'run-once'", "Forbid", Json::Null),
        ("every = '1h'\noverlap = 'queue'", "Forbid", Json::Null),
        ("every = '1h'\noverlap = 'allow'", "Allow", json!(120)),
        (
            "every = '1h'\noverlap = 'allow'\nmissed = 'run-once'",
            "Allow",
            Json::Null,
        ),
    ] {
        let spec = cron_job(lines);
        assert_eq!(spec["concurrencyPolicy"], policy, "{lines}");
        assert_eq!(spec["startingDeadlineSeconds"], deadline, "{lines}");
        let job = &spec["jobTemplate"]["spec"];
        assert_eq!(job["backoffLimit"], 0);
        assert_eq!(job["template"]["spec"]["restartPolicy"], "Never");
    }
}

#[test]
fn schedules_and_zones() {
    for (lines, schedule, zone) in [
        ("every = '15m'", "*/15 * * * *", "Etc/UTC"),
        (
            "schedule = '@weekly'\ntimezone = 'Asia/Kolkata'",
            "0 0 * * 0",
            "Asia/Kolkata",
        ),
        // Without one it is the machine's, which the sandbox has from TZ.
        ("schedule = '0 5 4 * * sun,7'", "5 4 * * 0", "UTC"),
    ] {
        let spec = cron_job(lines);
        assert_eq!(spec["schedule"], schedule);
        assert_eq!(spec["timeZone"], zone);
    }
    // The deadline of a run goes by the schedule too, and the pod has another clock.
    let sandbox = with("command = ['true']\nschedule = '@daily'").variable("TZ", "Asia/Tokyo");
    let run = sandbox.run("generate kubernetes nightly");
    let spec = &read(&run.code(0).stdout())["CronJob"]["spec"];
    assert_eq!(spec["timeZone"], "Asia/Tokyo");
    let env = &spec["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["env"];
    assert!(
        env.as_array()
            .unwrap()
            .contains(&json!({"name": "TZ", "value": "Asia/Tokyo"}))
    );
}

/// Kubernetes ends what cannot be going on any more, and nothing before that.
#[test]
fn deadlines() {
    let deadline = |lines: &str| {
        let spec = cron_job(&format!("every = '1h'\n{lines}"));
        spec["jobTemplate"]["spec"]["activeDeadlineSeconds"].clone()
    };
    assert_eq!(deadline("retries = 3"), Json::Null);
    // The attempt, 10 s for its end, 60 s for the delivery and 300 s until the pod runs.
    assert_eq!(deadline("timeout = '100s'"), 100 + 10 + 360);
    assert_eq!(
        deadline(
            "timeout = '100s'\nkill_after = '1s'\nretries = 2\nbackoff = '5s..7s'\nlock_wait = '20s'\nsplay = '30s'"
        ),
        3 * 101 + 5 + 7 + 20 + 30 + 360
    );
    let spec = cron_job("every = '1h'\nkill_after = '2m'");
    let grace = &spec["jobTemplate"]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"];
    assert_eq!(grace, 120 + 60 + 10);
}
