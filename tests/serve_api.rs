//! The HTTP API of `metricsjob serve`: what `src/serve/http/openapi.json` says, and what no schema can.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use serde_json::{Value as Json, json};

use crate::common::own_server::{
    DESCRIPTION, JSON, OwnServer, assert_shape, id, job, open, with_examples,
};
use crate::common::{Finished, Sandbox, eventually};

#[test]
fn it_describes_itself() {
    let sandbox = with_examples();
    let server = OwnServer::start(&sandbox, "");
    let served = server.get("/api/v1/openapi.json").json(200);
    let expected: Json = serde_json::from_str(DESCRIPTION).unwrap();
    assert_eq!(served, expected);
}

#[test]
fn schemathesis_finds_nothing() {
    let sandbox = with_examples();
    let server = OwnServer::start(&sandbox, "");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let run = Command::new(root.join("target/openapi/bin/schemathesis"))
        .arg("--config-file")
        .arg(root.join("tests/schemathesis.toml"))
        .args([
            "run",
            "--checks",
            "all",
            "--max-examples",
            "25",
            "--no-color",
        ])
        .arg(format!("{}/api/v1/openapi.json", server.url()))
        .current_dir(sandbox.path())
        .env("HOME", sandbox.path())
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .unwrap_or_else(|error| panic!("schemathesis: {error} (scripts/test installs it)"));
    Finished::from(run).code(0);
}

#[test]
fn all_jobs() {
    let sandbox = with_examples();
    let server = OwnServer::start(&sandbox, "");
    let json = server.get("/api/v1/jobs").json(200);
    assert_shape(&json, "Jobs");
    let jobs = json["jobs"].as_array().unwrap();
    let names: Vec<&str> = jobs
        .iter()
        .map(|job| job["name"].as_str().unwrap())
        .collect();
    assert!(names.is_sorted(), "{names:?}");
    for name in ["backup", "gated", "hello", "queued"] {
        assert!(names.contains(&name), "{names:?}");
        assert_eq!(names.iter().filter(|known| **known == name).count(), 1);
    }
    for job in jobs {
        assert_shape(job, "Job");
        let name = job["name"].as_str().unwrap();
        assert_eq!(server.job(name)["work"], job["work"]);
    }
}

#[test]
fn one_job() {
    let sandbox = with_examples();
    let server = OwnServer::start(&sandbox, "");
    let job = server.job("hello");
    let expected = json!({
        "name": "hello",
        "description": "Say hello",
        "job": "greeting",
        "grouping": { "db": "customers" },
        "prefix": "greeting",
        "method": "put",
        "work": "sh -c 'echo '\\''metric 1'\\'' >&2; exit 3'",
        "schedule": "30 3 1 1 *",
        "timezone": "Europe/Berlin",
        "overlap": "allow",
        "missed": "run-once",
        "jitter_seconds": 1.5,
        "is_demo": false,
        "defined_in": "jobs/hello.toml",
        "next_run_timestamp_seconds": job["next_run_timestamp_seconds"],
        "running": 0,
        "queued": 0,
        "last_run": null,
    });
    assert_eq!(job, expected);
    let next = job["next_run_timestamp_seconds"].as_f64().unwrap();
    let now = metricsjob_metrics::unix_seconds(std::time::SystemTime::now());
    assert!(next > now && next < now + 367.0 * 86_400.0, "{next}");

    // One that runs only when it is asked to.
    let job = server.job("gated");
    for key in [
        "description",
        "schedule",
        "timezone",
        "missed",
        "next_run_timestamp_seconds",
    ] {
        assert_eq!(job[key], Json::Null, "{key}");
    }
    assert_eq!(
        (&job["overlap"], &job["jitter_seconds"]),
        (&json!("skip"), &json!(0))
    );
}

