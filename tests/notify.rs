//! Notifications of a job's events: `--notify`, and `notify` in job files and the config file.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::common::own_server::{self, OwnServer};
use crate::common::{FakeServer, Finished, Sandbox, eventually, finished};

const CONFIG: &str = ".config/metricsjob/metricsjob.toml";

fn server() -> FakeServer {
    FakeServer::status("200 OK", "ok")
}

/// The events that the server has got, as JSON.
fn events(server: &FakeServer) -> Vec<Json> {
    let requests = server.requests();
    let bodies = requests.iter().map(|request| &request.body);
    bodies
        .map(|body| serde_json::from_str(body).unwrap())
        .collect()
}

fn names(server: &FakeServer) -> Vec<String> {
    let events = events(server);
    let names = events.iter().map(|event| event["event"].as_str().unwrap());
    names.map(str::to_owned).collect()
}

/// The targets of the requests that the server has got, without the run's id.
fn pings(server: &FakeServer) -> Vec<String> {
    let requests = server.requests();
    let targets = requests.iter().map(|request| {
        let target = request.line.split(' ').nth(1).unwrap();
        let (path, query) = target.split_once("?rid=").unwrap();
        assert_eq!(query.len(), 36, "{query}");
        path.to_owned()
    });
    targets.collect()
}

fn exec(sandbox: &Sandbox, to: &str, options: &str, script: &str) -> Finished {
    sandbox.exec(&format!("--job nightly --notify {to} {options}"), script)
}

