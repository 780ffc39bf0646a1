//! `metricsjob generate kubernetes`: jobs and the gateway for Kubernetes.
//!
//! The manifests are held against the schemas of Kubernetes by kubernetes-validate, which `scripts/test` installs under
//! `target`; `pod` runs what they say as a kubelet does, and `schedule` asks the cron library of Kubernetes, a package of
//! Debian's.

use std::fs;

use insta::assert_snapshot;

use crate::common::{Finished, Sandbox};

#[cfg(feature = "real-servers")]
mod manifest;
#[cfg(feature = "real-servers")]
mod pod;
#[cfg(feature = "real-servers")]
mod schedule;

/// A job that says much about its runs.
const NIGHTLY: &str = r#"description = "Dump the customers database"
command = ["sh", "-c", 'echo "dump_rows ${ROWS:-7}" >>"$METRICSJOB_METRICS"']
schedule = "30 2 * * mon-fri"
timezone = "UTC"
jitter = "2s"
timeout = "1h"
retries = 2
backoff = "30s..5m"
instance = true
"#;

/// A sandbox with the job file `nightly.toml`.
fn with(file: &str) -> Sandbox {
    let sandbox = Sandbox::new().variable("TZ", "UTC");
    sandbox.write("jobs/nightly.toml", file);
    sandbox
}

fn generated(file: &str, options: &str) -> Finished {
    with(file).run(&format!("generate kubernetes nightly {options}"))
}

#[test]
fn a_job() {
    let options = "--image registry.example/dump:7 --namespace batch -g db=shop --secret shop-database --env ROWS=$(N) \
                   --label example.com/team=dba --limits memory=2Gi,cpu=1 --requests cpu=10m --state-size 1Gi \
                   --storage-class fast --gateway-url http://gateway.example:9091";
    let run = generated(NIGHTLY, options);
    run.code(0).quiet_stderr();
    assert_snapshot!("job", run.stdout());
}

#[test]
fn the_gateway() {
    let run = Sandbox::new().run("generate kubernetes --gateway --image metricsjob:test");
    run.code(0).quiet_stderr();
    assert_snapshot!("gateway", run.stdout());
    let run =
        Sandbox::new().run("generate kubernetes --gateway --no-service-monitor --name pushes");
    run.code(0)
        .out("serviceName: pushes\n")
        .out("http://pushes:9091");
    assert!(!run.stdout().contains("ServiceMonitor"), "{}", run.stdout());
}

#[test]
fn what_kubernetes_cannot_say() {
    for (lines, problem) in [
        (
            "",
            "the job nightly has no schedule: give it one in its file, such as schedule = ",
        ),
        (
            "schedule = '*/20 * * * * *'",
            "the schedule \"*/20 * * * * *\" has seconds, and Kubernetes counts in minutes",
        ),
        (
            "every = '90s'",
            "Kubernetes cannot say every = \"1m 30s\": take a time that divides an hour or a day evenly",
        ),
        (
            "schedule = '0 0 */2 * mon'",
            "the schedule \"0 0 */2 * mon\" is due on days that match both its day of the month",
        ),
        (
            "schedule = '@daily'\ngateway = 'embedded'",
            "the job's gateway is \"embedded\", which would be gone with each pod: name one by --gateway-url",
        ),
        (
            "schedule = '@daily'\nto = 'textfile:/var/lib/node-exporter'",
            "the job reports to textfile:/var/lib/node-exporter, a directory of a host",
        ),
    ] {
        let run = generated(&format!("command = ['true']\n{lines}"), "");
        run.code(2).err(&format!("error: {problem}"));
        assert_eq!(run.stdout(), "", "{lines}");
        assert_eq!(run.stderr().lines().count(), 1, "{}", run.stderr());
    }
    let run = generated(
        "command = ['true']\nevery = '1h'\noverlap = 'allow'",
        "--state-size 1Gi",
    );
    run.code(2)
        .err("overlap = \"allow\" runs several pods at a time, and a volume");
}

#[test]
fn a_zone_without_a_name() {
    let sandbox = with("command = ['true']\nschedule = '@daily'");
    let rules = sandbox.path().join("rules");
    fs::copy("/usr/share/zoneinfo/Europe/Berlin", &rules).unwrap();
    let sandbox = sandbox.variable("TZ", rules.to_str().unwrap());
    let run = sandbox.run("generate kubernetes nightly");
    run.code(2)
        .err("the time zone of this machine has no name by which Kubernetes knows it");
}

