//! The HTTP API of `metricsjob serve`: what `src/serve/openapi.json` says, and what no schema can.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Stdio;
#[cfg(feature = "real-servers")]
use std::{path::Path, process::Command};

use serde_json::{Value as Json, json};

#[cfg(feature = "real-servers")]
use crate::common::Finished;
use crate::common::own_gateway::OwnGateway;
use crate::common::{Sandbox, eventually};

const DESCRIPTION: &str = include_str!("../src/serve/openapi.json");

/// A server on a free port, with the job files of a sandbox.
struct Api {
    server: OwnGateway,
    sandbox: Sandbox,
}

struct Answer {
    status: u16,
    /// Names in lower case.
    headers: BTreeMap<String, String>,
    body: String,
}

impl Api {
    fn start() -> Self {
        Api::start_in(sandbox(), &[])
    }

    /// On a free port of 127.0.0.1, with further flags.
    fn start_in(sandbox: Sandbox, flags: &[&str]) -> Self {
        Api::start_on("127.0.0.1", sandbox, flags)
    }

    fn start_on(host: &str, sandbox: Sandbox, flags: &[&str]) -> Self {
        let mut command = sandbox.command(["serve", "--jobs-dir", "jobs", "--state-dir", "state"]);
        command
            .arg(format!("--web.listen-address={host}:0"))
            .args(flags)
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        Api {
            server: OwnGateway::start_command(command),
            sandbox,
        }
    }

    /// Where it can be reached from here.
    fn address(&self) -> String {
        let (_, port) = self.server.address().rsplit_once(':').unwrap();
        format!("127.0.0.1:{port}")
    }

    /// HTTP 1.0, so that the body ends with the connection.
    #[track_caller]
    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let address = self.address();
        let length = body.len();
        let mut head = format!("{method} {path} HTTP/1.0\r\nContent-Length: {length}\r\n");
        if headers.iter().all(|(name, _)| *name != "Host") {
            head += &format!("Host: {address}\r\n");
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all((head + "\r\n").as_bytes()).unwrap();
        // It may answer, and close the connection, before it has read all.
        let _ = stream.write_all(body);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let text = String::from_utf8(answer).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            panic!("{method} {path}: {text:?}\n{}", self.server.log());
        };
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap();
        let headers = lines.filter_map(|line| line.split_once(": "));
        Answer {
            status: status.parse().unwrap(),
            headers: headers
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect(),
            body: body.to_owned(),
        }
    }

    #[track_caller]
    fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    /// A run of `job` is asked for with this body.
    #[track_caller]
    fn post(&self, job: &str, body: impl AsRef<[u8]>) -> Answer {
        let path = format!("/api/v1/jobs/{job}/runs");
        self.send("POST", &path, &[JSON], body.as_ref())
    }

    /// A run of `job`, which is accepted, and is no other than the one that `Location` names.
    #[track_caller]
    fn start_run(&self, job: &str, body: &Json) -> String {
        let answer = self.post(job, body.to_string());
        let run = answer.json(202);
        assert_shape(&run, "Run");
        assert_eq!(
            (&run["name"], &run["status"]),
            (&json!(job), &json!("queued"))
        );
        let id = run["run_id"].as_str().unwrap().to_owned();
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        assert!(id.len() == 16 && id.bytes().all(is_hex), "{id}");
        assert_eq!(answer.headers["location"], format!("/api/v1/runs/{id}"));
        id
    }

    #[track_caller]
    fn job(&self, name: &str) -> Json {
        self.get(&format!("/api/v1/jobs/{name}")).json(200)
    }

    #[track_caller]
    fn run(&self, id: &str) -> Json {
        self.get(&format!("/api/v1/runs/{id}")).json(200)
    }

    /// The run once it is `status`.
    #[track_caller]
    fn run_once(&self, id: &str, status: &str) -> Json {
        eventually(&format!("{id} is {status}"), || {
            self.run(id)["status"] == status
        });
        self.run(id)
    }

    #[track_caller]
    fn runs(&self, job: &str, query: &str) -> Vec<Json> {
        let runs = self
            .get(&format!("/api/v1/jobs/{job}/runs{query}"))
            .json(200);
        assert_shape(&runs, "Runs");
        runs["runs"].as_array().unwrap().clone()
    }
}

impl Answer {
    /// The body, which is JSON.
    #[track_caller]
    fn json(&self, status: u16) -> Json {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.headers["content-type"], "application/json");
        serde_json::from_str(&self.body).unwrap()
    }

    /// What it says is wrong.
    #[track_caller]
    fn error(&self, status: u16) -> String {
        let json = self.json(status);
        assert_shape(&json, "Error");
        let error = json["error"].as_str().unwrap();
        assert!(!error.is_empty());
        error.to_owned()
    }
}

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// A home with jobs: `hello`, `backup` as it is compiled in, but instant, and `gated` and `queued`,
/// which go on until [`open`] is called.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write(
        "jobs/hello.toml",
        r#"
description = "Say hello"
job = "greeting"
prefix = "greeting"
method = "put"
grouping = { db = "customers" }
schedule = "30 3 1 1 *"
timezone = "Europe/Berlin"
overlap = "allow"
missed = "run-once"
jitter = "1500ms"
tail = 5
command = ["sh", "-c", "echo 'metric 1' >&2; exit 3"]
[[metric]]
name = "greetings"
type = "gauge"
help = "Greetings said."
pattern = 'metric (\d)'
"#,
    );
    sandbox.write(
        "jobs/backup.toml",
        "builtin = 'backup'\nprefix = 'db_backup'\noverlap = 'allow'\nparams = { duration = '0s' }\n",
    );
    let gate = sandbox.write("gate", "");
    let script = format!("while [ -e '{}' ]; do sleep 0.05; done", gate.display());
    let gated = format!("command = ['sh', '-c', \"{script}\"]\n");
    sandbox.write("jobs/gated.toml", &gated);
    sandbox.write("jobs/queued.toml", format!("overlap = 'queue'\n{gated}"));
    sandbox
}

