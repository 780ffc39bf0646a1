//! `metricsjob doctor`: each part of a host's set-up, sound and not.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value as Json;

use crate::common::own_gateway::OwnGateway;
use crate::common::{Authority, FakeServer, Sandbox, TestGateway, TlsServer, US};

/// Severity, message and cure of the findings about `part`.
fn findings(sandbox: &Sandbox, options: &str, part: &str) -> Vec<[String; 3]> {
    let run = sandbox.run(&format!("doctor --output json {options}"));
    let json = run.json();
    let found = json.as_array().unwrap().iter();
    let found = found.filter(|finding| finding["part"] == part);
    let text = |json: &Json| json.as_str().unwrap_or_default().to_owned();
    let found = found.map(|finding| ["severity", "message", "cure"].map(|key| text(&finding[key])));
    found.collect()
}

/// The one finding about `part`.
fn finding(sandbox: &Sandbox, options: &str, part: &str) -> [String; 3] {
    let mut found = findings(sandbox, options, part);
    assert_eq!(found.len(), 1, "{part}: {found:?}");
    found.remove(0)
}

#[track_caller]
fn is(finding: &[String; 3], severity: &str, message: &str, cure: &str) {
    assert_eq!(finding[0], severity, "{finding:?}");
    assert!(finding[1].contains(message), "{finding:?}");
    assert!(finding[2].contains(cure), "{finding:?}");
}

/// A sandbox where `crontab -l` prints `crontab`.
fn with_crontab(crontab: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("crontab.txt", crontab);
    let program = sandbox.write("bin/crontab", "#!/bin/sh\ncat \"$HOME/crontab.txt\"\n");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!(
        "{}:{}",
        sandbox.path().join("bin").display(),
        std::env::var("PATH").unwrap()
    );
    sandbox.variable("PATH", path)
}

#[test]
fn a_new_host() {
    let sandbox = Sandbox::new();
    let run = sandbox.run("doctor");
    run.code(0)
        .out("no config file")
        .out("no job files")
        .quiet_stderr();
    for line in run.stdout().lines() {
        assert!(line.starts_with("ok       "), "{line}");
    }
    assert!(!sandbox.state_db().exists());
}

#[test]
fn the_exit_code_is_that_of_the_worst() {
    let sandbox = Sandbox::new();
    sandbox.write("metricsjob.toml", "tiemout = '1s'\n");
    let line = "doctor --config metricsjob.toml";
    let warned = sandbox.run(line);
    warned.code(0).out("warning  config ").quiet_stderr();
    sandbox.write("jobs/bad.toml", "comand = ['true']\n");
    let failed = sandbox.run(line);
    failed
        .code(1)
        .out("problem  jobs ")
        .out("bad.toml:1:1: unknown key \"comand\"")
        .quiet_stderr();
}

#[test]
fn settings() {
    let sandbox = Sandbox::new().variable("METRICSJOB_TIMOUT", "1s");
    sandbox.write("m.toml", "method = 'get'\n");
    let found = findings(&sandbox, "--config m.toml", "config");
    is(&found[0], "warning", "m.toml:1:10", "config show");
    is(
        &found[1],
        "warning",
        "did you mean METRICSJOB_TIMEOUT?",
        "unset it",
    );
    let good = Sandbox::new();
    good.write("m.toml", "method = 'put'\n");
    is(
        &finding(&good, "--config m.toml", "config"),
        "ok",
        "m.toml",
        "",
    );
}

#[test]
fn the_state() {
    let sandbox = Sandbox::new();
    sandbox.exec("", "true").code(0);
    is(&finding(&sandbox, "", "state"), "ok", "sound, ", "");
    for log in ["state.db-wal", "state.db-shm"] {
        let _ = fs::remove_file(sandbox.state_db().with_file_name(log));
    }
    fs::write(sandbox.state_db(), "no database ".repeat(1000)).unwrap();
    let found = findings(&sandbox, "", "state");
    assert!(found.iter().any(|it| it[0] == "problem"), "{found:?}");
    sandbox.run("doctor").code(1).quiet_stderr();
}

#[test]
fn a_state_directory_that_cannot_be_made() {
    let sandbox = Sandbox::new();
    sandbox.write("file", "");
    let found = finding(&sandbox, "--state-dir file/below", "state");
    assert_eq!(found[0], "problem", "{found:?}");
}

#[test]
fn what_waits_to_be_delivered() {
    let sandbox = Sandbox::new();
    sandbox.exec("", "true").code(0);
    is(&finding(&sandbox, "", "outbox"), "ok", "nothing waits", "");
    let refusing = FakeServer::status("400 Bad Request", "no");
    for (job, gateway) in [
        ("a", "127.0.0.1:1"),
        ("b", "127.0.0.1:1"),
        ("c", &refusing.url()),
    ] {
        let options = format!("--job {job} --gateway {gateway}");
        sandbox.exec(&options, "true").code(0);
    }
    let found = findings(&sandbox, "", "outbox");
    is(&found[0], "warning", "an entry was refused", "outbox list");
    is(
        &found[1],
        "warning",
        "2 entries are not delivered yet, the oldest from ",
        "outbox flush",
    );
}

