//! The HTTP API of `metricsjob serve`: what `src/serve/http/openapi.json` says, and what no schema can.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use serde_json::{Value as Json, json};

use crate::common::api_server::{Api, DESCRIPTION, JSON, assert_shape, open, sandbox};
use crate::common::{Finished, eventually};

#[test]
fn it_describes_itself() {
    let api = Api::start();
    let served = api.get("/api/v1/openapi.json").json(200);
    let expected: Json = serde_json::from_str(DESCRIPTION).unwrap();
    assert_eq!(served, expected);
}

#[test]
fn schemathesis_finds_nothing() {
    let api = Api::start();
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
        .arg(format!("http://{}/api/v1/openapi.json", api.address()))
        .current_dir(api.sandbox.path())
        .env("HOME", api.sandbox.path())
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .unwrap_or_else(|error| panic!("schemathesis: {error} (scripts/test installs it)"));
    Finished::from(run).code(0);
}

#[test]
fn all_jobs() {
    let api = Api::start();
    let json = api.get("/api/v1/jobs").json(200);
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
        assert_eq!(api.job(name)["work"], job["work"]);
    }
}

#[test]
fn one_job() {
    let api = Api::start();
    let job = api.job("hello");
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
    let now = metricsjob::metrics::unix_seconds(std::time::SystemTime::now());
    assert!(next > now && next < now + 367.0 * 86_400.0, "{next}");

    // One that runs only when it is asked to.
    let job = api.job("gated");
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
    let api = Api::start();
    for name in [
        "nothing",
        "hello.toml",
        "jobs%2Fhello.toml",
        "..%2Fjobs%2Fhello.toml",
        "%FF",
        "%00",
        "%",
    ] {
        api.get(&format!("/api/v1/jobs/{name}")).error(404);
        api.get(&format!("/api/v1/jobs/{name}/runs")).error(404);
        api.post(name, "{}").error(404);
    }
    assert!(
        api.get("/api/v1/jobs/nothing")
            .error(404)
            .contains("nothing")
    );
}

#[test]
fn a_run_from_its_request_to_its_end() {
    let api = Api::start();
    let id = api.start_run("hello", &json!({}));
    let run = api.run_once(&id, "finished");
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
    assert_eq!(api.job("hello")["last_run"], run);

    // The same that the command line knows.
    let history = api.sandbox.run("history --state-dir state --output json");
    assert_eq!(history.code(0).json()[0]["run_id"], json!(id));
}

#[test]
fn a_run_that_goes_on() {
    let api = Api::start();
    let id = api.start_run("gated", &json!({}));
    let run = api.run_once(&id, "running");
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
    let job = api.job("gated");
    assert_eq!((&job["running"], &job["queued"]), (&json!(1), &json!(0)));
    assert_eq!(api.runs("gated", "")[0]["run_id"], json!(id));

    // Its overlap is skip: there is no other beside it, and none later.
    let error = api.post("gated", "{}").error(409);
    assert!(error.contains(&id), "{error}");
    open(&api.sandbox);
    let run = api.run_once(&id, "finished");
    assert_eq!(
        (&run["outcome"], &run["exit_code"]),
        (&json!("success"), &json!(0))
    );
    assert_eq!(api.runs("gated", "").len(), 1);
    api.start_run("gated", &json!({}));
}

#[test]
fn a_run_that_waits_for_another() {
    let api = Api::start();
    let first = api.start_run("queued", &json!({}));
    api.run_once(&first, "running");
    let second = api.start_run("queued", &json!({}));
    let run = api.run(&second);
    assert_eq!(
        (&run["status"], &run["trigger"]),
        (&json!("queued"), &json!("http"))
    );
    assert_eq!(run["start_timestamp_seconds"], Json::Null);
    let job = api.job("queued");
    assert_eq!((&job["running"], &job["queued"]), (&json!(1), &json!(1)));
    open(&api.sandbox);
    let (first, second) = (
        api.run_once(&first, "finished"),
        api.run_once(&second, "finished"),
    );
    let (end, start) = (
        &first["completion_timestamp_seconds"],
        &second["start_timestamp_seconds"],
    );
    assert!(start.as_f64() >= end.as_f64(), "{start} {end}");
}

