//! Our gateway with the programs that push to and scrape a Pushgateway.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value as Json, json};

use crate::common::curl::{curl, curl_with_input, finished};
use crate::common::own_gateway::OwnGateway;
use crate::common::{Authority, PATIENCE, Process, Sandbox, Server, awaited};

/// `me`, with the bcrypt hash of `s3cret-password`, of the least cost.
pub const USERS: &str =
    "basic_auth_users:\n  me: $2b$04$U68uVLAb/XpsUwF5m9DAHOJ1GW6kyG58nn9y9B6C8eqVgfMV5AQTW\n";
pub const USER: &str = "me:s3cret-password";

fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/clients")
        .join(name)
}

#[track_caller]
fn shows(metrics: &str, lines: &[&str]) {
    for line in lines {
        assert!(
            metrics.lines().any(|shown| shown == *line),
            "no {line} in:\n{metrics}"
        );
    }
}

/// The status of an answer, its headers and its body.
fn answer(arguments: &[&str]) -> (u16, String, String) {
    let text = curl(&[&["-i", "--http1.1"], arguments].concat())
        .code(0)
        .stdout();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), body.to_owned())
}

fn status(arguments: &[&str]) -> u16 {
    answer(arguments).0
}

fn push(url: &str, text: &str) {
    let (code, _, body) = answer(&["--data-binary", text, url]);
    assert!(code == 200 || code == 202, "{code}: {body}");
}