#[test]
fn the_first_failure_and_the_recovery() {
    let (sandbox, server) = (Sandbox::new(), server());
    let to = format!("webhook:{}/hook?key=s3cret", server.url());
    for (script, code) in [
        ("true", 0),
        ("exit 3", 3),
        ("exit 4", 4),
        ("true", 0),
        ("true", 0),
    ] {
        exec(&sandbox, &to, "-g db=customers", script).code(code);
    }
    assert_eq!(names(&server), ["failure", "recovery"]);
    let requests = server.requests();
    assert_eq!(requests[0].line, "POST /hook?key=s3cret HTTP/1.1");
    let headers = &requests[0].headers;
    assert!(
        headers.contains(&"content-type: application/json".to_owned()),
        "{headers:?}"
    );
    let event = &events(&server)[0];
    let key = format!("idempotency-key: {}", event["id"].as_str().unwrap());
    assert!(headers.contains(&key), "{headers:?}");
    for (field, expected) in [
        ("version", json!(1)),
        ("name", json!("nightly")),
        ("job", json!("nightly")),
        ("grouping", json!({"db": "customers"})),
        ("outcome", json!("failure")),
        ("exit_code", json!(3)),
        ("attempts", json!(1)),
        ("problems_in_a_row", json!(1)),
        ("unmet", json!([])),
        ("next_run_timestamp_seconds", json!(null)),
    ] {
        assert_eq!(event[field], expected, "{field}: {event:#}");
    }
    assert!(event["duration_seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(event["run_id"], sandbox.history()[1]["run_id"]);
    let summary = event["summary"].as_str().unwrap();
    assert!(
        summary.starts_with("nightly {job=\"nightly\",db=\"customers\"} on "),
        "{summary}"
    );
    assert!(summary.ends_with(": failure (exit code 3)"), "{summary}");
    let recovery = events(&server)[1]["summary"].to_string();
    assert!(
        recovery.contains("recovered, after 2 runs with a problem"),
        "{recovery}"
    );
    assert_eq!(sandbox.outbox_len(), 0);
}

#[test]
fn each_nth_failure() {
    let (sandbox, server) = (Sandbox::new(), server());
    let to = format!("webhook:{}", server.url());
    for _ in 0..5 {
        exec(
            &sandbox,
            &to,
            "--notify-every 2 --tail 2",
            "seq 3 >&2; exit 1",
        )
        .code(1);
    }
    let rows: Vec<Json> = events(&server)
        .iter()
        .map(|event| event["problems_in_a_row"].clone())
        .collect();
    assert_eq!(rows, [1, 2, 4]);
    assert_eq!(events(&server)[0]["tail"], json!(["2", "3"]));
    let last = events(&server)[2]["summary"].to_string();
    assert!(last.contains("4 runs with a problem in a row"), "{last}");
}

#[test]
fn jobs_and_groups_have_rows_of_their_own() {
    let (sandbox, server) = (Sandbox::new(), server());
    let to = format!("webhook:{}", server.url());
    for group in ["a", "b"] {
        exec(&sandbox, &to, &format!("-g db={group}"), "false").code(1);
    }
    exec(&sandbox, &to, "-g db=a", "true").code(0);
    assert_eq!(names(&server), ["failure", "failure", "recovery"]);
}

#[test]
fn an_expectation_that_is_not_met() {
    let (sandbox, server) = (Sandbox::new(), server());
    let to = format!("webhook:{}", server.url());
    let run = |rows: &str| {
        let script = format!("echo 'rows {rows}' >> $METRICSJOB_METRICS");
        exec(&sandbox, &to, "--expect rows=1..", &script).code(0);
    };
    for rows in ["5", "0", "0", "5"] {
        run(rows);
    }
    assert_eq!(names(&server), ["expectation_not_met", "recovery"]);
    let event = &events(&server)[0];
    let unmet =
        json!([{"metric": "rows", "min": 1.0, "max": null, "text": "rows is 0, expected 1.."}]);
    assert_eq!(event["unmet"], unmet);
    let summary = event["summary"].as_str().unwrap();
    assert!(
        summary.ends_with(": success, but rows is 0, expected 1.."),
        "{summary}"
    );
    // Another kind of problem is news.
    run("0");
    exec(&sandbox, &to, "--expect rows=1..", "false").code(1);
    assert_eq!(names(&server)[2..], ["expectation_not_met", "failure"]);
}

#[test]
fn where_it_can_be_given() {
    let servers = [(); 3].map(|()| server());
    let [of_config, of_job, of_variable] = &servers;
    let to = |server: &FakeServer| format!("webhook:{}", server.url());
    let sandbox = Sandbox::new();
    sandbox.write(
        CONFIG,
        format!("notify = '{}'\nnotify_every = 1", to(of_config)),
    );
    sandbox.write("jobs/plain.toml", "command = ['false']");
    let own = format!(
        "command = ['false']\nnotify = ['{}']\nseverity = 'page'",
        to(of_job)
    );
    sandbox.write("jobs/own.toml", own);
    sandbox.write("jobs/silent.toml", "command = ['false']\nnotify = []");
    for name in ["plain", "own", "silent"] {
        sandbox.run(&format!("run {name}")).code(1);
    }
    sandbox.run("run silent --notify").code(2);
    sandbox.run_args(["run", "plain", "--notify", ""]).code(1);
    sandbox.run("run own").code(1);
    let sandbox = sandbox.variable("METRICSJOB_NOTIFY", to(of_variable));
    sandbox.run("run own").code(1);
    let jobs = servers.map(|server| {
        let events = events(&server);
        let names = events.iter().map(|event| event["name"].as_str().unwrap());
        names.collect::<Vec<_>>().join(" ")
    });
    assert_eq!(jobs, ["plain", "own own", "own"]);
}

#[test]
fn what_does_not_arrive_waits_in_the_outbox() {
    let gone = "webhook:http://127.0.0.1:1/s3cret";
    let sandbox = Sandbox::new();
    let run = exec(&sandbox, gone, "", "false");
    run.code(1)
        .err("warning: could not connect to http://127.0.0.1:")
        .err("; the notification is kept as outbox entry ");
    exec(&sandbox, gone, "", "true").code(0);
    let outbox = sandbox.outbox();
    assert_eq!(outbox.len(), 2);
    assert_eq!(outbox[0]["method"], "notify");
    for shown in [
        "outbox list",
        "outbox list --output json",
        "outbox flush",
        "doctor",
    ] {
        let shown = sandbox.run(shown);
        let text = shown.stdout() + &shown.stderr();
        assert!(!text.contains("s3cret"), "{text}");
    }
    let id = &outbox[0]["id"];
    sandbox
        .run(&format!("outbox show {id}"))
        .code(0)
        .out("\"event\": \"failure\"");
    let shown = sandbox
        .run(&format!("outbox show {id} --output json"))
        .code(0)
        .json();
    assert_eq!(shown["event"]["event"], "failure");
    sandbox.run(&format!("outbox drop {id}")).code(0);
    assert_eq!(sandbox.outbox_len(), 1);
}

#[test]
fn the_next_run_brings_it_in_order() {
    let server = FakeServer::statuses(&["503 No", "503 No", "503 No", "503 No", "200 OK"]);
    let sandbox = Sandbox::new();
    let to = format!("webhook:{}", server.url());
    let once = "--push-retry-window 0s";
    // Each is tried when its run ends, and the older one once more after the third.
    for (script, code) in [("false", 1), ("true", 0)] {
        exec(&sandbox, &to, once, script).code(code).err("503");
    }
    while sandbox.outbox_len() > 0 {
        exec(&sandbox, &to, once, "true").code(0);
        assert!(server.requests().len() < 20);
    }
    let arrived = names(&server);
    assert_eq!(arrived[arrived.len() - 2..], ["failure", "recovery"]);
    let ids: Vec<Json> = events(&server)
        .iter()
        .map(|event| event["id"].clone())
        .collect();
    let first = ids.iter().filter(|id| **id == ids[0]).count();
    assert!(first > 1, "each attempt has the same id: {ids:?}");
}

#[test]
fn a_flush_brings_it() {
    let server = FakeServer::statuses(&["503 No", "200 OK"]);
    let sandbox = Sandbox::new();
    sandbox.write(CONFIG, "gateway = 'http://127.0.0.1:1'");
    let to = format!("webhook:{}", server.url());
    exec(
        &sandbox,
        &to,
        "--gateway embedded --push-retry-window 0s",
        "false",
    )
    .code(1);
    let flushed = sandbox.run("outbox flush");
    flushed.code(0).out(&format!(
        "delivered 1 notification to webhook:{}/\n",
        server.url()
    ));
    assert_eq!(names(&server), ["failure", "failure"]);
}

#[test]
fn one_that_is_refused_stays() {
    let (sandbox, server) = (
        Sandbox::new(),
        FakeServer::status("410 Gone", "no hook /gone here"),
    );
    let to = format!("webhook:{}/gone", server.url());
    let run = exec(&sandbox, &to, "", "false");
    run.code(1).err("responded with 410 Gone: no hook *** here");
    assert_eq!(sandbox.outbox()[0]["is_rejected"], true);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn messages_for_chats() {
    let (sandbox, server) = (Sandbox::new(), server());
    let to = format!("slack:{}", server.url());
    let options = "--tail 5 --runbook https://wiki/backup";
    exec(&sandbox, &to, options, "echo 'disk <full>' >&2; exit 2").code(2);
    let text = events(&server)[0]["text"].as_str().unwrap().to_owned();
    assert!(text.starts_with("*nightly {job=\"nightly\"} on "), "{text}");
    assert!(text.contains("failure (exit code 2)*"), "{text}");
    assert!(
        text.ends_with("\n```disk &lt;full&gt;```\nRunbook: https://wiki/backup"),
        "{text}"
    );
}

#[test]
fn pings_of_every_run() {
    let (sandbox, server) = (Sandbox::new(), server());
    let to = format!("ping:{}/uuid", server.url());
    exec(&sandbox, &to, "", "true").code(0);
    exec(&sandbox, &to, "--tail 3", "echo broken >&2; exit 3").code(3);
    exec(&sandbox, &to, "--timeout 100ms --kill-after 0s", "sleep 60").code(124);
    exec(&sandbox, &to, "", "kill -9 $$").code(137);
    let (start, fail) = ("/uuid/start", "/uuid/fail");
    assert_eq!(
        pings(&server),
        [start, "/uuid", start, "/uuid/3", start, fail, start, fail]
    );
    let requests = server.requests();
    let rid = |index: usize| requests[index].line.split("rid=").nth(1).unwrap();
    assert_eq!(rid(2), rid(3));
    assert_ne!(rid(0), rid(2));
    assert_eq!(requests[3].body, "broken\n");
}

#[test]
fn pings_of_runs_without_a_result() {
    let (sandbox, server) = (Sandbox::new(), server());
    let to = format!("ping:{}", server.url());
    exec(&sandbox, &to, "--expect rows=1..", "true").code(0);
    assert_eq!(pings(&server), ["/start", "/fail"]);
    assert_eq!(server.requests()[1].body, "rows is missing, expected 1..\n");
    for option in ["--no-push", "--dry-run"] {
        exec(&sandbox, &to, option, "true").code(0);
    }
    assert_eq!(server.requests().len(), 2, "nobody is notified of those");
}

#[test]
fn a_skipped_run_is_no_event() {
    let (sandbox, server) = (Sandbox::new(), server());
    let to = format!("ping:{0} --notify webhook:{0}", server.url());
    let mut command = sandbox.exec_command(
        &format!("--job nightly --lock --notify {to}"),
        "touch begun; while [ ! -e go ]; do sleep 0.01; done",
    );
    let first = sandbox.spawn(&mut command);
    eventually("the first run runs", || {
        sandbox.path().join("begun").exists()
    });
    exec(&sandbox, &to, "--lock", "true").code(0);
    sandbox.write("go", "");
    finished(first).code(0);
    assert_eq!(pings(&server), ["/start", "/"]);
}

#[test]
fn only_the_newest_ping_is_kept() {
    let server = FakeServer::statuses(&["503 No", "503 No", "503 No", "503 No", "200 OK"]);
    let sandbox = Sandbox::new();
    let to = format!("ping:{}", server.url());
    for _ in 0..2 {
        exec(&sandbox, &to, "--push-retry-window 0s", "true").code(0);
    }
    exec(&sandbox, &to, "--push-retry-window 0s", "exit 7").code(7);
    assert_eq!(sandbox.outbox_len(), 0);
    assert_eq!(
        pings(&server),
        ["/start", "/", "/start", "/", "/start", "/7"]
    );
}

#[test]
fn a_server_that_hangs_holds_nothing_up_for_long() {
    let (sandbox, server) = (Sandbox::new(), FakeServer::hanging());
    let to = format!("ping:{0} --notify webhook:{0}", server.url());
    let begin = Instant::now();
    let run = exec(&sandbox, &to, "--push-deadline 1s", "false");
    run.code(1).err(" did not respond within ");
    assert!(begin.elapsed() < Duration::from_secs(30));
    assert_eq!(sandbox.outbox_len(), 2);
    assert_eq!(sandbox.value("nightly", "batch_job_success"), Some(0.0));
}

#[test]
fn a_url_in_a_file() {
    let (sandbox, server) = (Sandbox::new(), server());
    let path = sandbox.path().join("url");
    let to = format!("webhook:@{}", path.display());
    exec(&sandbox, &to, "", "false")
        .code(1)
        .err("no URL in the file: No such file");
    sandbox.write(
        "url",
        format!("http://user:s3cret@{}/hook\n", server.address()),
    );
    exec(&sandbox, &to, "", "true").code(0).quiet();
    assert_eq!(names(&server), ["failure", "recovery"]);
    let headers = &server.requests()[0].headers;
    assert!(
        headers
            .iter()
            .any(|header| header.starts_with("authorization: Basic "))
    );
    assert_eq!(sandbox.outbox_len(), 0);
}

#[test]
fn secrets_stay_secret() {
    let (sandbox, server) = (Sandbox::new(), server());
    let sandbox = sandbox.variable(
        "METRICSJOB_NOTIFY",
        format!("webhook:{}/s3cret", server.url()),
    );
    let run = sandbox.exec(
        "--job nightly --tail 5 --header X-Key:k3y",
        "echo /s3cret >&2; false",
    );
    run.code(1).err("error:   | ***");
    let event = &events(&server)[0];
    assert_eq!(event["tail"], json!(["***"]));
    let headers = server.requests()[0].headers.join("\n");
    assert!(
        !headers.contains("k3y") && !headers.contains("authorization"),
        "{headers}"
    );
    let shown = sandbox.run("config show");
    shown.code(0).out(&format!("webhook:{}/***", server.url()));
    assert!(!shown.stdout().contains("s3cret"));
    for bad in [
        "mail:s3cret",
        "https://h/s3cret",
        "webhook:https://u:s3cret@h",
    ] {
        let run = exec(&sandbox, bad, "", "true");
        run.code(2).err("error: a value of --notify ");
        assert!(!run.stderr().contains("s3cret"), "{}", run.stderr());
    }
    let sandbox = sandbox.variable("METRICSJOB_NOTIFY", "https://h/s3cret");
    let run = sandbox.exec("--job nightly", "exit 5");
    run.code(5)
        .err("METRICSJOB_NOTIFY begins with none of webhook:, slack: and ping:");
    assert!(!run.stderr().contains("s3cret"), "{}", run.stderr());
    sandbox.write(
        "jobs/bad.toml",
        "command = ['true']\nnotify = 'https://h/s3cret'",
    );
    let run = sandbox.run("run bad");
    run.code(2)
        .err("jobs/bad.toml:2:10: notify begins with none of");
    assert!(!run.stderr().contains("s3cret"), "{}", run.stderr());
}

#[test]
fn runs_at_the_same_time_are_one_row() {
    let (sandbox, server) = (Sandbox::new(), server());
    let options = format!("--job nightly --notify webhook:{}", server.url());
    let runs: Vec<_> = (0..8)
        .map(|_| sandbox.spawn(&mut sandbox.exec_command(&options, "false")))
        .collect();
    for run in runs {
        finished(run).code(1);
    }
    assert_eq!(names(&server), ["failure"]);
    assert_eq!(sandbox.outbox_len(), 0);
}

#[test]
fn without_a_state_each_failure_is_told() {
    let server = server();
    let sandbox = Sandbox::new();
    sandbox.write("file", "");
    let options = format!("--state-dir {}/file/state", sandbox.path().display());
    for _ in 0..2 {
        exec(
            &sandbox,
            &format!("webhook:{}", server.url()),
            &options,
            "false",
        )
        .code(1);
    }
    assert_eq!(names(&server), ["failure", "failure"]);
}

#[test]
fn the_summary_has_it() {
    let (sandbox, server) = (Sandbox::new(), server());
    sandbox.write("jobs/bad.toml", "command = ['false']");
    let to = format!("webhook:{}", server.url());
    let run = sandbox.run(&format!("run bad --notify {to}"));
    run.code(1).err(&format!("  notified {to}/\n"));
    let gone = "webhook:http://127.0.0.1:1/x";
    let run = sandbox.run(&format!(
        "run bad --notify-every 1 --notify {to} --notify {gone} --output json"
    ));
    let json: Json = serde_json::from_str(run.stderr().lines().last().unwrap()).unwrap();
    let notifications = json["notifications"].as_array().unwrap();
    assert_eq!(notifications[0]["delivered"], true);
    assert_eq!(notifications[1]["to"], "webhook:http://127.0.0.1:1/***");
    assert_eq!(notifications[1]["outbox_entry"], sandbox.outbox()[0]["id"]);
}

#[test]
fn it_is_listed_without_its_secret() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "jobs/j.toml",
        "command = ['true']\nnotify = ['ping:http://h/s3cret', 'slack:@/s']",
    );
    sandbox
        .run("list j")
        .code(0)
        .out("  notify      ping:http://h/*** slack:@/s\n");
    let json = sandbox.run("list j --output json").code(0).json();
    assert_eq!(json[0]["notify"], json!(["ping:http://h/***", "slack:@/s"]));
}

#[test]
fn forgetting_a_job_forgets_its_row() {
    let (sandbox, server) = (Sandbox::new(), server());
    let to = format!("webhook:{}", server.url());
    exec(&sandbox, &to, "", "false").code(1);
    sandbox.run("forget nightly").code(0);
    exec(&sandbox, &to, "", "false").code(1);
    assert_eq!(names(&server), ["failure", "failure"]);
}

#[test]
fn serve_notifies() {
    let server = server();
    let lines = format!("notify = 'webhook:{}'\nevery = '1h'", server.url());
    let sandbox = Sandbox::new();
    own_server::job(&sandbox, "job", &lines, "[ -e ok ]");
    let serve = OwnServer::start(&sandbox, "");
    serve.run("job");
    eventually("the failure arrives", || names(&server) == ["failure"]);
    sandbox.write("ok", "");
    serve.run("job");
    eventually("the recovery arrives", || {
        names(&server) == ["failure", "recovery"]
    });
    let next = &events(&server)[0]["next_run_timestamp_seconds"];
    assert!(next.as_f64().unwrap() > 1e9, "{next}");
}

#[test]
fn serve_notifies_once_of_a_job_that_is_late() {
    let server = server();
    let sandbox = Sandbox::new();
    let lines = format!("notify = 'webhook:{}'\nmax_age = '1s'", server.url());
    own_server::job(&sandbox, "job", &lines, "[ -e ok ]");
    sandbox.write("ok", "");
    let serve = OwnServer::start(&sandbox, "");
    serve.run("job");
    eventually("the job is late", || names(&server) == ["late"]);
    let event = &events(&server)[0];
    let summary = event["summary"].as_str().unwrap();
    assert!(
        summary.contains(": late, the next success was due by "),
        "{summary}"
    );
    let [due, last] = [
        "deadline_timestamp_seconds",
        "last_success_timestamp_seconds",
    ]
    .map(|name| event[name].as_f64().unwrap());
    assert!((due - last - 1.0).abs() < 0.01);
    // A restarted server knows that it has done so.
    serve.end();
    let serve = OwnServer::start(&sandbox, "");
    thread::sleep(Duration::from_secs(3));
    assert_eq!(names(&server), ["late"]);
    serve.run("job");
    eventually("the job recovers, and is late again", || {
        names(&server) == ["late", "recovery", "late"]
    });
    // Of a job that fails they know already.
    std::fs::remove_file(sandbox.path().join("ok")).unwrap();
    serve.run("job");
    eventually("the failure arrives", || names(&server).len() == 4);
    assert_eq!(names(&server)[3], "failure");
}
