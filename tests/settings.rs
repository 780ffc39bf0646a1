//! How a job is watched never keeps it from running: what is wrong with that in the environment or in a file is
//! warned about.

use std::fs;

use crate::common::{FakeServer, Sandbox};

/// Variables that say how a job is watched, with values that are none.
const BAD: [(&str, &str); 15] = [
    ("METRICSJOB_PUSH_TIMEOUT", "10"),
    ("METRICSJOB_CONNECT_TIMEOUT", "0s"),
    ("METRICSJOB_PUSH_DEADLINE", "soon"),
    ("METRICSJOB_PUSH_RETRY_WINDOW", "-1s"),
    ("METRICSJOB_OUTBOX_LIMIT", "0"),
    ("METRICSJOB_STATE_LIMIT", "1MB"),
    ("METRICSJOB_SELF_METRICS", "flase"),
    ("METRICSJOB_REQUIRE_PUSH", "flase"),
    ("METRICSJOB_QUIET", "flase"),
    ("METRICSJOB_OUTPUT", "yaml"),
    ("METRICSJOB_METHOD", "patch"),
    ("METRICSJOB_COMPRESS", "zip"),
    ("METRICSJOB_FORMAT", "json"),
    ("METRICSJOB_METHOD", " "),
    ("METRICSJOB_OUTBOX_LIMIT", "18446744073709551616"),
];

#[test]
fn a_bad_variable_is_warned_about() {
    for (variable, value) in BAD {
        let server = FakeServer::status("200 OK", "");
        let sandbox = Sandbox::new()
            .variable(variable, value)
            .variable("METRICSJOB_GATEWAY", server.url());
        for (line, code) in [
            ("run backup --set duration=0s", 0),
            ("exec -- true", 0),
            ("exec -- sh -c exit\t3", 3),
        ] {
            let words = line.split(' ').map(|word| word.replace('\t', " "));
            let run = sandbox.run_args(words);
            let warning = format!("warning: {variable} {value:?}: ");
            run.code(code).err(&warning);
            let warnings = run.stderr().matches("warning: ").count();
            assert_eq!(warnings, 1, "{}", run.stderr());
        }
        let posts = server.requests().into_iter();
        let posts = posts.filter(|request| request.line.starts_with("POST "));
        assert_eq!(posts.count(), 3, "{variable}");
    }
}

/// Where nothing runs, it is wrong usage; and so it is where it was typed.
#[test]
fn other_commands_refuse_it_and_what_is_typed() {
    let sandbox = Sandbox::new().variable("METRICSJOB_PUSH_TIMEOUT", "10");
    let refused = sandbox.run("push --job j");
    refused
        .code(2)
        .err("error: METRICSJOB_PUSH_TIMEOUT \"10\": ");
    sandbox.run("status").code(2).err("METRICSJOB_PUSH_TIMEOUT");
    // Before anything is done.
    let server = FakeServer::status("200 OK", "");
    for (variable, value) in [("METRICSJOB_QUIET", "flase"), ("METRICSJOB_OUTPUT", "yaml")] {
        let sandbox = Sandbox::new()
            .variable(variable, value)
            .variable("METRICSJOB_GATEWAY", server.url());
        let push = sandbox.run_with_input("push --job j", "a 1\n");
        push.code(2).err(variable);
        if variable == "METRICSJOB_QUIET" {
            sandbox.run("delete --job j").code(2).err(variable);
            sandbox.run("outbox drop --all").code(2).err(variable);
        }
        sandbox.run("outbox flush").code(2).err(variable);
    }
    assert_eq!(server.requests().len(), 0);
    for option in [
        "--push-timeout 10",
        "--connect-timeout 0s",
        "--push-deadline soon",
        "--outbox-limit 0",
        "--state-limit 1MB",
        "--self-metrics=flase",
        "--output yaml",
        "--method patch",
        "--compress zip",
        "--format json",
        "--gateway http://u:s3cret@h:x",
        "--gateway http:/u:s3cret@h",
        "--header s3cret",
        "--client-key key",
        "--basic-auth-file a --bearer-token-file b",
    ] {
        let sandbox = Sandbox::new();
        sandbox.write("a", "u:p");
        sandbox.write("b", "t");
        let run = sandbox.exec(option, "touch ran");
        run.code(2).err("error: ");
        assert!(!run.stderr().contains("s3cret"), "{}", run.stderr());
        assert!(!sandbox.path().join("ran").exists(), "{option}");
    }
}

/// A flag counts, whatever the variable says.
#[test]
fn a_flag_takes_the_place_of_a_bad_variable() {
    for (variable, value) in BAD {
        let flag = match variable {
            "METRICSJOB_PUSH_TIMEOUT" => "--push-timeout 5s",
            "METRICSJOB_OUTPUT" => "--output text",
            "METRICSJOB_METHOD" => "--method put",
            "METRICSJOB_SELF_METRICS" => "--self-metrics",
            _ => continue,
        };
        let sandbox = Sandbox::new().variable(variable, value);
        sandbox.exec(flag, "true").code(0).quiet_stderr();
    }
}