#[test]
fn gateways_that_do_not_work() {
    let sandbox = Sandbox::new();
    let found = |options: &str| finding(&sandbox, options, "gateway");
    is(
        &found("--gateway 127.0.0.1:1"),
        "problem",
        "connection refused",
        "",
    );
    let closed = FakeServer::status("401 Unauthorized", "");
    let options = format!("--gateway {}", closed.url());
    is(
        &found(&options),
        "problem",
        "401 Unauthorized (give it credentials by",
        "",
    );
    // Nothing of the doctor's may stay.
    let sticky = FakeServer::statuses(&["200 OK", "200 OK", "500 Internal Server Error"]);
    let options = format!("--gateway {}", sticky.url());
    is(
        &found(&options),
        "problem",
        "it took a push, but not its deletion",
        "delete the group {job=metricsjob_doctor}",
    );
    sandbox.run("doctor --gateway ftp://x").code(2);
    let slipped = Sandbox::new().variable("METRICSJOB_GATEWAY", "ftp://x");
    let found = finding(&slipped, "", "gateway");
    is(
        &found,
        "problem",
        "METRICSJOB_GATEWAY: ",
        "nothing is pushed there",
    );
}

#[test]
fn the_embedded_gateway() {
    let sandbox = Sandbox::new();
    sandbox.exec("", "true").code(0);
    let found = finding(&sandbox, "", "gateway");
    is(&found, "ok", "serve it by metricsjob gateway", "");
    let groups = sandbox.run("status --output json").json();
    assert_eq!(groups.as_array().unwrap().len(), 1, "{groups}");
    let _gateway = OwnGateway::start(sandbox.path(), &[]);
    let dir = sandbox.path().display();
    let found = finding(&sandbox, &format!("--state-dir {dir}"), "gateway");
    is(&found, "ok", "is served to Prometheus", "");
}

#[test]
fn a_clock_that_is_wrong() {
    let sandbox = Sandbox::new();
    let answer =
        "HTTP/1.1 200 OK\r\nDate: Mon, 02 Jan 2006 15:04:05 GMT\r\nContent-Length: 0\r\n\r\n";
    let server = FakeServer::answering(answer);
    let found = finding(&sandbox, &format!("--gateway {}", server.url()), "clock");
    is(
        &found,
        "warning",
        "behind this host's: set the wrong one",
        "",
    );
}

#[test]
fn certificates_that_end() {
    let sandbox = Sandbox::new();
    let found = |server: &TlsServer, options: &str| {
        let ca = server.authority(&sandbox);
        let options = format!(
            "--gateway {} --ca-file {} {options}",
            server.url(),
            ca.display()
        );
        findings(&sandbox, &options, "tls")
    };
    let lasting = found(&TlsServer::start(), "");
    is(&lasting[0], "ok", "is valid until 4096-01-01", "");
    let ending = TlsServer::with(|authority| authority.server_ending_in(3));
    let ending = found(&ending, "");
    is(&ending[0], "warning", "ends soon, on ", "renew it");
    let client = Authority::new().expired_client();
    let cert = sandbox.write("client.pem", client.certificate_pem() + &client.key_pem());
    let both = found(
        &TlsServer::start(),
        &format!("--client-cert {}", cert.display()),
    );
    is(
        &both[1],
        "problem",
        "the client certificate for https://localhost",
        "renew it",
    );
}

#[test]
fn an_instance_that_was_turned_on() {
    let sandbox = Sandbox::new();
    sandbox.exec("--job sync -g db=a", "true").code(0);
    sandbox.run("status").code(0).quiet_stderr();
    sandbox.exec("--job sync -g db=b", "true").code(0);
    sandbox.run("status").code(0).quiet_stderr();
    sandbox
        .exec("--job sync -g db=a --instance h", "true")
        .code(0);
    let run = sandbox.run("status");
    run.code(0)
        .out("3 groups, 1 left behind")
        .err("warning: {job=\"sync\",db=\"a\"} at embedded was last reported to ")
        .err(": sync reports to {job=\"sync\",db=\"a\",instance=\"h\"} now: delete it by `metricsjob delete --job sync -g db=a`");
    let groups = sandbox.run("status --output json").json();
    let groups = groups.as_array().unwrap().clone();
    let moved: Vec<&Json> = groups
        .iter()
        .filter(|it| !it["moved_to"].is_null())
        .collect();
    assert_eq!(moved.len(), 1);
    assert_eq!(moved[0]["moved_to"]["grouping"]["instance"], "h");
    is(
        &finding(&sandbox, "", "groups"),
        "warning",
        "was last reported to",
        "`metricsjob delete",
    );
    sandbox.run("delete --job sync -g db=a").code(0);
    is(
        &finding(&sandbox, "", "groups"),
        "ok",
        "none is left behind",
        "",
    );
    sandbox.run("status").code(0).quiet_stderr();
}

