//! Pushes of a batch job's metrics.

#[cfg(feature = "tls")]
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use metricsjob_metrics::check::CheckError;
use metricsjob_metrics::{Family, GroupingKey, GroupingKeyError, Method, Push};

use crate::credentials::{Authorization, CredentialsError, Secret};
use crate::encoding::{Compression, Format};
use crate::{Connection, GatewayUrl, GatewayUrlError, HttpError, HttpGateway, Retries, Stop};

/// Pushes metrics to one group of a Pushgateway, or deletes that.
///
/// [`push`](Self::push), [`add`](Self::add) and [`delete`](Self::delete) block until the gateway has answered. They
/// work anywhere, also within a tokio runtime and in a `Drop`: each makes a thread and a runtime of its own. The
/// same with `_async` run in the runtime that awaits them, which must be one of tokio with its I/O and time enabled.
///
/// Nothing is registered with the process: no signal handler, no panic hook, no logger.
#[derive(Debug, Clone)]
pub struct Pusher {
    url: GatewayUrl,
    key: GroupingKey,
    connection: Connection,
    retry_window: Duration,
    families: Vec<Family>,
    #[cfg(feature = "prometheus")]
    registries: Vec<prometheus::Registry>,
}

/// The reason why a [`Pusher`] could not be set up, or did not do what it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PusherError {
    /// The URL cannot be used.
    #[error(transparent)]
    Url(#[from] GatewayUrlError),
    /// The job's name or a label cannot be in a grouping key.
    #[error(transparent)]
    GroupingKey(#[from] GroupingKeyError),
    /// The credentials cannot be sent in a header.
    #[error("the credentials cannot be used: {0}")]
    Credentials(#[from] CredentialsError),
    /// The file with the authorities to trust cannot be read or used.
    #[cfg(feature = "tls")]
    #[error("{} cannot be used: {reason}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why it cannot be used.
        reason: String,
    },
    /// The metrics are inconsistent, so that a Pushgateway would refuse them.
    #[error(transparent)]
    Metrics(#[from] CheckError),
    /// The request failed, or the gateway refused it.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// No thread could be started, or it panicked.
    #[error("the push could not be made: {0}")]
    Thread(String),
}

/// A request to the group.
#[derive(Clone, Copy)]
enum PusherAction {
    Push(Method),
    Delete,
}

impl Pusher {
    /// A pusher to the gateway at `url`, such as `http://pushgateway:9091`, in the name of `job`.
    ///
    /// # Errors
    ///
    /// The URL cannot be used, or the job's name is empty.
    pub fn new(url: &str, job: impl Into<String>) -> Result<Self, PusherError> {
        Ok(Pusher {
            url: GatewayUrl::parse(url)?,
            key: GroupingKey::new(job, [])?,
            connection: Connection::default(),
            retry_window: Duration::ZERO,
            families: Vec::new(),
            #[cfg(feature = "prometheus")]
            registries: Vec::new(),
        })
    }

    /// Adds a label to the grouping key, beside `job`.
    ///
    /// # Errors
    ///
    /// The name is none of a label, `job`, or given twice.
    pub fn grouping(
        mut self,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Self, PusherError> {
        let known = self.key.labels().iter();
        let labels = known.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let labels = labels.chain([(name.into(), value.into())]);
        self.key = GroupingKey::new(self.key.job(), labels)?;
        Ok(self)
    }

    /// Pushes what `registry` holds at the time of each push.
    #[cfg(feature = "prometheus")]
    #[must_use]
    pub fn registry(mut self, registry: &prometheus::Registry) -> Self {
        self.registries.push(registry.clone());
        self
    }

    /// Pushes these families too.
    #[must_use]
    pub fn families(mut self, families: impl IntoIterator<Item = Family>) -> Self {
        self.families.extend(families);
        self
    }

    /// Sends user and password by HTTP basic authentication (RFC 7617).
    ///
    /// # Errors
    ///
    /// They have a control character in them.
    pub fn basic_auth(mut self, user: &str, password: &str) -> Result<Self, PusherError> {
        let secret = Secret::from(format!("{user}:{password}"));
        let authorization = Authorization::basic(&secret, "the pusher".into())?;
        self.connection.authorization = Some(authorization);
        Ok(self)
    }

    /// Sends a bearer token (RFC 6750).
    ///
    /// # Errors
    ///
    /// It is empty, or has a character in it that a token has not.
    pub fn bearer_token(mut self, token: impl Into<String>) -> Result<Self, PusherError> {
        let secret = Secret::from(token.into());
        let authorization = Authorization::bearer(&secret, "the pusher".into())?;
        self.connection.authorization = Some(authorization);
        Ok(self)
    }

    /// Trusts the authorities whose certificates are in the PEM file at `path`, and no others.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or holds no certificate that can be used.
    #[cfg(feature = "tls")]
    pub fn ca_file(mut self, path: impl AsRef<Path>) -> Result<Self, PusherError> {
        let path = path.as_ref();
        let failure = |reason: String| PusherError::CaFile {
            path: path.to_owned(),
            reason,
        };
        let pem = std::fs::read(path).map_err(|error| failure(error.to_string()))?;
        let trusted = self.connection.tls.trust(pem);
        trusted.map_err(|error| failure(error.to_string()))?;
        Ok(self)
    }

    /// Waits at most so long for a connection; 5 s unless it is set.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connection.timeouts.connect = timeout;
        self
    }

    /// Waits at most so long for a complete response, the connection included; 10 s unless it is set.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.connection.timeouts.total = timeout;
        self
    }

    /// Tries again after a failure that may pass, for so long from the first one on, with growing waits or those that
    /// the gateway asks for (`Retry-After`). Unless it is set, a request is made once.
    #[must_use]
    pub fn retry_for(mut self, window: Duration) -> Self {
        self.retry_window = window;
        self
    }

    /// Compresses what it sends by gzip.
    #[must_use]
    pub fn gzip(mut self) -> Self {
        self.connection.encoding.compression = Compression::Gzip;
        self
    }

    /// Sends the protobuf format in place of the text format.
    #[must_use]
    pub fn protobuf(mut self) -> Self {
        self.connection.encoding.format = Format::Protobuf;
        self
    }

    /// Replaces the group: what was in it before is gone (PUT).
    ///
    /// # Errors
    ///
    /// The metrics are inconsistent, or the gateway was not reached or refused them.
    pub fn push(&self) -> Result<(), PusherError> {
        self.block_on(PusherAction::Push(Method::Put))
    }

    /// Replaces the metrics of the same name in the group, and leaves others in it (POST).
    ///
    /// # Errors
    ///
    /// Fails as [`push`](Self::push) does.
    pub fn add(&self) -> Result<(), PusherError> {
        self.block_on(PusherAction::Push(Method::Post))
    }

    /// Deletes the group. It is no error if there is none.
    ///
    /// # Errors
    ///
    /// The gateway was not reached or refused it.
    pub fn delete(&self) -> Result<(), PusherError> {
        self.block_on(PusherAction::Delete)
    }

    /// Does what [`push`](Self::push) does, without blocking the thread.
    ///
    /// # Errors
    ///
    /// Fails as [`push`](Self::push) does.
    pub async fn push_async(&self) -> Result<(), PusherError> {
        self.send(PusherAction::Push(Method::Put)).await
    }

    /// Does what [`add`](Self::add) does, without blocking the thread.
    ///
    /// # Errors
    ///
    /// Fails as [`push`](Self::push) does.
    pub async fn add_async(&self) -> Result<(), PusherError> {
        self.send(PusherAction::Push(Method::Post)).await
    }

    /// Does what [`delete`](Self::delete) does, without blocking the thread.
    ///
    /// # Errors
    ///
    /// Fails as [`delete`](Self::delete) does.
    pub async fn delete_async(&self) -> Result<(), PusherError> {
        self.send(PusherAction::Delete).await
    }

    fn block_on(&self, action: PusherAction) -> Result<(), PusherError> {
        // A runtime cannot be entered from within another, which the caller may be in.
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new()
                .name("pusher".into())
                .spawn_scoped(scope, || {
                    let runtime = crate::call::Runtime::new();
                    let runtime = runtime.map_err(|error| HttpError::Setup(error.to_string()))?;
                    runtime.block_on(self.send(action))
                });
            let thread = thread.map_err(|error| PusherError::Thread(error.to_string()))?;
            let panicked = || PusherError::Thread("a panic".into());
            thread.join().unwrap_or_else(|_| Err(panicked()))
        })
    }

    async fn send(&self, action: PusherAction) -> Result<(), PusherError> {
        let push = match action {
            PusherAction::Push(method) => Some(Push::new(
                self.key.clone(),
                method,
                self.gathered(),
                SystemTime::now(),
            )?),
            PusherAction::Delete => None,
        };
        let gateway = HttpGateway::new(self.url.clone(), &self.connection)?;
        let mut retries = Retries::new(self.retry_window);
        loop {
            let result = match &push {
                Some(push) => {
                    let limit = self.connection.timeouts.total;
                    gateway.push_async(push, limit, &Stop::never()).await
                }
                None => gateway.delete_async(&self.key).await,
            };
            let Err(error) = result else {
                return Ok(());
            };
            match retries.wait_after(&error, None) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(error.into()),
            }
        }
    }

    fn gathered(&self) -> Vec<Family> {
        let families = self.families.iter().cloned();
        #[cfg(feature = "prometheus")]
        let families = {
            let registries = self.registries.iter();
            registries
                .flat_map(metricsjob_metrics::registry::gather)
                .chain(families)
        };
        families.collect()
    }
}
