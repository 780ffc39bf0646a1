//! Pushes of a batch job's metrics.

#[cfg(feature = "tls")]
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use metricsjob_metrics::check::CheckError;
use metricsjob_metrics::{Family, GroupingKey, GroupingKeyError, Method, Push};

use crate::call::Runtime;
use crate::credentials::{Authorization, CredentialsError, Secret};
use crate::encoding::{Compression, Format};
use crate::{
    Connection, GatewayUrl, GatewayUrlError, HttpError, HttpGateway, PushRequest, Retries, Stop,
};

/// Pushes metrics to one group of a Pushgateway, or deletes the group.
///
/// [`push`](Self::push), [`add`](Self::add) and [`delete`](Self::delete) block until the gateway has responded. They
/// work anywhere, also within a tokio runtime and in a `Drop`, because each starts a thread with a runtime of its
/// own. Their `_async` forms run in the caller's tokio runtime, which must have I/O and time enabled.
///
/// Nothing process-wide is installed: no signal handler, no panic hook, no logger.
#[derive(Debug, Clone)]
pub struct Pusher {
    url: GatewayUrl,
    key: GroupingKey,
    connection: Connection,
    retry_window: Duration,
    families: Vec<Family>,
    ttl: Option<Duration>,
    #[cfg(feature = "prometheus")]
    registries: Vec<prometheus::Registry>,
}

