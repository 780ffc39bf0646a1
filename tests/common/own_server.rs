//! `metricsjob serve`, with the job files of a sandbox.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::{Value as Json, json};

use super::http::Answer;
use super::own_gateway::OwnGateway;
use super::sandbox::Sandbox;
use super::waiting::{eventually, send};

pub const DESCRIPTION: &str = include_str!("../../src/serve/http/openapi.json");

pub const JSON: (&str, &str) = ("Content-Type", "application/json");

/// A script that goes on until [`open`].
pub const GATE: &str = "while [ -e gate ]; do sleep 0.02; done";

/// Runs on a free port of 127.0.0.1 until it is dropped. The job files are in `jobs` of the sandbox, which is
/// its working directory; the state is where all commands of the sandbox have it.
pub struct OwnServer {
    server: OwnGateway,
}

impl Deref for OwnServer {
    type Target = OwnGateway;

    fn deref(&self) -> &OwnGateway {
        &self.server
    }
}

/// `metricsjob serve` with these options, split at blanks, not started yet.
pub fn server_command(sandbox: &Sandbox, options: &str) -> Command {
    let mut command = sandbox.command(["serve"]);
    if !options.contains("--web.listen-address") {
        // As root, which tests are, it would let nobody start anything.
        command.args(["--web.listen-address=127.0.0.1:0", "--web.enable-lifecycle"]);
    }
    command.args(options.split_whitespace());
    command
}

/// The same server, as what becomes of `wrapper`, which has its command line as last arguments.
#[cfg(feature = "real-servers")]
pub fn wrapped(wrapper: &[&str], server: &Command) -> Command {
    let variables = server.get_envs();
    let mut command = Command::new(wrapper[0]);
    command
        .args(&wrapper[1..])
        .arg(server.get_program())
        .args(server.get_args())
        .env_clear()
        .envs(variables.filter_map(|(name, value)| Some((name, value?))))
        .current_dir(server.get_current_dir().unwrap());
    command
}

/// Writes the file of a job that runs a script in `sh`, with these further lines.
pub fn job(sandbox: &Sandbox, name: &str, lines: &str, script: &str) {
    let command = format!("command = ['sh', '-c', '''{script}''']");
    sandbox.write(
        &format!("jobs/{name}.toml"),
        format!("{lines}\n{command}\n"),
    );
}

/// A home with these job files, as name and content.
#[cfg(feature = "real-servers")]
pub fn with_jobs(jobs: &[(impl AsRef<str>, impl AsRef<str>)]) -> Sandbox {
    let sandbox = Sandbox::new();
    for (name, content) in jobs {
        sandbox.write(&format!("jobs/{}.toml", name.as_ref()), content.as_ref());
    }
    sandbox
}

/// A home with jobs: `hello`, `backup` as it is compiled in, but instant, and `gated` and `queued`,
/// which go on until [`open`].
#[cfg(feature = "real-servers")]
pub fn with_examples() -> Sandbox {
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
        "builtin = 'backup'\nprefix = 'db_backup'\noverlap = 'allow'\nparams = { duration = '0s' }\n\
         http_params = ['records', 'failure-rate', 'duration', 'source', 'dest']\n",
    );
    close(&sandbox);
    job(&sandbox, "gated", "", GATE);
    job(&sandbox, "queued", "overlap = 'queue'", GATE);
    sandbox
}

/// The log of a server has no errors.
#[track_caller]
pub fn assert_no_errors(log: &str) {
    let lines = log.lines();
    let errors: Vec<_> = lines.filter(|line| line.contains("level=error")).collect();
    assert!(errors.is_empty(), "{errors:#?}\n{log}");
}

/// From now on [`GATE`] does not end.
pub fn close(sandbox: &Sandbox) {
    sandbox.write("gate", "");
}

/// Ends [`GATE`].
pub fn open(sandbox: &Sandbox) {
    std::fs::remove_file(sandbox.path().join("gate")).unwrap();
}

