//! Every setting of a host takes effect from its config file. Those of jobs, which job files have too, are in
//! `settings_matrix`.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use metricsjob::config::settings::SETTINGS;
use nix::sys::signal::Signal::SIGTERM;

use crate::common::own_gateway::OwnGateway;
use crate::common::own_server::{GATE, OwnServer, close, job, open};
use crate::common::{Authority, FakeServer, Sandbox, TlsServer};

/// A setting, a value for it with `HOME` for the path of the home, and its effect in a home whose config file has it.
type Case = (&'static str, &'static str, fn(&Sandbox) -> bool);

const CASES: &[Case] = &[
    (
        "receiver",
        "[{name = 'ops', webhook = {url = 'http://ops/'}}]",
        |home| {
            home.run("generate alertmanager")
                .stdout()
                .contains("http://ops/")
        },
    ),
    (
        "aggregate",
        "['job=\"j\" without (instance)', 'job=\"k\" without (instance) gauges sum']",
        |home| {
            let gateway = OwnGateway::start_command(
                home.command(["gateway", "--web.listen-address=127.0.0.1:0"]),
            );
            for instance in ["a", "b"] {
                gateway.put(&format!("/metrics/job/k/instance/{instance}"), "m 2\n");
            }
            gateway.value("k", "m") == Some(4.0)
        },
    ),
    ("push_timeout", "'200ms'", |home| {
        let hanging = FakeServer::hanging();
        let options = "--push-deadline 400ms --push-retry-window 0s";
        push(home, &hanging, options).contains("200ms: raise --push-timeout")
    }),
    ("connect_timeout", "'200ms'", |home| {
        // The system accepts the connection, and nobody speaks TLS on it.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap();
        let line = format!("--push-timeout 400ms --gateway https://{address}");
        let run = home.exec(&line, "true");
        run.stderr().contains("200ms: raise --connect-timeout")
    }),
    ("push_deadline", "'200ms'", |home| {
        let hanging = FakeServer::hanging();
        push(home, &hanging, "--push-timeout 400ms").contains("raise --push-deadline")
    }),
    ("push_retry_window", "'10s'", |home| {
        let mut statuses = vec!["503 Later"; 8];
        statuses.push("202 Accepted");
        push(home, &FakeServer::statuses(&statuses), "");
        home.outbox_len() == 0
    }),
    ("compress", "'gzip'", |home| {
        sends(home, "content-encoding: gzip")
    }),
    ("format", "'protobuf'", |home| {
        sends(home, "content-type: application/vnd.google.protobuf")
    }),
    ("outbox_limit", "1", |home| {
        for job in ["a", "b"] {
            home.exec(&format!("--job {job} --gateway 127.0.0.1:1"), "true");
        }
        home.outbox_len() == 1
    }),
    ("state_limit", "'1MiB'", |home| {
        let filler = "-".repeat(950);
        let lines = (0..120).map(|n| format!("m{{n=\"{n}\",filler=\"{filler}\"}} 1\n"));
        home.write("metrics", lines.collect::<String>());
        let mut runs = (0..16).map(|_| {
            let run = home.exec("--job j --no-push", "cat metrics >>$METRICSJOB_METRICS");
            run.code(0).stderr()
        });
        runs.any(|messages| messages.contains("/state.db is full: "))
    }),
    ("self_metrics", "true", |home| {
        let server = FakeServer::status("202 Accepted", "");
        push(home, &server, "");
        has_request(&server, "PUT /metrics/job/metricsjob/")
    }),
    ("state_dir", "'HOME/elsewhere'", |home| {
        home.exec("--no-push", "true").code(0);
        home.path().join("elsewhere/state.db").exists()
    }),
    ("jobs_dir", "'HOME/elsewhere'", |home| {
        home.write("elsewhere/own.toml", "command = ['true']");
        home.run("run own --no-push").code_is(0)
    }),
    ("quiet", "true", |home| {
        let run = home.run("run backup --no-push --set duration=0s");
        run.code(0).stdout().is_empty() && run.stderr().is_empty()
    }),
    ("credentials.basic_auth_file", "'HOME/pair'", |home| {
        home.write("pair", "u:p");
        sends(home, "authorization: Basic dTpw")
    }),
    ("credentials.bearer_token_file", "'HOME/token'", |home| {
        home.write("token", "s3cret");
        sends(home, "authorization: Bearer s3cret")
    }),
    ("credentials.ca_file", "'HOME/ca.pem'", |home| {
        let server = TlsServer::start();
        server.authority(home);
        let line = format!("push --job j --gateway {}", server.url());
        home.run_with_input(&line, "m 1\n").code_is(0)
    }),
    ("credentials.client_cert", "'HOME/client.pem'", |home| {
        identifies(home, "")
    }),
    ("credentials.client_key", "'HOME/client.key'", |home| {
        identifies(home, "--client-cert certificate.pem")
    }),
    ("serve.listen", "'127.0.0.2:0'", |home| {
        let server = OwnServer::start_command(home.command(["serve"]));
        server.logs("Listening on");
        server.log().contains("127.0.0.2:")
    }),
    ("serve.gateway_listen", "'127.0.0.1:0'", |home| {
        let log = OwnServer::start(home, "").end();
        log.contains("the embedded gateway is served too")
    }),
    ("serve.concurrency", "1", |home| {
        close(home);
        for name in ["a", "b"] {
            job(home, name, "", GATE);
        }
        let server = OwnServer::start(home, "");
        let [first, second] = ["a", "b"].map(|name| server.ask(name));
        server.run_once(&first, "running");
        let waits = server.run_now(&second)["status"] == "queued"
            && server.sample("metricsjob_queued_runs") == Some(1.0);
        open(home);
        server.run_once(&second, "finished");
        waits
    }),
    ("serve.grace", "'0s'", |home| {
        close(home);
        job(home, "gated", "", GATE);
        let server = OwnServer::start(home, "");
        server.run_once(&server.ask("gated"), "running");
        server.signal(SIGTERM);
        server.logs("msg=ending");
        // By default it may go on for 5 s.
        let start = Instant::now();
        while home.outcomes().is_empty() && start.elapsed() < Duration::from_secs(1) {
            thread::sleep(Duration::from_millis(20));
        }
        open(home);
        server.ended();
        home.outcomes() == ["signal"]
    }),
    ("serve.push_interval", "'1h'", |home| {
        let gateway = FakeServer::status("202 Accepted", "");
        // It pushes at its end, too.
        OwnServer::start(home, &format!("--gateway {}", gateway.url())).end();
        has_request(&gateway, "PUT /metrics/job/metricsjob/instance/")
    }),
    ("serve.push_instance", "'my-server'", |home| {
        let gateway = FakeServer::status("202 Accepted", "");
        let options = format!("--push-interval 1h --gateway {}", gateway.url());
        OwnServer::start(home, &options).end();
        has_request(&gateway, "PUT /metrics/job/metricsjob/instance/my-server ")
    }),
];