#[test]
fn jobs_that_there_are_not() {
    let sandbox = with_examples();
    let server = OwnServer::start(&sandbox, "");
    for name in [
        "nothing",
        "hello.toml",
        "jobs%2Fhello.toml",
        "..%2Fjobs%2Fhello.toml",
        "%FF",
        "%00",
        "%",
    ] {
        server.get(&format!("/api/v1/jobs/{name}")).error(404);
        server.get(&format!("/api/v1/jobs/{name}/runs")).error(404);
        server.post(name, "{}").error(404);
    }
    assert!(
        server
            .get("/api/v1/jobs/nothing")
            .error(404)
            .contains("nothing")
    );
}

#[test]
fn a_run_from_its_request_to_its_end() {
    let sandbox = with_examples();
    let server = OwnServer::start(&sandbox, "");
    let id = server.ask("hello");
    let run = server.run_once(&id, "finished");
    assert_shape(&run, "Run");
    let number = |key: &str| run[key].as_f64().unwrap();
    let (start, end) = (
        number("start_timestamp_seconds"),
        number("completion_timestamp_seconds"),
    );
    assert!(start > 1e9 && end >= start, "{run}");
    assert!(
        number("duration_seconds") > 0.0 && number("max_rss_bytes") > 0.0,
        "{run}"
    );
    assert!(
        number("cpu_user_seconds") >= 0.0 && number("cpu_system_seconds") >= 0.0,
        "{run}"
    );
    for (key, value) in [
        ("run_id", json!(id)),
        ("name", json!("hello")),
        ("job", json!("greeting")),
        ("grouping", json!({ "db": "customers" })),
        ("trigger", json!("http")),
        ("outcome", json!("failure")),
        ("exit_code", json!(3)),
        ("attempts", json!(1)),
        ("tail", json!(["metric 1"])),
    ] {
        assert_eq!(run[key], value, "{key}");
    }
    assert!(!run["failure"].as_str().unwrap_or("?").is_empty(), "{run}");
    let metrics = json!([{
        "name": "greetings",
        "type": "gauge",
        "help": "Greetings said.",
        "metrics": [{ "labels": {}, "value": 1 }],
    }]);
    assert_eq!(run["metrics"], metrics);
    assert_eq!(server.job("hello")["last_run"], run);

    // The same that the command line knows.
    assert_eq!(sandbox.history()[0]["run_id"], json!(id));
}

#[test]
fn a_run_that_goes_on() {
    let sandbox = with_examples();
    let server = OwnServer::start(&sandbox, "");
    let id = server.ask("gated");
    let run = server.run_once(&id, "running");
    assert_shape(&run, "Run");
    assert!(run["start_timestamp_seconds"].as_f64().unwrap() > 1e9);
    for key in [
        "outcome",
        "exit_code",
        "failure",
        "completion_timestamp_seconds",
    ] {
        assert_eq!(run[key], Json::Null, "{key}");
    }
    let job = server.job("gated");
    assert_eq!((&job["running"], &job["queued"]), (&json!(1), &json!(0)));
    assert_eq!(server.listed("gated", "")[0]["run_id"], json!(id));

    // Its overlap is skip: there is no other beside it, and none later.
    let error = server.post("gated", "{}").error(409);
    assert!(error.contains(&id), "{error}");
    open(&sandbox);
    let run = server.run_once(&id, "finished");
    assert_eq!(
        (&run["outcome"], &run["exit_code"]),
        (&json!("success"), &json!(0))
    );
    assert_eq!(server.listed("gated", "").len(), 1);
    server.ask("gated");
}

#[test]
fn a_run_that_waits_for_another() {
    let sandbox = with_examples();
    let server = OwnServer::start(&sandbox, "");
    let first = server.ask("queued");
    server.run_once(&first, "running");
    let second = server.ask("queued");
    let run = server.run_now(&second);
    assert_eq!(
        (&run["status"], &run["trigger"]),
        (&json!("queued"), &json!("http"))
    );
    assert_eq!(run["start_timestamp_seconds"], Json::Null);
    let job = server.job("queued");
    assert_eq!((&job["running"], &job["queued"]), (&json!(1), &json!(1)));
    open(&sandbox);
    let (first, second) = (
        server.run_once(&first, "finished"),
        server.run_once(&second, "finished"),
    );
    let (end, start) = (
        &first["completion_timestamp_seconds"],
        &second["start_timestamp_seconds"],
    );
    assert!(start.as_f64() >= end.as_f64(), "{start} {end}");
}

