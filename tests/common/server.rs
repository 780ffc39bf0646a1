//! Servers, ours and real ones, each on a free port of 127.0.0.1, ended with the test.

use std::ops::Deref;
use std::process::Command;

use tempfile::TempDir;

use super::gateway::{Samples, exposed_samples, of_job};
use super::own_gateway::gateway_command;
use super::process::{PATIENCE, Process};
use super::waiting::awaited;
#[cfg(feature = "real-servers")]
use {super::port::Port, std::path::Path};

pub struct Server {
    process: Process,
    _dir: TempDir,
}

impl Deref for Server {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl Server {
    /// `metricsjob gateway` with further flags, in a home and with a state directory of its own.
    pub fn gateway(flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Server::start(&mut gateway_command(dir.path(), flags), dir).ready()
    }

    /// Starts a server that works in `dir`.
    fn start(command: &mut Command, dir: TempDir) -> Self {
        Server {
            process: Process::listening(command.current_dir(dir.path())),
            _dir: dir,
        }
    }

    fn ready(self) -> Self {
        self.wait_for("/-/ready", |_| true);
        self
    }

    /// The body of a page that answers 200.
    pub fn get(&self, path: &str) -> String {
        let (status, body) = self.request("GET", path, "");
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Series that were pushed to a Pushgateway, with the push times.
    pub fn samples(&self) -> Samples {
        exposed_samples(&self.get("/metrics"))
    }

    /// The value of [`of_job`].
    pub fn value(&self, job: &str, series: &str) -> Option<f64> {
        self.samples().get(&of_job(job, series)).copied()
    }

    /// Status and body of an answer.
    pub fn request(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let answer = self.exchange(method, path, &[], body);
        (answer.status, answer.body)
    }

    /// Asks for `path` until it answers 200 with a body that is `wanted`, and returns that.
    pub fn wait_for(&self, path: &str, wanted: impl Fn(&str) -> bool) -> String {
        awaited(PATIENCE, || {
            let (status, body) = self.request("GET", path, "");
            if status == 200 && wanted(&body) {
                return Ok(body);
            }
            Err(format!("{path} still shows: {status} {body}"))
        })
    }
}

#[cfg(feature = "real-servers")]
impl Server {
    /// `prometheus-pushgateway` with further flags.
    pub fn pushgateway(flags: &[&str]) -> Self {
        Server::listening_pushgateway("127.0.0.1:0", flags).ready()
    }

    /// The same on a port that stays when the server has gone, for the next one.
    pub fn pushgateway_on(port: &Port) -> Self {
        Server::listening_pushgateway(&port.address(), &[]).ready()
    }

    /// `prometheus-pushgateway` with the TLS and the users of this web configuration file. What else
    /// is known of a server here speaks plain HTTP, and is of no use for it.
    pub fn secured_pushgateway(web_config: &Path) -> Self {
        let config = web_config.display();
        Server::listening_pushgateway("127.0.0.1:0", &[&format!("--web.config.file={config}")])
    }

    fn listening_pushgateway(address: &str, flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("prometheus-pushgateway");
        command
            .arg(format!("--web.listen-address={address}"))
            // Debian's keeps its groups in a file of the system by default.
            .arg("--persistence.file=")
            .args(flags);
        Server::start(&mut command, dir)
    }

    /// `prometheus` with this configuration file.
    pub fn prometheus(config: &Path) -> Self {
        Server::prometheus_with(config, &[])
    }

    /// The same with further flags.
    pub fn prometheus_with(config: &Path, flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("prometheus");
        command
            .arg("--web.listen-address=127.0.0.1:0")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().display()))
            .args(flags);
        Server::start(&mut command, dir).ready()
    }

    /// `prometheus-node-exporter` with the textfile collector alone, of this directory.
    pub fn node_exporter(dir: &Path) -> Process {
        let mut command = Command::new("prometheus-node-exporter");
        command
            .args([
                "--web.listen-address=127.0.0.1:0",
                "--collector.disable-defaults",
            ])
            .args(["--collector.textfile", "--web.disable-exporter-metrics"])
            .arg(format!("--collector.textfile.directory={}", dir.display()));
        Process::listening(&mut command)
    }

    /// `prometheus-alertmanager` with this configuration file, and nobody beside it.
    pub fn alertmanager(config: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("prometheus-alertmanager");
        command
            .arg("--web.listen-address=127.0.0.1:0")
            .arg("--cluster.listen-address=")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", dir.path().display()));
        Server::start(&mut command, dir).ready()
    }

    pub fn port(&self) -> &str {
        self.address().rsplit(':').next().unwrap()
    }
}
