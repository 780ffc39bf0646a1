//! Our own gateway, as `metricsjob gateway`.

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

#[cfg(feature = "real-servers")]
use super::Port;
use super::gateway::{Samples, chosen_samples, of_job};
use super::process::Process;
use super::program::{US, environment, isolate};
use super::waiting::kib;

/// Runs on a free port of 127.0.0.1 until it is dropped.
pub struct OwnGateway {
    process: Process,
    _dir: Option<TempDir>,
}

impl Deref for OwnGateway {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for OwnGateway {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// `metricsjob gateway`, not started yet, with its state in `dir`.
pub fn gateway_command(dir: &Path, flags: &[&str]) -> Command {
    gateway_command_on("127.0.0.1:0", dir, flags)
}

fn gateway_command_on(address: &str, dir: &Path, flags: &[&str]) -> Command {
    let mut command = Command::new(US);
    command
        .args(["gateway", "--state-dir"])
        .arg(dir)
        .arg(format!("--web.listen-address={address}"))
        .args(flags)
        .env_clear()
        .envs(environment(dir))
        .stdin(Stdio::null());
    isolate(&mut command);
    command
}

impl OwnGateway {
    /// Starts it with its state in `dir`, and waits until it listens.
    #[track_caller]
    pub fn start(dir: &Path, flags: &[&str]) -> Self {
        OwnGateway::start_command(gateway_command(dir, flags))
    }

    /// Starts it on a port that stays when the gateway has gone, for the next one.
    #[cfg(feature = "real-servers")]
    #[track_caller]
    pub fn start_on(port: &Port, dir: &Path) -> Self {
        OwnGateway::start_command(gateway_command_on(&port.address(), dir, &[]))
    }

    /// The same, with its state in a directory of its own.
    #[track_caller]
    pub fn alone(flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut gateway = OwnGateway::start(dir.path(), flags);
        gateway._dir = Some(dir);
        gateway
    }

    /// The same, by a command whose stderr is the gateway's.
    #[track_caller]
    pub fn start_command(mut command: Command) -> Self {
        OwnGateway {
            process: Process::listening(&mut command),
            _dir: None,
        }
    }

    /// How much memory it has, in MiB.
    pub fn resident_mib(&self) -> u64 {
        kib(self.pid(), "VmRSS") / 1024
    }

    /// The most memory that it has had, in MiB.
    pub fn peak_mib(&self) -> u64 {
        kib(self.pid(), "VmHWM") / 1024
    }

    /// The status and the body of the answer.
    #[track_caller]
    pub fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> (u16, String) {
        let answer = self.exchange(method, path, headers, body);
        (answer.status, answer.body)
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> (u16, String) {
        self.request("GET", path, &[], "")
    }

    /// Pushes, which must be acknowledged.
    #[track_caller]
    pub fn put(&self, path: &str, body: impl AsRef<[u8]>) {
        let (status, text) = self.request("PUT", path, &[], body);
        assert_eq!(status, 200, "{path}: {text}\n{}", self.log());
    }

    /// The text of `/metrics`.
    #[track_caller]
    pub fn metrics(&self) -> String {
        let (status, text) = self.get("/metrics");
        assert_eq!(status, 200, "{text}");
        text
    }

    /// The samples of `/metrics` whose names start with `prefix`.
    #[track_caller]
    pub fn samples(&self, prefix: &str) -> Samples {
        chosen_samples(&self.metrics(), |series| series.starts_with(prefix))
    }

    /// The value of [`of_job`].
    #[track_caller]
    pub fn value(&self, job: &str, series: &str) -> Option<f64> {
        let series = of_job(job, series);
        self.samples(&series).get(&series).copied()
    }

    /// The one sample of this name without labels.
    #[track_caller]
    pub fn own(&self, name: &str) -> f64 {
        self.samples(name)[name]
    }
}