#[test]
fn a_job_that_goes_back_and_forth_has_not_moved() {
    let sandbox = Sandbox::new();
    for options in [
        "-g db=a",
        "-g db=a --instance h",
        "-g db=a",
        "-g db=a --instance h",
    ] {
        sandbox
            .exec(&format!("--job sync {options}"), "true")
            .code(0);
    }
    sandbox.run("status").code(0).quiet_stderr();
}

#[test]
fn a_prefix_that_was_changed() {
    let sandbox = Sandbox::new();
    sandbox.exec("--job sync --prefix old", "true").code(0);
    sandbox.exec("--job sync --prefix new", "true").code(0);
    sandbox
        .run("status")
        .err("{job=\"sync\"} at embedded with the prefix old was last reported to")
        .err("sync reports to it with the prefix new now");
    // A PUT leaves nothing of the old one.
    sandbox
        .exec("--job sync --prefix new --method put", "true")
        .code(0);
    sandbox.run("status").code(0).quiet_stderr();
}

#[test]
fn a_gateway_that_was_changed() {
    let sandbox = Sandbox::new();
    let old = OwnGateway::alone(&[]);
    let line = format!("--job sync --gateway {}", old.url());
    sandbox.exec(&line, "true").code(0);
    sandbox.exec("--job sync", "true").code(0);
    sandbox.run("status").code(0).quiet_stderr();
    let found = finding(&sandbox, "", "groups");
    let message = format!("{{job=\"sync\"}} at {} was last reported to", old.url());
    let cure = format!("`metricsjob delete --job sync --gateway {}`", old.url());
    is(&found, "warning", &message, &cure);
    assert!(
        found[1].ends_with("sync reports to embedded now"),
        "{found:?}"
    );
    drop(old);
    let found = finding(&sandbox, "", "groups");
    is(&found, "ok", "(not known for http://127.0.0.1", "");
}

#[test]
fn crontabs() {
    let found = |crontab: &str| finding(&with_crontab(crontab), "", "cron");
    let missing = found("MAILTO=me\n0 2 * * * metricsjob run backup\n");
    is(
        &missing,
        "problem",
        "this user's crontab, line 2: its PATH (/usr/bin:/bin) has no metricsjob",
        "/metricsjob there",
    );
    let found_it = found(&format!("0 2 * * * {US} run backup\n"));
    is(
        &found_it,
        "ok",
        "the line that calls metricsjob finds it",
        "",
    );
    is(
        &found("0 2 * * * true\n"),
        "ok",
        "no crontab calls metricsjob",
        "",
    );
}

on_each_gateway!(nothing_of_the_doctors_stays);

fn nothing_of_the_doctors_stays(gateway: &TestGateway) {
    gateway.run("exec --job j -- true").code(0);
    let run = gateway.run("doctor");
    run.code(0).out("takes pushes").quiet_stderr();
    assert_eq!(
        gateway.value("metricsjob_doctor", "metricsjob_doctor_probe"),
        None
    );
}

#[cfg(feature = "real-servers")]
mod real {
    use super::*;
    use crate::common::Server;

    #[test]
    fn series_in_a_prometheus() {
        let gateway = Server::pushgateway(&[]);
        let sandbox = Sandbox::new().variable("METRICSJOB_GATEWAY", gateway.url());
        let prometheus = |options: &str| {
            let config = format!(
                "global: {{scrape_interval: 1s}}\nscrape_configs:\n\
                 - {{job_name: g, {options} static_configs: [{{targets: [\"{}\"]}}]}}\n",
                gateway.address()
            );
            Server::prometheus(&sandbox.write("prometheus.yml", config))
        };
        let asked = |server: &Server| {
            findings(
                &sandbox,
                &format!("--prometheus {}", server.url()),
                "prometheus",
            )
        };
        let good = prometheus("honor_labels: true,");
        is(
            &asked(&good)[0],
            "ok",
            "has not reported to any group yet",
            "",
        );
        sandbox.run("run backup -g db=a --set duration=0s").code(0);
        let other = prometheus("");
        let ready = |server: &Server, query: &str| {
            server.wait_for(&format!("/api/v1/query?query={query}"), |body| {
                body.contains("db_backup")
            });
        };
        ready(&good, "db_backup_records_processed");
        ready(&other, "db_backup_records_processed");
        is(
            &asked(&good)[0],
            "ok",
            "has the series of 1 of 1 groups",
            "",
        );
        is(
            &asked(&other)[0],
            "problem",
            "as exported_job",
            "set honor_labels: true",
        );
        sandbox
            .exec("--job unseen --gateway embedded", "true")
            .code(0);
        let found = asked(&good);
        is(
            &found[0],
            "problem",
            "no series of {job=\"unseen\"}",
            "is that gateway a target",
        );
        let no_prometheus = asked(&gateway);
        is(
            &no_prometheus[0],
            "problem",
            "as a Prometheus does",
            "base URL",
        );
    }
}