/// Reason why a [`Pusher`] could not be set up, or its request failed.
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
    /// The file of trusted authorities cannot be read or used.
    #[cfg(feature = "tls")]
    #[error("{} cannot be used: {reason}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why it cannot be used.
        reason: String,
    },
    /// The metrics are inconsistent: a Pushgateway would refuse them, or store something else.
    #[error(transparent)]
    Metrics(#[from] CheckError),
    /// The request failed, or the gateway refused it.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The thread of a blocking call could not be started, or panicked.
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
    /// Creates a pusher to the gateway at `url`, such as `http://pushgateway:9091`, with the grouping label `job`.
    ///
    /// # Errors
    ///
    /// Fails if the URL is invalid or `job` is empty.
    pub fn new(url: &str, job: impl Into<String>) -> Result<Self, PusherError> {
        let (url, key) = (GatewayUrl::parse(url)?, GroupingKey::new(job, [])?);
        Ok(Pusher::to(url, key, Connection::default()))
    }

    /// Creates a pusher to the group of `key` on the gateway at `url`.
    pub(crate) fn to(url: GatewayUrl, key: GroupingKey, connection: Connection) -> Self {
        Pusher {
            url,
            key,
            connection,
            retry_window: Duration::ZERO,
            families: Vec::new(),
            ttl: None,
            #[cfg(feature = "prometheus")]
            registries: Vec::new(),
        }
    }

    /// Returns the gateway's URL.
    pub(crate) fn url(&self) -> &GatewayUrl {
        &self.url
    }

    /// Adds a grouping label, which the gateway sets on all series of the group.
    ///
    /// # Errors
    ///
    /// Fails if `name` is not a label name, is reserved (`__…`), is `job`, or was added before.
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

    /// Adds a registry, whose metrics are gathered at each push.
    #[cfg(feature = "prometheus")]
    #[must_use]
    pub fn registry(mut self, registry: &prometheus::Registry) -> Self {
        self.registries.push(registry.clone());
        self
    }

    /// Adds families, which are pushed as they are now.
    #[must_use]
    pub fn families(mut self, families: impl IntoIterator<Item = Family>) -> Self {
        self.families.extend(families);
        self
    }

    /// Sets the time without a push after which the gateway removes the group; zero for never. By default what was set
    /// before stays. Only the gateway of metricsjob does so: a Pushgateway ignores the header `Pushgateway-TTL`.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Sends `user` and `password` by HTTP basic authentication (RFC 7617). Credentials in the URL take precedence.
    ///
    /// # Errors
    ///
    /// Fails if one of them has a control character, or `user` a colon.
    pub fn basic_auth(mut self, user: &str, password: &str) -> Result<Self, PusherError> {
        if user.contains(':') {
            return Err(CredentialsError::ColonInUser.into());
        }
        let secret = Secret::from(format!("{user}:{password}"));
        let authorization = Authorization::basic(&secret, "the pusher".into())?;
        self.connection.authorization = Some(authorization);
        Ok(self)
    }

    /// Sends a bearer token (RFC 6750). Credentials in the URL take precedence.
    ///
    /// # Errors
    ///
    /// Fails if it is empty, or has a blank, a control character or a character outside ASCII.
    pub fn bearer_token(mut self, token: impl Into<String>) -> Result<Self, PusherError> {
        let secret = Secret::from(token.into());
        let authorization = Authorization::bearer(&secret, "the pusher".into())?;
        self.connection.authorization = Some(authorization);
        Ok(self)
    }

    /// Trusts the authorities in the PEM file at `path`, in place of the system's.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read, or holds no valid certificate.
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

    /// Limits the time for a connection; 5 s by default.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connection.timeouts.connect = timeout;
        self
    }

    /// Limits the time for a complete response, connection included; 10 s by default.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.connection.timeouts.total = timeout;
        self
    }

    /// Retries for so long after the first failure, if a retry [may succeed](HttpError::is_transient), with growing
    /// waits of at most 5 s, or longer ones that the gateway asks for (`Retry-After`). By default there are no
    /// retries.
    #[must_use]
    pub fn retry_for(mut self, window: Duration) -> Self {
        self.retry_window = window;
        self
    }

    /// Compresses bodies by gzip.
    #[must_use]
    pub fn gzip(mut self) -> Self {
        self.connection.encoding.compression = Compression::Gzip;
        self
    }

    /// Sends the protobuf format instead of the text format.
    #[must_use]
    pub fn protobuf(mut self) -> Self {
        self.connection.encoding.format = Format::Protobuf;
        self
    }

    /// Replaces all metrics of the group (PUT).
    ///
    /// # Errors
    ///
    /// Fails if the metrics are inconsistent, or the gateway cannot be reached or refuses them.
    pub fn push(&self) -> Result<(), PusherError> {
        self.block_on(PusherAction::Push(Method::Put))
    }

    /// Replaces the metrics of the same names in the group, and leaves others (POST).
    ///
    /// # Errors
    ///
    /// Fails as [`push`](Self::push) does.
    pub fn add(&self) -> Result<(), PusherError> {
        self.block_on(PusherAction::Push(Method::Post))
    }

    /// Deletes the group. Succeeds if there is none.
    ///
    /// # Errors
    ///
    /// Fails if the gateway cannot be reached or refuses the request.
    pub fn delete(&self) -> Result<(), PusherError> {
        self.block_on(PusherAction::Delete)
    }

    /// Returns the push as a request, for programs that send it by an HTTP client of their own.
    ///
    /// # Errors
    ///
    /// Fails if the metrics are inconsistent, or the connection is [unusable](Connection::unusable).
    pub fn request(&self, method: Method) -> Result<PushRequest, PusherError> {
        let push = self.rendered(method)?;
        Ok(PushRequest::new(&self.url, &self.connection, &push)?)
    }

    /// Replaces the group as [`push`](Self::push) does, without blocking the thread.
    ///
    /// # Errors
    ///
    /// Fails as [`push`](Self::push) does.
    pub async fn push_async(&self) -> Result<(), PusherError> {
        self.send(PusherAction::Push(Method::Put)).await
    }

    /// Replaces metrics as [`add`](Self::add) does, without blocking the thread.
    ///
    /// # Errors
    ///
    /// Fails as [`push`](Self::push) does.
    pub async fn add_async(&self) -> Result<(), PusherError> {
        self.send(PusherAction::Push(Method::Post)).await
    }

    /// Deletes the group as [`delete`](Self::delete) does, without blocking the thread.
    ///
    /// # Errors
    ///
    /// Fails as [`delete`](Self::delete) does.
    pub async fn delete_async(&self) -> Result<(), PusherError> {
        self.send(PusherAction::Delete).await
    }

    fn block_on(&self, action: PusherAction) -> Result<(), PusherError> {
        block_on(self.send(action))?
    }

    async fn send(&self, action: PusherAction) -> Result<(), PusherError> {
        let push = match action {
            PusherAction::Push(method) => Some(self.rendered(method)?),
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

    fn rendered(&self, method: Method) -> Result<Push, CheckError> {
        let push = Push::new(self.key.clone(), method, self.gathered(), SystemTime::now())?;
        Ok(push.with_ttl(self.ttl))
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

/// Runs `future` in a runtime on a thread of its own, because the caller may be within a runtime, in which another
/// cannot be entered.
pub(crate) fn block_on<T: Send>(future: impl Future<Output = T> + Send) -> Result<T, PusherError> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("pusher".into())
            .spawn_scoped(scope, || {
                let runtime = Runtime::new();
                let runtime = runtime.map_err(|error| HttpError::Setup(error.to_string()))?;
                Ok(runtime.block_on(future))
            });
        let thread = thread.map_err(|error| PusherError::Thread(error.to_string()))?;
        let panicked = || PusherError::Thread("a panic".into());
        thread.join().unwrap_or_else(|_| Err(panicked()))
    })
}