#[test]
fn not_too_many_runs_wait() {
    let api = Api::start();
    let refused = (0..3000).find_map(|_| {
        let answer = api.post("queued", "{}");
        (answer.status != 202).then_some(answer)
    });
    refused.expect("all of them were accepted").error(503);
    // The others are none the worse for it.
    let id = api.start_run("backup", &json!({}));
    api.run_once(&id, "finished");
    assert_eq!(api.get("/-/healthy").status, 200);
    open(&api.sandbox);
}

#[test]
fn what_a_run_is_told() {
    let api = Api::start();
    let body = json!({
        "params": { "records": 7, "failure-rate": 0.0, "duration": "1ms" },
        "grouping": { "db": "Kunden ä/b" },
    });
    let id = api.start_run("backup", &body);
    let run = api.run_once(&id, "finished");
    assert_eq!(api.runs("backup", "")[..], *std::slice::from_ref(&run));
    assert_eq!(run["outcome"], "success");
    assert_eq!(run["grouping"], json!({ "db": "Kunden ä/b" }));
    assert_eq!(run["metrics"][0]["metrics"][0]["value"], 7);

    // The next one knows nothing of it. An empty body is as good as `{}`.
    let answer = api.post("backup", "");
    let id = answer.json(202)["run_id"].as_str().unwrap().to_owned();
    let run = api.run_once(&id, "finished");
    assert_eq!(run["grouping"], json!({}));
    assert_eq!(run["metrics"][0]["metrics"][0]["value"], 42);

    // Labels come on top of those of the job file, or in their place.
    let id = api.start_run("hello", &json!({ "grouping": { "db": "x", "zone": "z" } }));
    assert_eq!(api.run(&id)["grouping"], json!({ "db": "x", "zone": "z" }));
    api.start_run("backup", &json!({ "params": {}, "grouping": {} }));
}

#[test]
fn what_a_run_cannot_be_told() {
    let api = Api::start();
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
        let error = api.post(job, body).error(400);
        assert!(error.contains(said), "{body}: {error}");
    }
    // What is no UTF-8 is no JSON.
    api.post("backup", b"{\"params\": {\"\xff\": 1}}")
        .error(400);
    for job in ["backup", "hello"] {
        assert_eq!(api.runs(job, ""), Vec::<Json>::new());
    }
}

#[test]
fn only_json_of_a_reasonable_size() {
    let api = Api::start();
    let path = "/api/v1/jobs/backup/runs";
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=b",
        "application/jsonp",
        "text/plain; application/json",
    ] {
        api.send("POST", path, &[("Content-Type", content_type)], b"{}")
            .error(415);
    }
    api.send("POST", path, &[], b"{}").error(415);
    // `curl -X POST` sends neither.
    api.send("POST", path, &[], b"").json(202);
    let charset = ("Content-Type", "Application/JSON; charset=utf-8");
    api.send("POST", path, &[charset], b"{}").json(202);

    let spaces = |bytes: usize| " ".repeat(bytes - 2) + "{}";
    api.post("backup", spaces(64 * 1024)).json(202);
    api.post("backup", spaces(64 * 1024 + 1)).error(413);
    api.post("backup", spaces(1 << 20)).error(413);
}

#[test]
fn the_last_runs() {
    let api = Api::start();
    let mut ids: Vec<Json> = (0..33)
        .map(|_| {
            let id = api.start_run("backup", &json!({}));
            api.run_once(&id, "finished");
            json!(id)
        })
        .collect();
    ids.reverse();
    let shown = |query: &str| -> Vec<Json> {
        let runs = api.runs("backup", query);
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
        let error = api
            .get(&format!("/api/v1/jobs/backup/runs?limit={limit}"))
            .error(400);
        assert!(error.contains("limit"), "{limit}: {error}");
    }
    assert_eq!(shown("?limit=2"), ids[..2]);
    assert_eq!(api.runs("hello", ""), Vec::<Json>::new());
}

#[test]
fn runs_that_there_are_not() {
    let api = Api::start();
    for id in [
        "0123456789abcdef",
        "x",
        "0123456789ABCDEF",
        "0123456789abcdef0",
        "%FF",
        "..",
        "0",
    ] {
        api.get(&format!("/api/v1/runs/{id}")).error(404);
    }
}