#[test]
fn python_prometheus_client() {
    let sandbox = Sandbox::new();
    let config = sandbox.write("web.yml", USERS);
    let gateway = OwnGateway::alone(&["--web.config.file", config.to_str().unwrap()]);
    let url = gateway.url();
    let metrics = || {
        let metrics = curl(&["-f", "-u", USER, &format!("{url}/metrics")]);
        metrics.code(0).stdout()
    };
    let run = |what: &str, job: &str, grouping: &Json, value: &str| {
        let mut command = Command::new("/usr/bin/python3");
        command
            .arg(program("push.py"))
            .args([what, &url, job])
            .args([&grouping.to_string(), value]);
        let done = finished(&mut command);
        done.code(0).stdout().trim().to_owned()
    };
    assert_eq!(status(&[&format!("{url}/metrics")]), 401);

    let key = json!({ "db": "customers" });
    run("push", "py", &key, "1");
    run("add", "py", &key, "2");
    shows(
        &metrics(),
        &[
            r#"py_records{db="customers",instance="",job="py"} 1"#,
            r#"py_added{db="customers",instance="",job="py"} 2"#,
            r#"py_records_seen_total{db="customers",instance="",job="py"} 3"#,
            r#"py_records_size_bucket{db="customers",instance="",job="py",le="10"} 1"#,
            r#"py_records_size_bucket{db="customers",instance="",job="py",le="+Inf"} 1"#,
            r#"py_records_took_sum{db="customers",instance="",job="py"} 2"#,
        ],
    );
    // A push replaces the group.
    run("push", "py", &key, "5");
    let now = metrics();
    shows(
        &now,
        &[r#"py_records{db="customers",instance="",job="py"} 5"#],
    );
    assert!(!now.contains("py_added"), "{now}");
    run("delete", "py", &key, "");
    let now = metrics();
    assert!(!now.contains("job=\"py\""), "{now}");

    for (at, value) in ["a/b", "/", "", "a b", "zürich 🦀", "100%", "a+b", "\"\\"]
        .into_iter()
        .enumerate()
    {
        let key = json!({ "db": value });
        let job = format!("py/{at}");
        run("push", &job, &key, "1");
        // This client encodes a blank as in a form; in a path, that is a plus.
        let kept = value
            .replace(' ', "+")
            .replace('\\', "\\\\")
            .replace('"', "\\\"");
        let series = match value {
            "" => format!("py_records{{db=\"\",instance=\"\",job=\"{job}\"}} 1"),
            _ => format!("py_records{{db=\"{kept}\",instance=\"\",job=\"{job}\"}} 1"),
        };
        shows(&metrics(), &[&series]);
        run("delete", &job, &key, "");
        assert!(!metrics().contains(&job), "{value:?}");
    }

    let ip = run("ip", "py", &json!({}), "1");
    let series = format!("py_records{{instance=\"{ip}\",job=\"py\"}} 1");
    assert!(!ip.is_empty());
    shows(&metrics(), &[&series]);
}

#[test]
fn go_client_golang() {
    let build = Path::new(env!("CARGO_TARGET_TMPDIR")).join("go");
    let pusher = build.join("push");
    fs::create_dir_all(&build).unwrap();
    let mut go = Command::new("go");
    go.args(["build", "-o"])
        .arg(&pusher)
        .arg(program("push.go"))
        .env("GOPATH", "/usr/share/gocode")
        .env("GO111MODULE", "off")
        .env("GOFLAGS", "")
        .env("GOCACHE", build.join("cache"));
    finished(&mut go).code(0);

    let gateway = OwnGateway::alone(&[]);
    let run = |what: &str, value: &str| {
        let mut command = Command::new(&pusher);
        finished(command.args([what, &gateway.url(), value])).code(0);
    };
    for value in ["customers", "a/b c", "", "zürich 🦀+%"] {
        run("push", value);
        run("add", value);
        // In a value that it does not send as base64, this version writes a blank as `+`, which
        // is a plus in a path.
        let value_sent = if value.contains('/') {
            value.into()
        } else {
            value.replace(' ', "+")
        };
        let series = |name: &str, rest: &str| {
            format!("{name}{{db=\"{value_sent}\",instance=\"\",job=\"go/job\"{rest}")
        };
        let metrics = gateway.metrics();
        for line in [
            series("go_seen_total", "} 3"),
            series("go_records", r#",table="a \"b\"\n"} -1.5"#),
            series("go_size_bytes_bucket", r#",le="1"} 0"#),
            series("go_size_bytes_bucket", r#",le="10"} 1"#),
            series("go_size_bytes_bucket", r#",le="+Inf"} 1"#),
            series("go_took_seconds", r#",quantile="0.5"} 2"#),
            series("go_took_seconds_count", "} 1"),
            series("go_added", "} 0"),
        ] {
            shows(&metrics, &[&line]);
        }
        run("push", value);
        assert!(!gateway.metrics().contains("go_added"));
        run("delete", value);
        assert!(!gateway.metrics().contains("go/job"));
    }
}

#[test]
fn node_prom_client() {
    let gateway = OwnGateway::alone(&[]);
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/npm/node_modules");
    let run = |what: &str, value: &str| {
        let mut command = Command::new("node");
        command.arg(program("push.js")).env("NODE_PATH", &modules);
        finished(command.args([what, &gateway.url(), value])).code(0);
    };
    for value in ["customers", "a b", "zürich 🦀+%"] {
        run("push", value);
        run("pushAdd", value);
        let key = format!("db=\"{value}\",instance=\"\",job=\"js\"");
        shows(
            &gateway.metrics(),
            &[
                &format!("js_seen_total{{{key}}} 3"),
                &format!("js_records{{{key}}} 42"),
                &format!("js_size_bucket{{{key},le=\"10\"}} 1"),
                &format!("js_took{{{key},quantile=\"0.5\"}} 2"),
                &format!("js_added{{{key}}} 1"),
            ],
        );
        run("push", value);
        assert!(!gateway.metrics().contains("js_added"));
        run("delete", value);
        assert!(!gateway.metrics().contains("job=\"js\""));
    }
}

#[test]
fn curl_pushes() {
    let gateway = OwnGateway::alone(&[]);
    let sandbox = Sandbox::new();
    let text = sandbox.write("text", "# TYPE records gauge\nrecords 42\n");
    let url = |path: &str| format!("{}{path}", gateway.url());
    let stdin = ["-f", "--data-binary", "@-"];
    curl_with_input(&[&stdin[..], &[&url("/metrics/job/stdin")]].concat(), &text).code(0);
    finished(Command::new("gzip").arg("-k").arg(&text)).code(0);
    let gzip = ["-H", "Content-Encoding: gzip"];
    let target = url("/metrics/job/gzip/db/x");
    curl_with_input(
        &[&stdin[..], &gzip, &[&target]].concat(),
        &text.with_extension("gz"),
    )
    .code(0);
    // `-T -` is a PUT whose length is not told.
    let base64 = url("/metrics/job@base64/YS9i/db@base64/=");
    curl_with_input(&["-f", "-T", "-", &base64], &text).code(0);
    shows(
        &gateway.metrics(),
        &[
            r#"records{instance="",job="stdin"} 42"#,
            r#"records{db="x",instance="",job="gzip"} 42"#,
            r#"records{db="",instance="",job="a/b"} 42"#,
        ],
    );
    assert_eq!(status(&["-X", "DELETE", &base64]), 202);
    assert!(!gateway.metrics().contains("a/b"));
    let (code, _, body) = answer(&["--data-binary", "records", &url("/metrics/job/bad")]);
    assert_eq!(code, 400, "{body}");
}

/// A configuration that scrapes the gateway.
fn scrape_config(sandbox: &Sandbox, gateway: &OwnGateway) -> PathBuf {
    let config = format!(
        "global: {{ scrape_interval: 1s }}\nscrape_configs:\n- job_name: gateway\n  \
         honor_labels: true\n  static_configs: [{{ targets: [\"{}\"] }}]\n",
        gateway.address()
    );
    sandbox.write("scrape.yml", config)
}

fn push_scraped(gateway: &OwnGateway) {
    let url = |path: &str| format!("{}/metrics/job/{path}", gateway.url());
    push(&url("backup/instance/db-1"), "records 42\n");
    push(&url("backup/db/none"), "records 43\n");
}

fn check_scraped(answer: &str) {
    let answer: Json = serde_json::from_str(answer).unwrap();
    let mut found: Vec<_> = answer["data"]["result"]
        .as_array()
        .unwrap()
        .iter()
        .map(|series| {
            let metric = &series["metric"];
            // An empty label is none.
            let instance = metric["instance"].as_str().unwrap_or_default();
            let value = series["value"][1].as_str().unwrap();
            format!("{} {instance} {value}", metric["job"].as_str().unwrap())
        })
        .collect();
    found.sort();
    assert_eq!(found, ["backup  43", "backup db-1 42"], "{answer}");
}

#[test]
fn prometheus_scrapes() {
    let gateway = OwnGateway::alone(&[]);
    push_scraped(&gateway);
    let sandbox = Sandbox::new();
    let prometheus = Server::prometheus(&scrape_config(&sandbox, &gateway));
    let answer = prometheus.wait_for("/api/v1/query?query=records", |body| {
        body.contains("\"metric\"")
    });
    check_scraped(&answer);
    let up = prometheus.wait_for("/api/v1/query?query=up", |body| body.contains("\"metric\""));
    assert!(up.contains("\"1\"]"), "{up}");
}

/// A port that was just free.
pub fn free_address() -> String {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().to_string()
}

fn start(program: &str, sandbox: &Sandbox, arguments: &[String]) -> Process {
    let mut command = Command::new(program);
    Process::spawn(command.args(arguments).current_dir(sandbox.path()))
}

/// What it scrapes, it writes to VictoriaMetrics.
#[test]
fn vmagent_scrapes() {
    let gateway = OwnGateway::alone(&[]);
    push_scraped(&gateway);
    let sandbox = Sandbox::new();
    let config = scrape_config(&sandbox, &gateway);
    let address = free_address();
    let _storage = start(
        "victoria-metrics",
        &sandbox,
        &[
            format!("-httpListenAddr={address}"),
            "-search.latencyOffset=0s".into(),
            "-memory.allowedPercent=10".into(),
        ],
    );
    let _agent = start(
        "vmagent",
        &sandbox,
        &[
            format!("-httpListenAddr={}", free_address()),
            format!("-promscrape.config={}", config.display()),
            format!("-remoteWrite.url=http://{address}/api/v1/write"),
            "-memory.allowedPercent=10".into(),
        ],
    );
    let answer = awaited(PATIENCE, || {
        let answer = curl(&[&format!("http://{address}/api/v1/query?query=records")]).stdout();
        let is_whole = answer.matches("\"metric\"").count() == 2;
        is_whole.then(|| answer.clone()).ok_or(answer)
    });
    check_scraped(&answer);
}

#[test]
fn promtool_finds_nothing() {
    let gateway = OwnGateway::alone(&[]);
    let text = "# HELP records_count_bytes Records.\n# TYPE records_size_bytes gauge\n\
                # HELP records_size_bytes Records.\nrecords_size_bytes 42\n";
    push(&format!("{}/metrics/job/some", gateway.url()), text);
    let sandbox = Sandbox::new();
    let file = sandbox.write("metrics", gateway.metrics());
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]);
    finished(promtool.stdin(fs::File::open(file).unwrap()))
        .code(0)
        .quiet();
}

#[test]
fn paths() {
    let flags = ["--web.external-url", "http://example.test/push/"];
    let telemetry = ["--web.telemetry-path", "/own"];
    let gateway = OwnGateway::alone(&[&flags[..], &telemetry].concat());
    let url = |path: &str| format!("{}{path}", gateway.url());
    push(&url("/push/metrics/job/a"), "x 1\n");
    let metrics = curl(&["-f", &url("/push/own")]).code(0).stdout();
    shows(&metrics, &[r#"x{instance="",job="a"} 1"#]);
    assert_eq!(status(&[&url("/push/metrics")]), 404);
    assert_eq!(status(&[&url("/metrics")]), 404);
    assert_eq!(status(&[&url("/push/-/ready")]), 200);
    let (code, head, _) = answer(&[&url("/")]);
    assert_eq!((code, head.contains("location: /push/")), (307, true));
    // The route prefix wins.
    let gateway = OwnGateway::alone(&[&flags[..], &["--web.route-prefix", "/in"]].concat());
    let url = |path: &str| format!("{}{path}", gateway.url());
    assert_eq!(status(&[&url("/in/-/healthy")]), 200);
    assert_eq!(status(&[&url("/push/-/healthy")]), 404);
    let (_, _, body) = answer(&[&url("/in/api/v1/status")]);
    let body: Json = serde_json::from_str(&body).unwrap();
    let flags = &body["data"]["flags"];
    assert_eq!(body["status"], "success");
    assert_eq!(flags["web.route-prefix"], "/in");
    assert_eq!(flags["web.external-url"], "http://example.test/push/");
    assert_eq!(flags["web.enable-admin-api"], "false");
    assert_eq!(flags["web.telemetry-path"], "/metrics");
}

#[test]
fn wiping_and_ending() {
    let mut gateway = OwnGateway::alone(&["--web.enable-admin-api", "--web.enable-lifecycle"]);
    let url = |path: &str| format!("http://{}{path}", gateway.address());
    push(&url("/metrics/job/a"), "x 1\n");
    let (wipe, quit) = (url("/api/v1/admin/wipe"), url("/-/quit"));
    assert_eq!(status(&["-X", "POST", &wipe]), 405);
    assert_eq!(status(&["-X", "PUT", &wipe]), 202);
    assert!(!gateway.metrics().contains("job=\"a\""));
    assert_eq!(status(&[&quit]), 405);
    assert_eq!(status(&["-X", "PUT", &quit]), 200);
    assert_eq!(gateway.wait(), Some(0));

    let gateway = OwnGateway::alone(&[]);
    let url = |path: &str| format!("{}{path}", gateway.url());
    assert_eq!(status(&["-X", "PUT", &url("/api/v1/admin/wipe")]), 404);
    assert_eq!(status(&["-X", "PUT", &url("/-/quit")]), 403);
}

#[test]
fn several_addresses() {
    let gateway = OwnGateway::alone(&["--web.listen-address=127.0.0.1:0"; 2]);
    let [first, rest @ ..] = gateway.addresses() else {
        unreachable!()
    };
    push(&format!("http://{first}/metrics/job/a"), "x 1\n");
    assert_eq!(rest.len(), 2);
    for address in rest {
        assert_ne!(first, address);
        let metrics = curl(&["-f", &format!("http://{address}/metrics")]);
        shows(&metrics.code(0).stdout(), &[r#"x{instance="",job="a"} 1"#]);
    }
}

#[test]
fn methods() {
    let gateway = OwnGateway::alone(&[]);
    let url = |path: &str| format!("{}{path}", gateway.url());
    for path in ["/metrics", "/", "/api/v1/metrics", "/-/ready"] {
        let (code, head, _) = answer(&["-X", "OPTIONS", &url(path)]);
        assert_eq!((code, head.contains("allow: get")), (200, true), "{path}");
        let (code, head, _) = answer(&["-X", "PATCH", &url(path)]);
        assert_eq!((code, head.contains("allow: get")), (405, true), "{path}");
        // As at the Pushgateway.
        assert_eq!(status(&["-I", &url(path)]), 405, "{path}");
    }
    assert_eq!(status(&[&url("/metrics/job/a")]), 405);
}

#[test]
fn tls_with_client_certificates_and_users() {
    let sandbox = Sandbox::new();
    let authority = Authority::new();
    let (server, client) = (authority.server("localhost"), authority.client());
    let ca = sandbox.write("ca.pem", authority.pem());
    sandbox.write("server.pem", server.certificate_pem());
    sandbox.write("server.key", server.key_pem());
    let certificate = sandbox.write("client.pem", client.certificate_pem());
    let key = sandbox.write("client.key", client.key_pem());
    let config = format!(
        "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n  \
         client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n{USERS}"
    );
    let config = sandbox.write("web.yml", config);
    let gateway = OwnGateway::alone(&["--web.config.file", config.to_str().unwrap()]);
    let port = gateway.address().rsplit(':').next().unwrap();
    let url = format!("https://localhost:{port}/metrics");
    let trusting = ["--cacert", ca.to_str().unwrap(), &url];
    let certificate = ["--cert", certificate.to_str().unwrap()];
    let key = ["--key", key.to_str().unwrap()];
    let known = [&trusting[..], &certificate, &key].concat();
    assert_eq!(status(&[&known[..], &["-u", USER]].concat()), 200);
    assert_eq!(status(&[&known[..], &["-u", "me:wrong"]].concat()), 401);
    assert_eq!(status(&known), 401);
    let unknown = curl(&[&trusting[..], &["-u", USER]].concat());
    assert_eq!(unknown.stdout(), "");
    assert_ne!(unknown.stderr(), "");
}
