//! HTTP client of a gateway.

use std::error::Error;
use std::path::Path;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Response, StatusCode};
use url::Url;

use crate::call::{self, Proxy, Runtime, innermost, redacted};
use crate::connection::Connection;
use crate::http_error::HttpError;
use crate::notices;
use crate::request::{self, verb};
use crate::secrets::Secrets;
use crate::stop::Stop;
use crate::tls::PLAIN;
use crate::url::GatewayUrl;
use metricsjob_metrics::path::group_path;
use metricsjob_metrics::{GroupingKey, Push, TTL_HEADER};

/// Interval at which a pending request looks whether a stop is wanted.
const LOOK_UP: Duration = Duration::from_millis(50);

/// Bytes read of an error response, to the end of a chunk, and characters shown of it.
const ANSWER_READ: usize = 16 * 1024;
const ANSWER_SHOWN: usize = 1000;

/// Most redirects followed for one request.
const REDIRECTS: usize = 5;

/// Client of one gateway.
pub struct HttpGateway {
    url: GatewayUrl,
    connection: Connection,
    client: reqwest::Client,
    runtime: Runtime,
    notices: Mutex<Vec<String>>,
    /// Certificate of the gateway, in DER.
    certificate: Mutex<Option<Vec<u8>>>,
}

impl HttpGateway {
    /// Creates a client for the gateway at `url`. For `https` it trusts the system's roots, unless `connection` has
    /// others. Redirects are followed only to the same origin, and only 307 and 308, which keep method and body:
    /// others would turn a PUT into a GET, or send credentials elsewhere.
    ///
    /// # Errors
    ///
    /// Fails if the connection is [unusable](Connection::unusable) or the client cannot be set up.
    pub fn new(url: GatewayUrl, connection: &Connection) -> Result<Self, HttpError> {
        match &connection.unusable {
            Some(why) => Err(HttpError::Unusable(why.clone())),
            None => HttpGateway::build(url, connection, None),
        }
    }

    /// Returns the URL of the gateway.
    pub fn url(&self) -> &GatewayUrl {
        &self.url
    }

    /// Creates a client for the gateway at the Unix socket `path`. The host in its URLs has no meaning.
    ///
    /// # Errors
    ///
    /// Fails if the client cannot be set up.
    pub fn at_socket(path: &Path) -> Result<Self, HttpError> {
        let url = GatewayUrl::parse("http://localhost");
        let url = url.map_err(|error| HttpError::Setup(innermost(&error)))?;
        HttpGateway::build(url, &Connection::default(), Some(path))
    }

