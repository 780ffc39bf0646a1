//! `metricsjob serve`, with the job files of a sandbox.

use std::ops::Deref;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use serde_json::{Value as Json, json};

use super::own_gateway::OwnGateway;
use super::sandbox::Sandbox;
use super::waiting::{eventually, send};

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
    let mut command = sandbox.command(["serve", "--web.listen-address=127.0.0.1:0"]);
    command
        .args(options.split_whitespace())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
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

/// From now on [`GATE`] does not end.
pub fn close(sandbox: &Sandbox) {
    sandbox.write("gate", "");
}

/// Ends [`GATE`].
pub fn open(sandbox: &Sandbox) {
    std::fs::remove_file(sandbox.path().join("gate")).unwrap();
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

    /// The JSON of an answer with this status.
    #[track_caller]
    pub fn json(&self, status: u16, method: &str, path: &str) -> Json {
        let (got, body) = self.request(method, path, &[], "");
        assert_eq!(got, status, "{method} {path}: {body}\n{}", self.log());
        serde_json::from_str(&body).unwrap()
    }

    #[track_caller]
    pub fn job(&self, name: &str) -> Json {
        self.json(200, "GET", &format!("/api/v1/jobs/{name}"))
    }

    /// Asks for a run of `job`, which is accepted; returns its id.
    #[track_caller]
    pub fn ask(&self, job: &str) -> String {
        let run = self.json(202, "POST", &format!("/api/v1/jobs/{job}/runs"));
        run["run_id"].as_str().unwrap().to_owned()
    }

    /// Asks for a run of `job`, which is refused; returns why.
    #[track_caller]
    pub fn is_refused(&self, status: u16, job: &str) -> String {
        let answer = self.json(status, "POST", &format!("/api/v1/jobs/{job}/runs"));
        answer["error"].as_str().unwrap().to_owned()
    }

    /// The run once it is `status`.
    #[track_caller]
    pub fn run_once(&self, id: &str, status: &str) -> Json {
        let mut run = json!(null);
        eventually(&format!("{id} is {status}"), || {
            run = self.json(200, "GET", &format!("/api/v1/runs/{id}"));
            run["status"] == status
        });
        run
    }

    /// Asks for a run of `job`, and waits for its end.
    #[track_caller]
    pub fn run(&self, job: &str) -> Json {
        self.run_once(&self.ask(job), "finished")
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

    /// How many runs of `job` ended so.
    #[track_caller]
    pub fn runs(&self, job: &str, outcome: &str) -> f64 {
        let series = format!("batch_job_runs_total{{job_name=\"{job}\",outcome=\"{outcome}\"}}");
        self.sample(&series).unwrap_or_default()
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
        self.json(200, "POST", "/-/reload")
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