#[test]
fn what_kubernetes_does_in_another_way_is_said() {
    for (lines, notes) in [
        ("schedule = '30 2 * * *'\ntimezone = 'UTC'", &[][..]),
        ("schedule = '30 12 * * *'\ntimezone = 'Europe/Berlin'", &[]),
        // A star in the hour goes by what the clock shows, as Kubernetes does.
        ("schedule = '30 * * * *'\ntimezone = 'Europe/Berlin'", &[]),
        (
            "schedule = '30 2 * * *'\ntimezone = 'Europe/Berlin'",
            &[
                "skipped when the clock is put forward",
                "repeated when the clock is put back",
            ],
        ),
        (
            "schedule = '30 1 * * *'\ntimezone = 'America/New_York'",
            &["repeated when the clock is put back"],
        ),
        (
            "every = '1h'\nmissed = 'run-once'",
            &["missed = \"run-once\": Kubernetes also makes up for a run"],
        ),
        (
            "every = '1h'\noverlap = 'queue'",
            &["overlap = \"queue\": Kubernetes also makes up for a run that was missed"],
        ),
        (
            "every = '1h'\noverlap = 'allow'\nlock = true",
            &["lock: each pod has a state of its own"],
        ),
    ] {
        let run = generated(&format!("command = ['true']\n{lines}"), "");
        run.code(0);
        let warnings = run.stderr();
        assert_eq!(warnings.lines().count(), notes.len(), "{lines}: {warnings}");
        for note in notes {
            run.err(note).out(note);
        }
    }
}

#[test]
fn bad_options() {
    for (options, problem) in [
        (
            "--name Nightly",
            "it must be lower-case letters, digits and -",
        ),
        (
            "--namespace a.b",
            "it must be lower-case letters, digits and -",
        ),
        (
            "--label app.kubernetes.io/name=x",
            "app.kubernetes.io/name is set already",
        ),
        (
            "--label a=b/c",
            "the value \"b/c\" must be letters, digits, -, _ and .",
        ),
        (
            "--limits memory=1Mb",
            "\"1Mb\" is no quantity (for example 500m, 128Mi or 1.5Gi)",
        ),
        ("--state-size big", "\"big\" is no quantity"),
        ("--image=", "an image is REGISTRY/NAME:TAG, without blanks"),
        ("--gateway", "cannot be used with"),
        ("-g job=x", "job"),
        (
            "-g a=${host}",
            "--grouping a: there is no placeholder ${host}",
        ),
        (
            "--gateway-url embedded",
            "that gateway would be gone with each pod",
        ),
        (
            "--gateway-url http://me:s3cret@h",
            "--gateway-url http://***@h has a user or a password in it",
        ),
    ] {
        let run = generated(NIGHTLY, options);
        run.code(2).err(problem);
        assert!(!run.stderr().contains("s3cret"), "{}", run.stderr());
        assert_eq!(run.stdout(), "", "{options}");
    }
    let sandbox = Sandbox::new();
    sandbox.run("generate kubernetes").code(2).err("required");
    sandbox
        .run("generate kubernetes --gateway -g a=b")
        .code(2)
        .err("cannot be used with");
    sandbox
        .run("generate kubernetes --gateway --name 1st")
        .code(2)
        .err("--name \"1st\" begins with a digit, which a Service must not");
    let name = format!("jobs/{}.toml", "n".repeat(53));
    sandbox.write(&name, NIGHTLY);
    let run = sandbox.run(&format!("generate kubernetes {name}"));
    run.code(2)
        .err("is longer than 52 characters (give another one by --name)");
    sandbox
        .run(&format!("generate kubernetes {name} --name n"))
        .code(0);
}

/// The config file of the host where it is generated is not there in a pod.
#[test]
fn the_host_does_not_count() {
    let sandbox = with("command = ['true']\nschedule = '@daily'");
    let plain = sandbox.run("generate kubernetes nightly").code(0).stdout();
    sandbox.write(
        ".config/metricsjob/metricsjob.toml",
        "timeout = '1h'\ngateway = 'http://u:s3cret@h'\ninstance = true",
    );
    let run = sandbox.run("generate kubernetes nightly");
    assert_eq!(run.code(0).stdout(), plain);
}

#[test]
fn the_user_is_that_of_the_image() {
    use metricsjob::generate::kubernetes::USER;

    let dockerfile = include_str!("../Dockerfile");
    assert!(dockerfile.contains(&format!("\nUSER {USER}:{USER}\n")));
    assert!(dockerfile.contains("\nENV METRICSJOB_STATE_DIR=/var/lib/metricsjob "));
}
