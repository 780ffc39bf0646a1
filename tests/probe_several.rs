//! `run probe` with several endpoints in one job.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::common::{FakeServer, Sandbox};

/// Where nothing listens.
const CLOSED: &str = "127.0.0.1:1";

/// A job file of several endpoints.
fn several(endpoints: &[String], more: &str) -> String {
    let quoted: Vec<String> = endpoints.iter().map(|e| format!("'{e}'")).collect();
    let list = quoted.join(", ");
    format!("builtin = 'probe'\nmethod = 'put'\n[params]\nendpoints = [{list}]\n{more}\n")
}

/// Each has series of its own; the run fails if one is down, and says which.
#[test]
fn several_endpoints() {
    let (good, bad) = (
        FakeServer::status("200 OK", ""),
        FakeServer::status("500 Internal Server Error", ""),
    );
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp = format!("tcp://{}", listener.local_addr().unwrap());
    let (good, bad) = (format!("{}/", good.url()), format!("{}/", bad.url()));
    let closed = format!("tcp://{CLOSED}");
    let sandbox = Sandbox::new();
    let all = [
        format!("shop={good}"),
        format!("db={tcp}"),
        format!("cdn={bad}"),
        format!("mail={closed}"),
    ];
    sandbox.write("jobs/web.toml", several(&all, ""));
    sandbox.run("check").code(0);
    let run = sandbox.run("run web");
    run.code(1).err(&format!(
        "error: web: cdn at {bad} is down: it responded with 500 Internal Server Error, and 2xx or 3xx is expected; \
         mail at {closed} is down: connection refused\n"
    ));
    let value = |sandbox: &Sandbox, metric: &str, service: &str, endpoint: &str| {
        let labels = format!(r#"endpoint="{endpoint}",service="{service}""#);
        sandbox.value("web", &format!("external_service_{metric}{{{labels}}}"))
    };
    for (service, endpoint, up) in [
        ("shop", &good, 1.0),
        ("db", &tcp, 1.0),
        ("cdn", &bad, 0.0),
        ("mail", &closed, 0.0),
    ] {
        assert_eq!(
            value(&sandbox, "up", service, endpoint),
            Some(up),
            "{service}"
        );
        let latency = value(&sandbox, "latency_seconds", service, endpoint);
        assert_eq!(latency.is_some(), up == 1.0, "{service}");
    }
    // All are up, of which one answers otherwise.
    sandbox.write("jobs/web.toml", several(&all[..2], ""));
    sandbox.run("run web").code(0).quiet_stderr();
    assert_eq!(value(&sandbox, "up", "mail", &closed), None);
    let all = format!("--set endpoints=cdn={bad}\tshop={good}");
    sandbox.write("jobs/web.toml", "builtin = 'probe'\n");
    sandbox
        .run_args([
            "run",
            "web",
            "--set",
            all.split_once(' ').unwrap().1,
            "--set",
            "status=5xx",
        ])
        .code(1)
        .err(&format!(
            "error: web: shop at {good} is down: it responded with 200 OK, and 5xx is expected\n"
        ));
}

/// However many there are, the timeout is for all together.
#[test]
fn several_endpoints_are_checked_at_the_same_time() {
    let server = FakeServer::hanging();
    let all: Vec<String> = (0..50)
        .map(|n| format!("s{n}={}/{n}", server.url()))
        .collect();
    let sandbox = Sandbox::new();
    sandbox.write("jobs/web.toml", several(&all, "timeout = '400ms'"));
    let start = Instant::now();
    let run = sandbox.run("run web");
    let elapsed = start.elapsed();
    run.code(1);
    assert!(elapsed < Duration::from_secs(10), "{elapsed:?}");
    assert_eq!(run.stderr().matches("no answer within 400ms").count(), 50);
    let down = sandbox.samples().into_iter();
    let down =
        down.filter(|(name, value)| name.starts_with("external_service_up{") && *value == 0.0);
    assert_eq!(down.count(), 50);
}

#[test]
fn bad_lists_of_endpoints() {
    let sandbox = Sandbox::new();
    let many: Vec<String> = (0..101).map(|n| format!("s{n}=http://h/")).collect();
    let many = format!("['{}']", many.join("', '"));
    for (params, problem) in [
        (
            "endpoints = []",
            r#"3:13: params.endpoints "" names no endpoint"#,
        ),
        (
            "endpoints = 3",
            r#"params.endpoints "3" has no name of a service"#,
        ),
        ("endpoints = [3]", "3:14: endpoints must be a string"),
        (
            "endpoints = ['http://me:s3cret@h/?a=b']",
            r#"params.endpoints "http://***@h/?a=b" has no name of a service in front of it"#,
        ),
        ("endpoints = ['=http://h']", "has no name of a service"),
        (
            "endpoints = ['a=ftp://h']",
            r#"params.endpoints "a=ftp://h" has an unknown scheme"#,
        ),
        (
            "endpoints = ['a=me:s3cret@h']",
            r#"params.endpoints "***@h" has no scheme"#,
        ),
        (
            "endpoints = ['a=http://h', 'a=http://h/']",
            r#"params.endpoints "a=http://h/" is named twice"#,
        ),
        (
            "endpoints = ['a=http://h']\nendpoint = 'http://h'",
            "stands in place of the parameter \"endpoint\": leave one of them out",
        ),
        (
            "endpoints = 'a=http://h'\nservice = 'x'",
            "stands in place of the parameter \"service\"",
        ),
        (
            "endpoints = ['a=tcp://h:1']\nstatus = '200'",
            "is for an HTTP endpoint",
        ),
        (
            "endpoint = ['http://h']",
            r#"params.endpoint "http://h" is a list, and must be one value"#,
        ),
        (
            &format!("endpoints = {many}"),
            "names 101 endpoints, and 100 is the most",
        ),
    ] {
        sandbox.write(
            "jobs/bad.toml",
            format!("builtin = 'probe'\n[params]\n{params}\n"),
        );
        let check = sandbox.run("check jobs/bad.toml");
        check.code(2).err(problem);
        assert!(!check.stderr().contains("s3cret"), "{}", check.stderr());
    }
    // Of some the status is known.
    let params = "endpoints = ['a=tcp://h:1', 'b=http://h']\nstatus = '200'";
    sandbox.write(
        "jobs/bad.toml",
        format!("builtin = 'probe'\n[params]\n{params}\n"),
    );
    sandbox.run("check jobs/bad.toml").code(0);
}

#[test]
fn credentials_in_a_list_are_sent_and_never_shown() {
    let server = FakeServer::status("401 Unauthorized", "");
    let endpoint = format!("shop=http://me:s3cr%40t@{}/", server.address());
    let sandbox = Sandbox::new();
    sandbox.write(
        "jobs/web.toml",
        several(&[endpoint.clone(), endpoint.replace("shop", "b")], ""),
    );
    for line in [
        "run web",
        "run web --dry-run",
        "list",
        "list web",
        "list web --output json",
        "list --output json",
        "history",
        "check",
        "status",
    ] {
        let run = sandbox.run(line);
        for text in [run.stdout(), run.stderr()] {
            assert!(!text.contains("s3cr") && !text.contains("me:"), "{text}");
        }
    }
    sandbox.run("list web").out("shop=http://***@127.0.0.1");
    let header = "authorization: Basic bWU6czNjckB0".to_owned();
    let requests = server.requests();
    assert_eq!(requests.len(), 4);
    assert!(
        requests
            .iter()
            .all(|request| request.headers.contains(&header))
    );
}