#[test]
fn not_too_many_runs_wait() {
    let sandbox = with_examples();
    let server = OwnServer::start(&sandbox, "");
    let refused = (0..3000).find_map(|_| {
        let answer = server.post("queued", "{}");
        (answer.status != 202).then_some(answer)
    });
    refused.expect("all of them were accepted").error(503);
    // The others are none the worse for it.
    server.run("backup");
    assert_eq!(server.get("/-/healthy").status, 200);
    open(&sandbox);
}

#[test]
fn what_a_run_is_told() {
    let sandbox = with_examples();
    let server = OwnServer::start(&sandbox, "");
    let body = json!({
        "params": { "records": 7, "failure-rate": 0.0, "duration": "1ms" },
        "grouping": { "db": "Kunden ä/b" },
    });
    let run = server.run_with("backup", &body);
    assert_eq!(server.listed("backup", "")[..], *std::slice::from_ref(&run));
    assert_eq!(run["outcome"], "success");
    assert_eq!(run["grouping"], json!({ "db": "Kunden ä/b" }));
    assert_eq!(run["metrics"][0]["metrics"][0]["value"], 7);

    // The next one knows nothing of it. An empty body is as good as `{}`.
    let answer = server.post("backup", "");
    let run = server.run_once(id(&answer.json(202)), "finished");
    assert_eq!(run["grouping"], json!({}));
    assert_eq!(run["metrics"][0]["metrics"][0]["value"], 42);

    // Labels come on top of those of the job file, or in their place.
    let id = server.ask_with("hello", &json!({ "grouping": { "db": "x", "zone": "z" } }));
    assert_eq!(
        server.run_now(&id)["grouping"],
        json!({ "db": "x", "zone": "z" })
    );
    server.ask_with("backup", &json!({ "params": {}, "grouping": {} }));
}