/// Messages of a run that reports to `server`.
fn push(home: &Sandbox, server: &FakeServer, options: &str) -> String {
    let line = format!("--job j --gateway {} {options}", server.url());
    home.exec(&line, "true").code(0).stderr()
}

/// Returns true if a report has this header.
fn sends(home: &Sandbox, header: &str) -> bool {
    let server = FakeServer::status("202 Accepted", "");
    push(home, &server, "");
    let requests = server.requests();
    let mut headers = requests[0].headers.iter();
    headers.any(|found| found.starts_with(header))
}

fn has_request(server: &FakeServer, line: &str) -> bool {
    let requests = server.requests();
    requests
        .iter()
        .any(|request| request.line.starts_with(line))
}

/// Returns true if a server that asks for a client certificate takes a push.
fn identifies(home: &Sandbox, options: &str) -> bool {
    let authority = Authority::new();
    let client = authority.client();
    home.write("certificate.pem", client.certificate_pem());
    home.write("client.key", client.key_pem());
    home.write("client.pem", client.certificate_pem() + &client.key_pem());
    let server = TlsServer::asking_for_clients_of(authority);
    let ca = server.authority(home);
    let line = format!(
        "push --job j --gateway {} --ca-file {} {options}",
        server.url(),
        ca.display()
    );
    home.run_with_input(&line, "m 1\n").code_is(0)
}

#[test]
fn each_has_its_effect() {
    let of_host = SETTINGS
        .iter()
        .filter(|setting| setting.is_in_config() && !setting.is_in_jobs());
    let keys: BTreeSet<String> = of_host.map(|setting| setting.key()).collect();
    let tested: BTreeSet<String> = CASES.iter().map(|(key, ..)| (*key).to_owned()).collect();
    assert_eq!(keys, tested);
    let mut wrong = Vec::new();
    for (key, value, has_effect) in CASES {
        let with = Sandbox::new();
        let value = value.replace("HOME", with.path().to_str().unwrap());
        with.write(
            ".config/metricsjob/metricsjob.toml",
            format!("{key} = {value}\n"),
        );
        if !has_effect(&with) {
            wrong.push(format!("{key} has no effect"));
        }
        // By default it is a fixed port, which others may have.
        let without = Sandbox::new().variable("METRICSJOB_SERVE_LISTEN", "127.0.0.1:0");
        if has_effect(&without) {
            wrong.push(format!("{key} has its effect by default"));
        }
    }
    assert_eq!(wrong, [""; 0]);
}