/// The runs of the job called `name`, the newest last.
#[track_caller]
pub fn history(sandbox: &Sandbox, name: &str) -> Vec<Json> {
    let mut runs = sandbox.history();
    runs.retain(|run| run["name"] == name);
    runs
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

/// The id of a run.
pub fn id(run: &Json) -> &str {
    run["run_id"].as_str().unwrap()
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

impl OwnServer {
    /// Starts it with these options, split at blanks, and waits until it listens.
    #[track_caller]
    pub fn start(sandbox: &Sandbox, options: &str) -> Self {
        OwnServer::start_command(server_command(sandbox, options))
    }

    /// The same, by a command whose stderr is the server's.
    #[track_caller]
    pub fn start_command(command: Command) -> Self {
        OwnServer {
            server: OwnGateway::start_command(command),
        }
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.exchange("GET", path, &[], "")
    }

    /// Asks for a run of `job` with this body.
    #[track_caller]
    pub fn post(&self, job: &str, body: impl AsRef<[u8]>) -> Answer {
        let path = format!("/api/v1/jobs/{job}/runs");
        self.exchange("POST", &path, &[JSON], body)
    }

    /// The JSON of an answer with this status.
    #[track_caller]
    pub fn json(&self, status: u16, method: &str, path: &str) -> Json {
        let answer = self.exchange(method, path, &[], "");
        let body = &answer.body;
        assert_eq!(answer.status, status, "{path}: {body}\n{}", self.log());
        answer.json(status)
    }

    #[track_caller]
    pub fn job(&self, name: &str) -> Json {
        self.json(200, "GET", &format!("/api/v1/jobs/{name}"))
    }

    /// Asks for a run of `job`, which is accepted; returns its id.
    #[track_caller]
    pub fn ask(&self, job: &str) -> String {
        self.ask_with(job, &json!({}))
    }

    /// The same with what a request may change of a run. It is no other than the one that `Location` names.
    #[track_caller]
    pub fn ask_with(&self, job: &str, changes: &Json) -> String {
        let answer = self.post(job, changes.to_string());
        let run = answer.json(202);
        assert_shape(&run, "Run");
        assert_eq!(
            (&run["name"], &run["status"]),
            (&json!(job), &json!("queued"))
        );
        let id = id(&run).to_owned();
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        assert!(id.len() == 16 && id.bytes().all(is_hex), "{id}");
        assert_eq!(answer.headers["location"], format!("/api/v1/runs/{id}"));
        id
    }

    /// Asks for a run of `job`, which is refused; returns why.
    #[track_caller]
    pub fn is_refused(&self, status: u16, job: &str) -> String {
        self.post(job, "{}").error(status)
    }

    /// The run as it is now.
    #[track_caller]
    pub fn run_now(&self, id: &str) -> Json {
        self.json(200, "GET", &format!("/api/v1/runs/{id}"))
    }

    /// The run once it is `status`.
    #[track_caller]
    pub fn run_once(&self, id: &str, status: &str) -> Json {
        let mut run = json!(null);
        eventually(&format!("{id} is {status}"), || {
            run = self.run_now(id);
            run["status"] == status
        });
        run
    }

    /// Asks for a run of `job`, and waits for its end.
    #[track_caller]
    pub fn run(&self, job: &str) -> Json {
        self.run_once(&self.ask(job), "finished")
    }

    /// The same with what a request may change of a run.
    #[cfg(feature = "real-servers")]
    #[track_caller]
    pub fn run_with(&self, job: &str, changes: &Json) -> Json {
        self.run_once(&self.ask_with(job, changes), "finished")
    }

    /// The runs of `job` that are listed.
    #[cfg(feature = "real-servers")]
    #[track_caller]
    pub fn listed(&self, job: &str, query: &str) -> Vec<Json> {
        let path = format!("/api/v1/jobs/{job}/runs{query}");
        let runs = self.json(200, "GET", &path);
        assert_shape(&runs, "Runs");
        runs["runs"].as_array().unwrap().clone()
    }

    /// A series of `/metrics`, if it is there.
    #[track_caller]
    pub fn sample(&self, series: &str) -> Option<f64> {
        self.samples(series).get(series).copied()
    }

    /// Waits until the series has the value `expected`.
    #[track_caller]
    pub fn shows(&self, series: &str, expected: f64) {
        eventually(&format!("{series} {expected}\n{}", self.log()), || {
            self.sample(series) == Some(expected)
        });
    }

    /// The sum of all series with this name.
    #[track_caller]
    pub fn sum(&self, name: &str) -> f64 {
        self.samples(&format!("{name}{{")).values().sum()
    }

    /// How many runs of `job` ended so, with any grouping key.
    #[track_caller]
    pub fn runs(&self, job: &str, outcome: &str) -> f64 {
        let labels = [
            format!("job_name=\"{job}\""),
            format!("outcome=\"{outcome}\""),
        ];
        let samples = self.samples("batch_job_runs_total{");
        let counts =
            (samples.iter()).filter(|(series, _)| labels.iter().all(|of| series.contains(of)));
        counts.map(|(_, count)| count).sum()
    }

    #[track_caller]
    pub fn eventually_runs(&self, job: &str, outcome: &str, at_least: u32) {
        eventually(&format!("{at_least} {outcome} of {job}"), || {
            self.runs(job, outcome) >= f64::from(at_least)
        });
    }

    /// Has it read the job files again; returns the answer.
    #[track_caller]
    pub fn reload(&self) -> Json {
        let answer = self.json(200, "POST", "/-/reload");
        assert_shape(&answer, "Reload");
        answer
    }

    pub fn signal(&self, signal: Signal) {
        send(self.pid(), signal);
    }

    /// Ends it by SIGTERM, which must be well. Returns its log.
    #[track_caller]
    pub fn end(mut self) -> String {
        let code = self.server.terminate();
        assert_eq!(code, Some(0), "{}", self.log());
        self.log()
    }

    /// Waits until it ends by itself, which must be well. Returns its log.
    #[track_caller]
    pub fn ended(mut self) -> String {
        let code = self.server.wait();
        assert_eq!(code, Some(0), "{}", self.log());
        self.log()
    }
}
