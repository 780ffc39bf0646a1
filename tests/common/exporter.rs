//! `metricsjob serve` on a free port, with the job files of a sandbox.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use serde_json::Value as Json;

use super::own_gateway::OwnGateway;
use super::sandbox::Sandbox;
use super::server::PATIENCE;
use super::waiting::eventually;

/// It ends with the test.
pub struct Exporter {
    pub server: OwnGateway,
    pub sandbox: Sandbox,
}

/// The answer to a request.
pub struct Page {
    pub status: u16,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Page {
    #[track_caller]
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

impl Exporter {
    /// With these job files, as name and content, and further flags.
    #[track_caller]
    pub fn start(jobs: &[(&str, &str)], flags: &[&str]) -> Self {
        Exporter::start_in(Sandbox::new(), jobs, flags)
    }

    #[track_caller]
    pub fn start_in(sandbox: Sandbox, jobs: &[(&str, &str)], flags: &[&str]) -> Self {
        std::fs::create_dir_all(sandbox.path().join("jobs")).unwrap();
        for (name, content) in jobs {
            sandbox.write(&format!("jobs/{name}.toml"), content);
        }
        let mut command = sandbox.command(["serve", "--jobs-dir=jobs"]);
        if !flags.iter().any(|flag| flag.contains("listen-address")) {
            command.arg("--web.listen-address=127.0.0.1:0");
        }
        command
            .args(flags)
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        Exporter {
            server: OwnGateway::start_command(command),
            sandbox,
        }
    }

    /// HOST:PORT, reached from here.
    pub fn address(&self) -> String {
        let (_, port) = self.server.address().rsplit_once(':').unwrap();
        format!("127.0.0.1:{port}")
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// HTTP 1.0, so that the body ends with the connection.
    #[track_caller]
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Page {
        let address = self.address();
        let length = body.len();
        let mut head =
            format!("{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {length}\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
            .write_all(format!("{head}\r\n{body}").as_bytes())
            .unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
        let body = answer.split_off(end + 4);
        let head = String::from_utf8(answer).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap();
        let headers = lines.filter_map(|line| line.split_once(": "));
        Page {
            status: status.parse().unwrap(),
            headers: headers
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect(),
            body,
        }
    }

    /// An answer of 200.
    #[track_caller]
    pub fn get(&self, path: &str, headers: &[(&str, &str)]) -> Page {
        let page = self.request("GET", path, headers, "");
        assert_eq!(page.status, 200, "{path}\n{}", self.server.log());
        page
    }

    /// The text of `/metrics`.
    #[track_caller]
    pub fn metrics(&self) -> String {
        self.get("/metrics", &[]).text()
    }

    /// Starts a run of `job` and waits until it is over: the run as the API tells it.
    #[track_caller]
    pub fn run(&self, job: &str) -> Json {
        self.run_with(job, "{}")
    }

    /// The same with what a request may change of a run.
    #[track_caller]
    pub fn run_with(&self, job: &str, changes: &str) -> Json {
        let json = [("Content-Type", "application/json")];
        let path = format!("/api/v1/jobs/{job}/runs");
        let answer = self.request("POST", &path, &json, changes);
        assert_eq!(answer.status, 202, "{job}: {}", answer.text());
        let path = answer.headers["location"].clone();
        let mut run = Json::Null;
        eventually(&format!("the run of {job} is over"), || {
            run = serde_json::from_str(&self.get(&path, &[]).text()).unwrap();
            run["status"] == "finished"
        });
        run
    }

    /// Ends it by SIGTERM, and returns its exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        self.server.terminate()
    }
}