/// Lets the jobs end that wait for it.
fn open(sandbox: &Sandbox) {
    fs::remove_file(sandbox.path().join("gate")).unwrap();
}

/// `json` has all keys that the schema says, and no others.
#[track_caller]
fn assert_shape(json: &Json, schema: &str) {
    let description: Json = serde_json::from_str(DESCRIPTION).unwrap();
    let schema = &description["components"]["schemas"][schema];
    let required = schema["required"].as_array().unwrap().iter();
    let expected: BTreeSet<&str> = required.map(|key| key.as_str().unwrap()).collect();
    let object = json.as_object().unwrap();
    let keys: BTreeSet<&str> = object.keys().map(String::as_str).collect();
    assert_eq!(keys, expected, "{json}");
}

#[test]
fn it_describes_itself() {
    let api = Api::start();
    let served = api.get("/api/v1/openapi.json").json(200);
    let expected: Json = serde_json::from_str(DESCRIPTION).unwrap();
    assert_eq!(served, expected);
}

#[cfg(feature = "real-servers")]
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
    assert!(error.contains("gated"), "{error}");
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
    api.send("POST", path, &[], b"").error(415);
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
    let ids: Vec<Json> = (0..33)
        .map(|_| {
            let id = api.start_run("backup", &json!({}));
            api.run_once(&id, "finished");
            json!(id)
        })
        .rev()
        .collect();
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
    assert_eq!(api.run(&id), run);
    assert_eq!(api.job("backup")["last_run"], run);
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

#[test]
fn health() {
    let api = Api::start();
    let health = api.get("/health").json(200);
    assert_shape(&health, "Health");
    let check = json!({ "status": "ok", "error": null });
    assert_eq!(health["status"], "ok");
    assert_eq!(health["checks"]["state"], check);
    assert_eq!(health["checks"]["scheduler"], check);
    assert!(health["uptime_seconds"].as_f64().unwrap() >= 0.0);
    for path in ["/-/healthy", "/-/ready"] {
        let answer = api.get(path);
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.headers["content-type"].starts_with("text/plain"));
    }
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

#[test]
fn a_page_of_another_site_can_change_nothing() {
    let api = Api::start();
    let (address, path) = (api.address(), "/api/v1/jobs/backup/runs");
    let (_, port) = address.split_once(':').unwrap();
    let (own, local) = (format!("http://{address}"), format!("localhost:{port}"));
    let local_origin = format!("http://{local}");
    for headers in [
        &[][..],
        &[("Origin", own.as_str())],
        &[("Host", &local)],
        &[("Host", &local), ("Origin", &local_origin)],
    ] {
        let all = [&[JSON], headers].concat();
        api.send("POST", path, &all, b"{}").json(202);
        api.send("POST", "/-/reload", &all, b"").json(200);
    }
    let runs = api.runs("backup", "").len();
    // The last ones are what a name that leads here by DNS looks like.
    let rebound = format!("evil.example:{port}");
    let rebound_origin = format!("http://{rebound}");
    for headers in [
        &[("Origin", "http://evil.example")][..],
        &[("Origin", "null")],
        &[("Origin", "http://127.0.0.1:1")],
        &[("Host", "evil.example")],
        &[("Host", &rebound), ("Origin", &rebound_origin)],
    ] {
        let all = [&[JSON], headers].concat();
        api.send("POST", path, &all, b"{}").error(403);
        api.send("POST", "/-/reload", &all, b"").error(403);
    }
    assert_eq!(api.runs("backup", "").len(), runs);
}

#[test]
fn others_can_look_and_change_nothing() {
    let path = "/api/v1/jobs/backup/runs";
    let api = Api::start_on("0.0.0.0", sandbox(), &[]);
    let error = api.post("backup", "{}").error(403);
    assert!(error.contains("--web.enable-lifecycle"), "{error}");
    api.send("POST", "/-/reload", &[], b"").error(403);
    assert_eq!(api.runs("backup", ""), Vec::<Json>::new());
    api.get("/api/v1/jobs").json(200);

    let api = Api::start_on("0.0.0.0", sandbox(), &["--web.enable-lifecycle"]);
    api.start_run("backup", &json!({}));
    api.send("POST", "/-/reload", &[], b"").json(200);
    let foreign = [JSON, ("Origin", "http://evil.example")];
    api.send("POST", path, &foreign, b"{}").error(403);
}

#[test]
fn who_has_a_password_can() {
    let sandbox = sandbox();
    let flag = format!("--web.config.file={}", users(&sandbox).display());
    let api = Api::start_on("0.0.0.0", sandbox, &[&flag]);
    let path = "/api/v1/jobs/backup/runs";
    assert_eq!(api.post("backup", "{}").status, 401);
    assert_eq!(api.get("/api/v1/jobs").status, 401);
    // base64 of me:secret
    let password = ("Authorization", "Basic bWU6c2VjcmV0");
    api.send("POST", path, &[JSON, password], b"{}").json(202);
    api.send("POST", "/-/reload", &[password], b"").json(200);
}

/// A web config file with the user `me`, whose password is `secret`.
fn users(sandbox: &Sandbox) -> PathBuf {
    let hash = bcrypt::hash("secret", 4).unwrap();
    sandbox.write("web.yml", format!("basic_auth_users:\n  me: {hash}\n"))
}
