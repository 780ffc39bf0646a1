//! The web config file, in the format of Prometheus' exporter-toolkit, reloaded while a server is running.
//!
//! - `yaml`: its syntax; `file`: its keys; `error`: problems in them.
//! - `http`: its headers, users and rate limit.
//! - `tls`: TLS; `client_auth`: client certificates.
//! - `files`: detection of changes to files.
//!
//! The source is `docs/web-configuration.md` and `web/*.go` of exporter-toolkit at v0.17.1. Unlike there,
//! settings that would have no effect are an error.

mod client_auth;
mod error;
mod file;
mod files;
mod http;
mod tls;
mod yaml;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info};

use super::gate::Gate;
use super::users::Checker;
pub use error::{ConfigError, Problem};
use files::Files;
use metricsjob_system::panics::locked;
use metricsjob_system::trust;

/// Interval between two checks for changed files.
const LOOKED_EVERY: Duration = Duration::from_secs(1);

/// A web config file and its current contents.
pub struct Config {
    path: PathBuf,
    is_tls: bool,
    checker: Arc<Checker>,
    current: RwLock<Current>,
    /// The files that the last attempt read, even if it could not use them.
    files: Mutex<Files>,
}

/// Settings currently in force. TLS cannot be switched on or off by a change.
struct Current {
    tls: Option<ServerTls>,
    gate: Option<Arc<Gate>>,
}

/// Settings for a TLS handshake.
#[derive(Clone)]
pub struct ServerTls {
    pub config: Arc<ServerConfig>,
    /// True if each client has to present a certificate, which is verified.
    pub knows_clients: bool,
}

impl Config {
    /// Reads the file and all files that it names.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let checker = Arc::new(Checker::new());
        let mut files = Files::default();
        let current = read(path, &checker, &mut files)?;
        Ok(Config {
            path: path.to_owned(),
            is_tls: current.tls.is_some(),
            checker,
            current: RwLock::new(current),
            files: Mutex::new(files),
        })
    }

    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// Returns the TLS settings for the next handshake.
    pub fn tls(&self) -> Option<ServerTls> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.tls.clone()
    }

    /// Returns the rules for the next request.
    pub fn gate(&self) -> Option<Arc<Gate>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.gate.clone()
    }

    /// Checks for changed files periodically, until the future is dropped.
    pub async fn watch(self: Arc<Self>) {
        let mut ticks = interval(LOOKED_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let config = Arc::clone(&self);
            // A file system can be slow. After a panic, the next check may succeed.
            let _ = tokio::task::spawn_blocking(move || config.look()).await;
        }
    }

    fn look(&self) {
        let mut files = locked(&self.files);
        if !files.have_changed() {
            return;
        }
        let mut read_files = Files::default();
        let path = self.path.display();
        let kept = "Could not use the changed web config file; what it said before stays in force";
        match read(&self.path, &self.checker, &mut read_files) {
            Ok(new) if new.tls.is_some() != self.is_tls => {
                let reason = if self.is_tls {
                    "it has no TLS any more: that takes a restart"
                } else {
                    "it has TLS now: that takes a restart"
                };
                error!(file = %path, err = reason, "{kept}");
            }
            Ok(new) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
                info!(file = %path, "Reloaded the web config file");
            }
            Err(error) => error!(file = %path, err = %error, "{kept}"),
        }
        *files = read_files;
    }
}

fn read(path: &Path, checker: &Arc<Checker>, files: &mut Files) -> Result<Current, ConfigError> {
    let bytes = trust::check_for_root(path).and_then(|()| files.read(path));
    let bytes = bytes.map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })?;
    let dir = path.parent().unwrap_or(Path::new(""));
    interpreted(&bytes, dir, checker, files).map_err(|(problem, place)| problem.at(path, place))
}

fn interpreted(
    bytes: &[u8],
    dir: &Path,
    checker: &Arc<Checker>,
    files: &mut Files,
) -> Result<Current, error::Placed> {
    let text = str::from_utf8(bytes).map_err(|_| {
        let problem = Problem::Yaml("it is not UTF-8".into());
        (problem, None)
    })?;
    let file = file::parse(text)?;
    let tls = match &file.tls_server_config {
        Some(section) => tls::server_config(section, dir, files)?,
        None => None,
    };
    let gate = http::gate(&file, checker)?;
    let policy =
        (file.tls_server_config.as_ref()).and_then(|tls| tls.value.client_auth_type.as_ref());
    let knows_clients = policy.is_some_and(|policy| policy.value == "RequireAndVerifyClientCert");
    Ok(Current {
        tls: tls.map(|config| ServerTls {
            config: Arc::new(config),
            knows_clients,
        }),
        gate: (!gate.is_open()).then(|| Arc::new(gate)),
    })
}

#[cfg(test)]
mod tests;