    fn build(
        url: GatewayUrl,
        connection: &Connection,
        socket: Option<&Path>,
    ) -> Result<Self, HttpError> {
        let setup = |error: &(dyn Error + 'static)| HttpError::Setup(innermost(error));
        let is_tls = url.is_https() || url.proxy().is_some_and(|proxy| proxy.is_tls);
        if is_tls && !cfg!(feature = "tls") {
            return Err(HttpError::Setup("this was built without TLS".into()));
        }
        let mut builder = call::builder(is_tls)
            .connect_timeout(connection.timeouts.connect)
            .timeout(connection.timeouts.total)
            .referer(false)
            .redirect(Policy::custom(|redirect| {
                let from = redirect.previous().last();
                let is_kept = from.is_some_and(|from| {
                    stays_within_gateway(redirect.status(), from, redirect.url())
                });
                if is_kept && redirect.previous().len() <= REDIRECTS {
                    redirect.follow()
                } else {
                    redirect.stop()
                }
            }));
        if is_tls {
            let applied = connection.tls.apply(builder);
            builder = applied.map_err(|error| setup(&error))?;
            #[cfg(feature = "tls")]
            {
                builder = builder.tls_info(true);
            }
        }
        if socket.is_some() || url.is_excepted_from_proxies() {
            builder = builder.no_proxy();
        }
        if let Some(socket) = socket {
            builder = builder.unix_socket(socket);
        }
        Ok(HttpGateway {
            client: builder.build().map_err(|error| setup(&error))?,
            runtime: Runtime::new().map_err(|error| setup(&error))?,
            url,
            connection: connection.clone(),
            notices: Mutex::default(),
            certificate: Mutex::default(),
        })
    }

    /// Returns notices in the responses so far besides the outcome, each once: the texts of `Warning` headers, such as
    /// that another host reports to the same group, and that the clocks differ by more than 30 seconds.
    pub fn notices(&self) -> Vec<String> {
        let notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        notices.clone()
    }

    /// Returns the certificate, in DER, that the gateway presented with its last response; `None` without TLS.
    pub fn certificate(&self) -> Option<Vec<u8>> {
        let certificate = self.certificate.lock();
        certificate.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the URL of a group, without credentials.
    pub fn group_url(&self, key: &GroupingKey) -> String {
        self.url.join(&group_path(key))
    }

    /// Sends `push` and waits for the response, for `limit` at most and no longer than the configured timeout. Gives
    /// up soon after `stop` is wanted. Blocks the thread.
    ///
    /// # Errors
    ///
    /// Returns an error for any status but 2xx: a Pushgateway responds 200, or 202 if it checks nothing; others that
    /// accept pushes, such as VictoriaMetrics, respond 204.
    ///
    /// # Panics
    ///
    /// Panics within a tokio runtime, as do [`delete`](Self::delete) and [`get`](Self::get).
    pub fn push(&self, push: &Push, limit: Duration, stop: &Stop) -> Result<(), HttpError> {
        self.runtime.block_on(self.push_async(push, limit, stop))
    }

    /// Sends `push` as [`push`](Self::push) does, in the caller's tokio runtime, which must have I/O and time
    /// enabled.
    ///
    /// # Errors
    ///
    /// Fails as [`push`](Self::push) does.
    pub async fn push_async(
        &self,
        push: &Push,
        limit: Duration,
        stop: &Stop,
    ) -> Result<(), HttpError> {
        let verb = verb(push.method());
        let url = self.group_url(push.key());
        let encoding = self.connection.encoding;
        let limit = limit.min(self.connection.timeouts.total);
        let mut request = self
            .request(verb, &url)
            .body(encoding.body(push))
            .timeout(limit);
        for (name, value) in encoding.headers() {
            request = request.header(name, value);
        }
        if let Some(ttl) = push.ttl() {
            request = request.header(TTL_HEADER, humantime::format_duration(ttl).to_string());
        }
        self.send(&url, request, limit, stop).await.map(drop)
    }

    /// Deletes the group of `key`. A Pushgateway responds 202 whether or not there is one.
    ///
    /// # Errors
    ///
    /// Fails as [`push`](Self::push) does.
    pub fn delete(&self, key: &GroupingKey) -> Result<(), HttpError> {
        self.runtime.block_on(self.delete_async(key))
    }

    /// Deletes the group as [`delete`](Self::delete) does, in the caller's tokio runtime.
    ///
    /// # Errors
    ///
    /// Fails as [`push`](Self::push) does.
    pub async fn delete_async(&self, key: &GroupingKey) -> Result<(), HttpError> {
        let url = self.group_url(key);
        let request = self.request(reqwest::Method::DELETE, &url);
        let limit = self.connection.timeouts.total;
        let sent = self.send(&url, request, limit, &Stop::never()).await;
        sent.map(drop)
    }

    /// Posts `body` to `path`, which starts with a slash, or to the URL itself if it is empty. Waits as
    /// [`push`](Self::push) does.
    ///
    /// # Errors
    ///
    /// Fails as [`push`](Self::push) does.
    pub fn post(
        &self,
        path: &str,
        headers: HeaderMap,
        body: Vec<u8>,
        limit: Duration,
        stop: &Stop,
    ) -> Result<(), HttpError> {
        self.post_shown(path, path, headers, body, limit, stop)
    }

    /// Posts as [`post`](Self::post) does, to a `path` that is a secret, as those of webhooks are: errors show the URL
    /// without it.
    ///
    /// # Errors
    ///
    /// Fails as [`push`](Self::push) does.
    pub fn post_secretly(
        &self,
        path: &str,
        headers: HeaderMap,
        body: Vec<u8>,
        limit: Duration,
        stop: &Stop,
    ) -> Result<(), HttpError> {
        let shown = if path == "/" { "/" } else { "/***" };
        let mut posted = self.post_shown(path, shown, headers, body, limit, stop);
        if let Err(HttpError::Status { message, .. }) = &mut posted {
            let secrets = Secrets::new(vec![path.to_owned()]);
            *message = secrets.redact_text(std::mem::take(message));
        }
        posted
    }

    fn post_shown(
        &self,
        path: &str,
        shown: &str,
        headers: HeaderMap,
        body: Vec<u8>,
        limit: Duration,
        stop: &Stop,
    ) -> Result<(), HttpError> {
        let limit = limit.min(self.connection.timeouts.total);
        let request = self
            .request(reqwest::Method::POST, &self.url.join(path))
            .headers(headers)
            .body(body)
            .timeout(limit);
        let shown = self.url.join(shown);
        let sent = self.send(&shown, request, limit, stop);
        self.runtime.block_on(sent).map(drop)
    }

    /// Fetches `path`, which must start with a slash, and returns the body.
    ///
    /// # Errors
    ///
    /// Fails as [`push`](Self::push) does, and if the body has more than `most` bytes.
    pub fn get(&self, path: &str, most: usize) -> Result<Vec<u8>, HttpError> {
        self.receive(reqwest::Method::GET, path, most)
    }

    /// Sends DELETE to `path`, which must start with a slash, and returns the body.
    ///
    /// # Errors
    ///
    /// Fails as [`get`](Self::get) does.
    pub fn delete_at(&self, path: &str, most: usize) -> Result<Vec<u8>, HttpError> {
        self.receive(reqwest::Method::DELETE, path, most)
    }

    fn receive(
        &self,
        verb: reqwest::Method,
        path: &str,
        most: usize,
    ) -> Result<Vec<u8>, HttpError> {
        let url = self.url.join(path);
        let request = self.request(verb, &url);
        let limit = self.connection.timeouts.total;
        let too_large = || HttpError::TooLarge {
            url: url.clone(),
            most,
        };
        self.runtime.block_on(async {
            let mut response = self.send(&url, request, limit, &Stop::never()).await?;
            let announced = response.content_length().unwrap_or(0);
            if announced > most as u64 {
                return Err(too_large());
            }
            let mut answer = Vec::new();
            loop {
                let chunk = response.chunk().await;
                let Some(chunk) = chunk.map_err(|error| self.failure(&url, &error, limit))? else {
                    return Ok(answer);
                };
                // There may be less memory than `most`.
                if answer.len() + chunk.len() > most || answer.try_reserve(chunk.len()).is_err() {
                    return Err(too_large());
                }
                answer.extend_from_slice(&chunk);
            }
        })
    }

    fn request(&self, verb: reqwest::Method, url: &str) -> reqwest::RequestBuilder {
        let headers = request::headers(&self.url, &self.connection);
        self.client.request(verb, url).headers(headers)
    }

    async fn send(
        &self,
        url: &str,
        request: reqwest::RequestBuilder,
        limit: Duration,
        stop: &Stop,
    ) -> Result<Response, HttpError> {
        let start = SystemTime::now();
        let mut answer = pin!(request.send());
        let answer = loop {
            match tokio::time::timeout(LOOK_UP, answer.as_mut()).await {
                Ok(answer) => break answer,
                Err(_) if stop.is_wanted() => {
                    let url = url.to_owned();
                    return Err(HttpError::Stopped { url });
                }
                Err(_) => {}
            }
        };
        let mut response = answer.map_err(|error| self.failure(url, &error, limit))?;
        let status = response.status();
        self.note(&response, start);
        if status.is_success() {
            return Ok(response);
        }
        let retry_after = response.headers().get(RETRY_AFTER);
        let retry_after = retry_after.and_then(|seconds| seconds.to_str().ok()?.parse().ok());
        // A server under debugging may echo the request.
        let secrets = Secrets::of_gateway(&self.url, &self.connection);
        let mut message = redirection(&response)
            .map(|text| secrets.redact_text(text))
            .unwrap_or_default();
        if message.is_empty() {
            let mut body = Vec::new();
            // The message is only a help, so a broken response is shown as far as it came.
            while body.len() < ANSWER_READ
                && let Ok(Some(chunk)) = response.chunk().await
            {
                body.extend_from_slice(&chunk);
            }
            let body = secrets.redact_cut(&body);
            message = shown(&String::from_utf8_lossy(&body));
        }
        Err(HttpError::Status {
            url: url.to_owned(),
            status,
            cure: self.cure(status, &message),
            had_credentials: self.url.credentials().is_some()
                || self.connection.authorization.is_some(),
            message,
            retry_after: retry_after.map(Duration::from_secs),
        })
    }

    /// Keeps the notices and the certificate that came with a response, whose request began at `start`.
    fn note(&self, response: &Response, start: SystemTime) {
        #[cfg(feature = "tls")]
        if let Some(info) = response.extensions().get::<reqwest::tls::TlsInfo>() {
            let presented = info.peer_certificate().map(<[u8]>::to_vec);
            let mut certificate = self
                .certificate
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *certificate = presented;
        }
        let read = notices::read(response.headers(), start, SystemTime::now());
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        for notice in read {
            if !notices.contains(&notice) {
                notices.push(notice);
            }
        }
    }

    /// Returns advice on how to fix an error response.
    fn cure(&self, status: StatusCode, message: &str) -> Option<String> {
        let source = match (self.url.credentials(), &self.connection.authorization) {
            (Some(_), _) => Some("the gateway's URL"),
            (None, authorization) => authorization.as_ref().map(|a| a.source()),
        };
        match (status, source) {
            (StatusCode::UNAUTHORIZED, Some(source)) => {
                Some(format!("it does not accept the credentials of {source}"))
            }
            (StatusCode::PROXY_AUTHENTICATION_REQUIRED, _) => {
                let variable = self.url.proxy()?.variable;
                Some(format!(
                    "{variable} names this proxy and must hold its user and password: \
                     http://USER:PASSWORD@HOST:PORT"
                ))
            }
            // Messages of Go's and nginx's servers to plain HTTP on a TLS port.
            (StatusCode::BAD_REQUEST, _)
                if !self.url.is_https()
                    && message.contains("HTTP request")
                    && message.contains("HTTPS") =>
            {
                Some("give its URL with https://".into())
            }
            _ => None,
        }
    }

    fn failure(&self, url: &str, error: &reqwest::Error, limit: Duration) -> HttpError {
        let url = url.to_owned();
        let timeouts = self.connection.timeouts;
        // A server can refuse a client certificate after the handshake.
        if let Some((reason, certificates)) = self.connection.tls.failure(error) {
            return HttpError::Connect {
                url,
                reason,
                certificates,
            };
        }
        match (error.is_timeout(), error.is_connect()) {
            (true, true) if timeouts.connect <= limit => HttpError::ConnectTimeout {
                url,
                limit: timeouts.connect,
            },
            (true, _) => HttpError::Timeout {
                url,
                limit,
                is_of_caller: limit < timeouts.total,
            },
            (false, true) => {
                let reason = innermost(error);
                let cure = match self.url.proxy() {
                    Some(Proxy { variable, .. }) => {
                        format!("{variable} names a proxy: is that right? NO_PROXY excepts hosts")
                    }
                    // tokio-rustls has no type for the former.
                    None if reason == "tls handshake eof"
                        || (self.url.is_https() && reason.starts_with("connection reset")) =>
                    {
                        PLAIN.into()
                    }
                    None if call::is_of_lookup(error) => {
                        let is_refused = reason.starts_with("failed to lookup address");
                        let cure = if is_refused {
                            "is the host's name right?"
                        } else {
                            MODULES
                        };
                        cure.into()
                    }
                    None => "is a gateway listening there?".into(),
                };
                HttpError::Connect {
                    url,
                    reason: format!("{reason} ({cure})"),
                    certificates: None,
                }
            }
            (false, false) => {
                let mut reason = innermost(error);
                // hyper has no type for it that is public.
                if reason.starts_with("invalid HTTP") && !self.url.is_https() {
                    reason.push_str(" (if it speaks TLS, give its URL with https://)");
                }
                HttpError::Broken { url, reason }
            }
        }
    }
}

/// Advice where the C library could not even ask: a glibc before 2.34 without its modules says that a device is busy.
const MODULES: &str = "no name can be looked up here; install the C library's modules libnss_files and \
    libnss_dns, or give an IP address";

/// Returns true if a redirect keeps method and body (RFC 9110, sections 15.4.8 and 15.4.9) and leads to the same
/// origin without other credentials.
fn stays_within_gateway(status: StatusCode, from: &Url, to: &Url) -> bool {
    let is_kept = matches!(
        status,
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
    );
    is_kept && to.origin() == from.origin() && to.username().is_empty() && to.password().is_none()
}

/// Describes the redirect of a response, without credentials; `None` if it is not one.
fn redirection(response: &Response) -> Option<String> {
    let location = response.headers().get(LOCATION);
    let location = location.filter(|_| response.status().is_redirection())?;
    let location = shown(&String::from_utf8_lossy(location.as_bytes()));
    let Ok(mut target) = response.url().join(&location) else {
        let location = redacted(&location);
        return Some(format!("it redirects to {location}, which is no URL"));
    };
    if stays_within_gateway(response.status(), response.url(), &target) {
        return Some(format!("it redirects more than {REDIRECTS} times"));
    }
    // Neither fails on a URL with a host, and others have no credentials.
    let _ = target.set_username("");
    let _ = target.set_password(None);
    Some(format!(
        "it redirects to {target}, give that gateway's URL instead"
    ))
}

/// Reduces a gateway's message to one line without control characters, of limited length.
fn shown(text: &str) -> String {
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect();
    let line = words.join(" ");
    match line.char_indices().nth(ANSWER_SHOWN) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
