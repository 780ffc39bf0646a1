//! `metricsjob serve`, asked over its HTTP API.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use serde_json::{Value as Json, json};

use super::own_gateway::OwnGateway;
use super::{Sandbox, eventually};

pub const DESCRIPTION: &str = include_str!("../../src/serve/http/openapi.json");

pub const JSON: (&str, &str) = ("Content-Type", "application/json");

/// A server on a free port, with the job files of a sandbox.
pub struct Api {
    pub server: OwnGateway,
    pub sandbox: Sandbox,
}

pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Api {
    pub fn start() -> Self {
        Api::start_in(sandbox(), &[])
    }

    /// On a free port of 127.0.0.1, with further flags.
    pub fn start_in(sandbox: Sandbox, flags: &[&str]) -> Self {
        Api::start_on("127.0.0.1", sandbox, flags)
    }

    pub fn start_on(host: &str, sandbox: Sandbox, flags: &[&str]) -> Self {
        let command = serve(&sandbox, host, flags);
        Api::start_command(command, sandbox)
    }

    /// By a command of [`serve`], or one that becomes it.
    pub fn start_command(mut command: Command, sandbox: Sandbox) -> Self {
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        Api {
            server: OwnGateway::start_command(command),
            sandbox,
        }
    }

    /// Where it can be reached from here.
    pub fn address(&self) -> String {
        self.server.address().replace("0.0.0.0", "127.0.0.1")
    }

    /// HTTP 1.0, so that the body ends with the connection.
    #[track_caller]
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
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
    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    /// A run of `job` is asked for with this body.
    #[track_caller]
    pub fn post(&self, job: &str, body: impl AsRef<[u8]>) -> Answer {
        let path = format!("/api/v1/jobs/{job}/runs");
        self.send("POST", &path, &[JSON], body.as_ref())
    }

    /// A run of `job`, which is accepted, and is no other than the one that `Location` names.
    #[track_caller]
    pub fn start_run(&self, job: &str, body: &Json) -> String {
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
    pub fn job(&self, name: &str) -> Json {
        self.get(&format!("/api/v1/jobs/{name}")).json(200)
    }

    #[track_caller]
    pub fn run(&self, id: &str) -> Json {
        self.get(&format!("/api/v1/runs/{id}")).json(200)
    }

    /// The run once it is `status`.
    #[track_caller]
    pub fn run_once(&self, id: &str, status: &str) -> Json {
        eventually(&format!("{id} is {status}"), || {
            self.run(id)["status"] == status
        });
        self.run(id)
    }

    #[track_caller]
    pub fn runs(&self, job: &str, query: &str) -> Vec<Json> {
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
    pub fn json(&self, status: u16) -> Json {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.headers["content-type"], "application/json");
        serde_json::from_str(&self.body).unwrap()
    }

    /// What it says is wrong.
    #[track_caller]
    pub fn error(&self, status: u16) -> String {
        let json = self.json(status);
        assert_shape(&json, "Error");
        let error = json["error"].as_str().unwrap();
        assert!(!error.is_empty());
        error.to_owned()
    }
}

/// `metricsjob serve` on a free port of `host`, not started yet.
pub fn serve(sandbox: &Sandbox, host: &str, flags: &[&str]) -> Command {
    let mut command = sandbox.command(["serve", "--jobs-dir", "jobs", "--state-dir", "state"]);
    command
        .arg(format!("--web.listen-address={host}:0"))
        .args(flags);
    command
}

/// A home with jobs: `hello`, `backup` as it is compiled in, but instant, and `gated` and `queued`,
/// which go on until [`open`] is called.
pub fn sandbox() -> Sandbox {
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
pub fn open(sandbox: &Sandbox) {
    fs::remove_file(sandbox.path().join("gate")).unwrap();
}

/// `json` has all keys that the schema says, and no others.
#[track_caller]
pub fn assert_shape(json: &Json, schema: &str) {
    let description: Json = serde_json::from_str(DESCRIPTION).unwrap();
    let schema = &description["components"]["schemas"][schema];
    let required = schema["required"].as_array().unwrap().iter();
    let expected: BTreeSet<&str> = required.map(|key| key.as_str().unwrap()).collect();
    let object = json.as_object().unwrap();
    let keys: BTreeSet<&str> = object.keys().map(String::as_str).collect();
    assert_eq!(keys, expected, "{json}");
}