#[test]
fn runs_of_the_command_line_are_shown_too() {
    let api = Api::start();
    api.sandbox.run("run backup --state-dir state").code(0);
    let runs = api.runs("backup", "");
    assert_eq!((runs.len(), &runs[0]["status"]), (1, &json!("finished")));
    assert_eq!(runs[0]["trigger"], Json::Null);
    assert_eq!(api.run(runs[0]["run_id"].as_str().unwrap()), runs[0]);
}

#[test]
fn the_history_outlives_the_server() {
    let mut api = Api::start();
    let id = api.start_run("backup", &json!({}));
    let run = api.run_once(&id, "finished");
    api.server.terminate();
    let api = Api::start_in(api.sandbox, &[]);
    let mut expected = run;
    // That is not recorded.
    expected["trigger"] = Json::Null;
    assert_eq!(api.run(&id), expected);
    assert_eq!(api.job("backup")["last_run"], expected);
    assert_eq!(api.runs("backup", ""), [expected]);
}

#[test]
fn what_is_due_runs_by_itself() {
    let sandbox = sandbox();
    sandbox.write("jobs/often.toml", "every = '1s'\ncommand = ['true']\n");
    let api = Api::start_in(sandbox, &[]);
    eventually("two runs", || api.runs("often", "").len() >= 2);
    assert_eq!(api.job("often")["schedule"], "every 1s");
    let run = api.runs("often", "").pop().unwrap();
    assert_eq!(run["trigger"], "schedule");
}

#[test]
fn reload() {
    let api = Api::start();
    let reload = || {
        let json = api.send("POST", "/-/reload", &[], b"").json(200);
        assert_shape(&json, "Reload");
        json
    };
    let before = reload();
    assert_eq!(before["problems"], json!([]));
    let all = api.get("/api/v1/jobs").json(200);
    assert_eq!(before["jobs"], json!(all["jobs"].as_array().unwrap().len()));

    api.sandbox.write("jobs/new.toml", "command = ['true']\n");
    api.get("/api/v1/jobs/new").error(404);
    let after = reload();
    assert_eq!(
        after["jobs"].as_u64(),
        before["jobs"].as_u64().map(|jobs| jobs + 1)
    );
    let id = api.start_run("new", &json!({}));
    api.run_once(&id, "finished");

    // What is wrong is told.
    api.sandbox.write("jobs/new.toml", "comand = ['false']\n");
    let problems = reload()["problems"].to_string();
    assert!(
        problems.contains("jobs/new.toml:1:1: unknown key"),
        "{problems}"
    );

    fs::remove_file(api.sandbox.path().join("jobs/new.toml")).unwrap();
    assert_eq!(reload(), before);
    api.get("/api/v1/jobs/new").error(404);
    // Its history is still there.
    assert_eq!(api.run(&id)["name"], "new");
}

/// What was there before a reload was asked for is in force once it is answered, whatever other reloads go on.
#[test]
fn reloads_at_the_same_time() {
    let api = Api::start();
    let reload = || api.send("POST", "/-/reload", &[], b"").json(200);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(Relaxed) {
                    reload();
                }
            });
        }
        let rounds = (0..50).find(|round: &u32| {
            let description = format!("round {round}");
            let job = format!("description = '{description}'\ncommand = ['true']\n");
            api.sandbox.write("jobs/hello.toml", job);
            reload();
            (0..5).any(|_| api.job("hello")["description"] != description)
        });
        is_over.store(true, Relaxed);
        assert_eq!(rounds, None);
    });
}

#[test]
fn methods_and_paths_that_there_are_not() {
    let api = Api::start();
    for (path, allowed) in [
        ("/api/v1/jobs", &["GET"][..]),
        ("/api/v1/jobs/hello", &["GET"]),
        ("/api/v1/jobs/hello/runs", &["GET", "POST"]),
        ("/api/v1/runs/0123456789abcdef", &["GET"]),
        ("/api/v1/openapi.json", &["GET"]),
        ("/-/reload", &["POST"]),
        ("/health", &["GET"]),
        ("/-/healthy", &["GET"]),
        ("/-/ready", &["GET"]),
    ] {
        for method in [
            "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW",
        ] {
            if allowed.contains(&method) {
                continue;
            }
            let answer = api.send(method, path, &[JSON], b"{}");
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
            api.send(method, path, &[JSON], b"{}").error(404);
        }
    }
}