/// A setting that changes the run itself is refused, wherever it comes from.
#[test]
fn what_changes_the_run_is_refused() {
    let sandbox = Sandbox::new();
    for line in [
        "command = ['true']\ntimeout = '1 hor'\n",
        "command = ['true']\nretries = -1\n",
        "command = ['true']\nlock = 'maybe'\n",
    ] {
        sandbox.write("jobs/j.toml", line);
        sandbox.run("run j").code(2).err("jobs/j.toml:2:");
    }
    let sandbox = Sandbox::new().variable("METRICSJOB_JOBS_DIR", "nowhere");
    sandbox.run("run backup").code(2);
}

#[test]
fn a_gateway_that_is_none_leaves_the_history() {
    for (gateway, problem) in [
        (" ", "the gateway is empty"),
        ("http://h:notaport", "is not a URL"),
        ("ftp://u:s3cret@h", "only http and https are spoken"),
        ("http://u:s3 cret@h", "has commas or blanks in it"),
        ("http//u:s3cret@h", "has an @, but no user and password"),
        ("http://h/metrics/job/a", "names a group"),
    ] {
        let sandbox = Sandbox::new().variable("METRICSJOB_GATEWAY", gateway);
        let run = sandbox.exec("", "exit 4");
        run.code(4)
            .err("warning: METRICSJOB_GATEWAY: ")
            .err(problem);
        assert!(!run.stderr().contains("cret"), "{}", run.stderr());
        let run = sandbox.run("run backup --quiet --set duration=0s");
        run.code(0).err(problem);
        sandbox.exec("--require-push", "true").code(69);
        sandbox.exec("--require-push --no-push", "true").code(0);
        sandbox.exec("--require-push --dry-run", "true").code(0);
        let sandbox = sandbox.variable("METRICSJOB_GATEWAY", "");
        let outcomes = sandbox.outcomes();
        assert_eq!(outcomes, ["failure", "success", "success", "success"]);
        assert_eq!(sandbox.outbox_len(), 0);
        assert!(sandbox.samples().is_empty());
    }
}

/// The report waits for who mends the setting, and nothing is sent without what it says.
#[test]
fn unreadable_credentials_keep_the_report_in_the_outbox() {
    for (variable, content) in [
        ("METRICSJOB_CA_FILE", None),
        ("METRICSJOB_CA_FILE", Some("no PEM")),
        ("METRICSJOB_CLIENT_CERT", None),
        ("METRICSJOB_CLIENT_KEY", None),
        ("METRICSJOB_BASIC_AUTH_FILE", None),
        ("METRICSJOB_BASIC_AUTH_FILE", Some("s3cret")),
        ("METRICSJOB_BEARER_TOKEN_FILE", Some("s3\tcret")),
    ] {
        let server = FakeServer::status("200 OK", "");
        let sandbox = Sandbox::new()
            .variable("METRICSJOB_GATEWAY", server.url())
            .variable(variable, "file");
        if let Some(content) = content {
            sandbox.write("file", content);
        }
        let option = variable.replace("METRICSJOB_", "--");
        let option = option.replace('_', "-").to_lowercase();
        let run = sandbox.exec("--job j", "exit 5");
        run.code(5)
            .err(&format!("warning: {option} file: "))
            .err("the report is kept as outbox entry ");
        assert!(!run.stderr().contains("cret"), "{}", run.stderr());
        let warnings = run.stderr().matches("warning: ").count();
        assert_eq!(warnings, 1, "{}", run.stderr());
        sandbox.exec("--job j --require-push", "true").code(69);
        // The newer one has all that the older one says.
        assert_eq!((server.requests().len(), sandbox.outbox_len()), (0, 1));
        let mended = sandbox.variable(variable, "");
        mended.exec("--job j --require-push", "true").code(0);
        assert_eq!((server.requests().len(), mended.outbox_len()), (1, 0));
    }
    // A file that an option names is no mistake of the command line.
    let sandbox = Sandbox::new();
    let run = sandbox.exec("--bearer-token-file gone --gateway 127.0.0.1:1", "true");
    run.code(0).err("--bearer-token-file gone: could not read");
    let run = sandbox.exec("--bearer-token-file gone", "true");
    run.code(0).err("--bearer-token-file gone: could not read");
    assert_eq!(sandbox.outcomes(), ["success", "success"]);
}

/// As an editor or a shell leaves them.
#[test]
fn credentials_are_read_without_line_end_and_byte_order_mark() {
    let server = FakeServer::status("200 OK", "");
    let sandbox = Sandbox::new().variable("METRICSJOB_GATEWAY", server.url());
    sandbox.write("basic", "\u{feff}me:s3cret\r\n");
    sandbox.write("header", "\u{feff}X-A: 1\r\n");
    let sent = |sandbox: &Sandbox, options: &str| {
        sandbox.exec(options, "true").code(0).quiet_stderr();
        server.requests().last().unwrap().headers.join("\n")
    };
    // base64 of me:s3cret
    let basic = "authorization: Basic bWU6czNjcmV0";
    assert!(sent(&sandbox, "--basic-auth-file basic").contains(basic));
    assert!(sent(&sandbox, "--header @header").contains("x-a: 1"));
    for value in ["t0ken\n", "t0ken\r\n"] {
        let sandbox = Sandbox::new()
            .variable("METRICSJOB_GATEWAY", server.url())
            .variable("METRICSJOB_BEARER_TOKEN", value);
        assert!(sent(&sandbox, "").contains("authorization: Bearer t0ken"));
    }
    fs::remove_file(sandbox.path().join("basic")).unwrap();
}