#[test]
fn what_a_run_cannot_be_told() {
    let sandbox = with_examples();
    let server = OwnServer::start(&sandbox, "");
    for (job, body, said) in [
        ("backup", "{", ""),
        ("backup", "{} {}", ""),
        ("backup", "[]", ""),
        ("backup", "null", ""),
        ("backup", "\"records\"", ""),
        ("backup", "\u{fffd}", ""),
        ("backup", r#"{"param": {}}"#, "param"),
        ("backup", r#"{"params": []}"#, ""),
        ("backup", r#"{"params": null}"#, ""),
        ("backup", r#"{"params": {"records": null}}"#, "records"),
        ("backup", r#"{"params": {"records": [7]}}"#, "records"),
        (
            "backup",
            r#"{"params": {"records": -7}}"#,
            "is not a whole number from 0",
        ),
        (
            "backup",
            r#"{"params": {"records": true}}"#,
            "is not a whole number from 0",
        ),
        (
            "backup",
            r#"{"params": {"failure-rate": 2}}"#,
            "is not a probability",
        ),
        (
            "backup",
            r#"{"params": {"record": 7}}"#,
            "did you mean \"records\"?",
        ),
        (
            "backup",
            r#"{"params": {"source": "a.db"}}"#,
            "needs the parameter \"dest\"",
        ),
        // A command has no parameters.
        ("hello", r#"{"params": {"records": 7}}"#, ""),
        ("backup", r#"{"grouping": {"db": 7}}"#, "db"),
        ("backup", r#"{"grouping": ["db"]}"#, ""),
        ("backup", r#"{"grouping": {"job": "x"}}"#, "job"),
        ("backup", r#"{"grouping": {"__db": "x"}}"#, "__db"),
        ("backup", r#"{"grouping": {"my-db": "x"}}"#, "my-db"),
        ("backup", r#"{"grouping": {"": "x"}}"#, ""),
    ] {
        let error = server.post(job, body).error(400);
        assert!(error.contains(said), "{body}: {error}");
    }
    // What is no UTF-8 is no JSON.
    server
        .post("backup", b"{\"params\": {\"\xff\": 1}}")
        .error(400);
    for job in ["backup", "hello"] {
        assert_eq!(server.listed(job, ""), Vec::<Json>::new());
    }
}

#[test]
fn only_json_of_a_reasonable_size() {
    let sandbox = with_examples();
    let server = OwnServer::start(&sandbox, "");
    let path = "/api/v1/jobs/backup/runs";
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=b",
        "application/jsonp",
        "text/plain; application/json",
    ] {
        server
            .exchange("POST", path, &[("Content-Type", content_type)], b"{}")
            .error(415);
    }
    server.exchange("POST", path, &[], b"{}").error(415);
    // `curl -X POST` sends neither.
    server.exchange("POST", path, &[], b"").json(202);
    let charset = ("Content-Type", "Application/JSON; charset=utf-8");
    server.exchange("POST", path, &[charset], b"{}").json(202);

    let spaces = |bytes: usize| " ".repeat(bytes - 2) + "{}";
    server.post("backup", spaces(64 * 1024)).json(202);
    server.post("backup", spaces(64 * 1024 + 1)).error(413);
    server.post("backup", spaces(1 << 20)).error(413);
}

#[test]
fn the_last_runs() {
    let sandbox = with_examples();
    let server = OwnServer::start(&sandbox, "");
    let mut ids: Vec<Json> = (0..33)
        .map(|_| server.run("backup")["run_id"].clone())
        .collect();
    ids.reverse();
    let shown = |query: &str| -> Vec<Json> {
        let runs = server.listed("backup", query);
        runs.iter().map(|run| run["run_id"].clone()).collect()
    };
    assert_eq!(shown(""), ids[..30]);
    assert_eq!(shown("?limit=1"), ids[..1]);
    assert_eq!(shown("?limit=33"), ids);
    assert_eq!(shown("?limit=1000"), ids);
    for limit in [
        "0",
        "1001",
        "-1",
        "1.5",
        "",
        "ten",
        "99999999999999999999",
        "1&limit=2",
    ] {
        let error = server
            .get(&format!("/api/v1/jobs/backup/runs?limit={limit}"))
            .error(400);
        assert!(error.contains("limit"), "{limit}: {error}");
    }
    assert_eq!(shown("?limit=2"), ids[..2]);
    assert_eq!(server.listed("hello", ""), Vec::<Json>::new());
}

#[test]
fn runs_that_there_are_not() {
    let sandbox = with_examples();
    let server = OwnServer::start(&sandbox, "");
    for id in [
        "0123456789abcdef",
        "x",
        "0123456789ABCDEF",
        "0123456789abcdef0",
        "%FF",
        "..",
        "0",
    ] {
        server.get(&format!("/api/v1/runs/{id}")).error(404);
    }
}

#[test]
fn runs_of_the_command_line_are_shown_too() {
    let sandbox = with_examples();
    let server = OwnServer::start(&sandbox, "");
    sandbox.run("run backup").code(0);
    let runs = server.listed("backup", "");
    assert_eq!((runs.len(), &runs[0]["status"]), (1, &json!("finished")));
    assert_eq!(runs[0]["trigger"], Json::Null);
    assert_eq!(server.run_now(id(&runs[0])), runs[0]);
}

#[test]
fn the_history_outlives_the_server() {
    let sandbox = with_examples();
    let server = OwnServer::start(&sandbox, "");
    let mut expected = server.run("backup");
    server.end();
    let server = OwnServer::start(&sandbox, "");
    // That is not recorded.
    expected["trigger"] = Json::Null;
    assert_eq!(server.run_now(id(&expected)), expected);
    assert_eq!(server.job("backup")["last_run"], expected);
    assert_eq!(server.listed("backup", ""), [expected]);
}

#[test]
fn what_is_due_runs_by_itself() {
    let sandbox = Sandbox::new();
    job(&sandbox, "often", "every = '1s'", "true");
    let server = OwnServer::start(&sandbox, "");
    eventually("two runs", || server.listed("often", "").len() >= 2);
    assert_eq!(server.job("often")["schedule"], "every 1s");
    let run = server.listed("often", "").pop().unwrap();
    assert_eq!(run["trigger"], "schedule");
}

#[test]
fn reload() {
    let sandbox = with_examples();
    let server = OwnServer::start(&sandbox, "");
    let before = server.reload();
    assert_eq!(before["problems"], json!([]));
    let all = server.get("/api/v1/jobs").json(200);
    assert_eq!(before["jobs"], json!(all["jobs"].as_array().unwrap().len()));

    sandbox.write("jobs/new.toml", "command = ['true']\n");
    server.get("/api/v1/jobs/new").error(404);
    let after = server.reload();
    assert_eq!(
        after["jobs"].as_u64(),
        before["jobs"].as_u64().map(|jobs| jobs + 1)
    );
    let id = id(&server.run("new")).to_owned();

    // What is wrong is told.
    sandbox.write("jobs/new.toml", "comand = ['false']\n");
    let problems = server.reload()["problems"].to_string();
    assert!(
        problems.contains("jobs/new.toml:1:1: unknown key"),
        "{problems}"
    );

    fs::remove_file(sandbox.path().join("jobs/new.toml")).unwrap();
    assert_eq!(server.reload(), before);
    server.get("/api/v1/jobs/new").error(404);
    // Its history is still there.
    assert_eq!(server.run_now(&id)["name"], "new");
}

/// What was there before a reload was asked for is in force once it is answered, whatever other reloads go on.
#[test]
fn reloads_at_the_same_time() {
    let sandbox = with_examples();
    let server = OwnServer::start(&sandbox, "");
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(Relaxed) {
                    server.reload();
                }
            });
        }
        let rounds = (0..50).find(|round: &u32| {
            let description = format!("round {round}");
            let job = format!("description = '{description}'\ncommand = ['true']\n");
            sandbox.write("jobs/hello.toml", job);
            server.reload();
            (0..5).any(|_| server.job("hello")["description"] != description)
        });
        is_over.store(true, Relaxed);
        assert_eq!(rounds, None);
    });
}

#[test]
fn methods_and_paths_that_there_are_not() {
    let sandbox = with_examples();
    let server = OwnServer::start(&sandbox, "");
    for (path, allowed) in [
        ("/api/v1/jobs", &["GET"][..]),
        ("/api/v1/jobs/hello", &["GET"]),
        ("/api/v1/jobs/hello/runs", &["GET", "POST"]),
        ("/api/v1/runs/0123456789abcdef", &["GET"]),
        ("/api/v1/openapi.json", &["GET"]),
        ("/-/reload", &["POST"]),
        ("/health", &["GET"]),
        ("/healthz", &["GET"]),
        ("/-/healthy", &["GET"]),
        ("/-/ready", &["GET"]),
    ] {
        for method in [
            "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW",
        ] {
            if allowed.contains(&method) {
                continue;
            }
            let answer = server.exchange(method, path, &[JSON], b"{}");
            answer.error(405);
            let header = answer.headers["allow"].as_str();
            let said: BTreeSet<&str> = header.split(',').map(str::trim).collect();
            // GET implies HEAD.
            let mut said: Vec<&str> = said.into_iter().filter(|name| *name != "HEAD").collect();
            said.sort_unstable();
            assert_eq!(said, allowed, "{method} {path}");
        }
    }
    for path in [
        "/nothing",
        "/api",
        "/api/v1",
        "/api/v2/jobs",
        "/api/v1/jobs/hello/run",
        "/api/v1/jobs/hello/runs/1",
    ] {
        for method in ["GET", "POST", "DELETE"] {
            server.exchange(method, path, &[JSON], b"{}").error(404);
        }
    }
}
