//! How a gateway can be named.

use crate::common::{FakeServer, Sandbox, TlsServer};

const RUN: &str = "run backup -g db=c --set duration=0s";

#[test]
fn the_environment_names_it_and_the_flag_wins() {
    let (named, flag) = (
        FakeServer::status("200 OK", ""),
        FakeServer::status("200 OK", ""),
    );
    let sandbox = Sandbox::new().variable("METRICSJOB_GATEWAY", named.url());
    sandbox.run(RUN).code(0);
    assert_eq!(named.requests().len(), 1);
    sandbox
        .run(&format!("{RUN} --gateway {}", flag.url()))
        .code(0);
    sandbox
        .run(&format!("{RUN} --gateway embedded"))
        .code(0)
        .out("embedded");
    assert_eq!((named.requests().len(), flag.requests().len()), (1, 1));
}

#[test]
fn the_request_as_it_goes_over_the_wire() {
    let server = FakeServer::status("200 OK", "");
    let sandbox = Sandbox::new();
    sandbox
        .run(&format!("{RUN} --gateway {}", server.url()))
        .code(0);
    let request = &server.requests()[0];
    assert_eq!(request.line, "POST /metrics/job/db_backup/db/c HTTP/1.1");
    let has = |header: &str| request.headers.iter().any(|h| h.starts_with(header));
    assert!(
        has("content-type: text/plain; version=0.0.4; charset=utf-8"),
        "{request:?}"
    );
    assert!(
        has(concat!(
            "user-agent: metricsjob/",
            env!("CARGO_PKG_VERSION")
        )),
        "{request:?}"
    );
    assert!(!has("authorization"), "{request:?}");
    let line = "# HELP db_backup_records_processed Records that the last run backed up.\n\
                # TYPE db_backup_records_processed gauge\n\
                db_backup_records_processed 42\n";
    assert!(request.body.contains(line), "{}", request.body);
    // These come from the URL, never from the body.
    assert!(!request.body.contains("job=") && !request.body.contains("db="));
}

#[test]
fn forms_of_the_url() {
    for (form, target) in [
        ("http://ADDRESS", "/metrics"),
        ("ADDRESS", "/metrics"),
        ("http://ADDRESS/", "/metrics"),
        ("http://ADDRESS/a/pre%20fix", "/a/pre%20fix/metrics"),
        ("http://ADDRESS/a//", "/a/metrics"),
    ] {
        let server = FakeServer::status("200 OK", "");
        let gateway = form.replace("ADDRESS", &server.address());
        Sandbox::new()
            .run(&format!("{RUN} --gateway {gateway}"))
            .code(0);
        let line = &server.requests()[0].line;
        assert_eq!(
            line,
            &format!("POST {target}/job/db_backup/db/c HTTP/1.1"),
            "{form}"
        );
    }
}

#[test]
fn user_and_password() {
    let server = FakeServer::status("401 Unauthorized", "no");
    let sandbox = Sandbox::new();
    let gateway = format!("http://me:s3cr%40t@{}", server.address());
    let run = sandbox.run(&format!("{RUN} --gateway {gateway}"));
    run.code(0).err("responded with 401 Unauthorized: no");
    // base64 of me:s3cr@t
    let header = "authorization: Basic bWU6czNjckB0".to_owned();
    assert!(server.requests()[0].headers.contains(&header));
    for text in [run.stdout(), run.stderr()] {
        assert!(!text.contains("s3cr") && !text.contains("me:"), "{text}");
    }
}

#[test]
fn what_is_no_gateway_is_refused_before_anything_runs() {
    let sandbox = Sandbox::new();
    for (gateway, message) in [
        ("", "the gateway is empty: give a URL such as"),
        ("http://", "is not a URL: empty host"),
        ("http://h:port", "is not a URL: invalid port number"),
        (
            "ftp://h",
            "has the scheme \"ftp\": only http and https are spoken",
        ),
        ("http://h?a=b", "has a query"),
        ("http://h#f", "has a fragment"),
        (
            "http://h/metrics/job/j",
            "names a group: give the gateway's base URL alone",
        ),
    ] {
        let run = sandbox.run_args(RUN.split(' ').chain(["--gateway", gateway]));
        run.code(2).err(message);
    }
    let run = sandbox.run(&format!("{RUN} --gateway http://me:s3cret@h:port"));
    run.code(2)
        .err("gateway \"http://***@h:port\" is not a URL");
    let sandbox = sandbox.variable("METRICSJOB_GATEWAY", "http://me:s3cret@h");
    let help = sandbox.run("run --help");
    assert!(
        !help
            .code(0)
            .out("METRICSJOB_GATEWAY")
            .stdout()
            .contains("s3cret")
    );
    assert!(!sandbox.state_db().exists());
}

#[test]
fn timeouts_must_be_durations() {
    let sandbox = Sandbox::new();
    for option in ["--connect-timeout", "--push-timeout"] {
        sandbox
            .run(&format!("{RUN} {option} 0s"))
            .code(2)
            .err("must be longer than 0");
        sandbox
            .run(&format!("{RUN} {option} 5"))
            .code(2)
            .err("needs a unit: ");
    }
}

#[test]
fn https_verifies_certificates() {
    let server = TlsServer::start();
    let line = format!("{RUN} --gateway {}", server.url());
    let sandbox = Sandbox::new();
    let run = sandbox.run(&line);
    run.code(0)
        .err("could not connect to https://localhost:")
        .err("certificate");
    assert_eq!(sandbox.outbox_len(), 1);

    // A system that trusts the authority.
    let roots = server.authority(&sandbox).display().to_string();
    let sandbox = Sandbox::new().variable("SSL_CERT_FILE", roots);
    assert_eq!(
        sandbox
            .run(&line)
            .code(0)
            .out("reported by POST to https")
            .stderr(),
        ""
    );
}

/// As where a CI system has no such secret.
#[test]
fn an_empty_variable_counts_for_none() {
    let sandbox = Sandbox::new().variable("METRICSJOB_GATEWAY", "");
    sandbox.run(RUN).code(0);
    assert_eq!(sandbox.outbox_len(), 0);
    assert!(!sandbox.samples().is_empty());
    sandbox
        .run_args(["status", "--gateway", ""])
        .code(2)
        .err("the gateway is empty");
}
