//! The client of a gateway that is reached over HTTP.

use std::error::Error;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, LOCATION, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Response, StatusCode};
use url::Url;

use crate::call::{self, Credentials, Proxy, Runtime, innermost, redacted};
use crate::connection::Connection;
use crate::http_error::HttpError;
use crate::secrets::Secrets;
use crate::stop::Stop;
use crate::tls::PLAIN;
use crate::url::GatewayUrl;
use metricsjob_metrics::path::group_path;
use metricsjob_metrics::{GroupingKey, Method, Push};

/// How often to see whether a stop is wanted meanwhile.
const LOOK_UP: Duration = Duration::from_millis(50);

/// How much of an answer is read, and how much of it an error shows.
const ANSWER_READ: usize = 16 * 1024;
const ANSWER_SHOWN: usize = 1000;

/// How many redirects of one request are followed.
const REDIRECTS: usize = 5;

/// A gateway at a URL. Not made for many requests at once: each call blocks until it is answered.
pub struct HttpGateway {
    url: GatewayUrl,
    connection: Connection,
    client: reqwest::Client,
    runtime: Runtime,
}

impl HttpGateway {
    /// A client for the gateway at `url`. For `https` it verifies certificates by the system's
    /// roots, unless `connection` names others. Redirects are followed within the gateway, and only
    /// those that leave the request as it is: another would turn a PUT into a GET, or send
    /// credentials elsewhere.
    pub fn new(url: GatewayUrl, connection: &Connection) -> Result<Self, HttpError> {
        match &connection.unusable {
            Some(why) => Err(HttpError::Unusable(why.clone())),
            None => HttpGateway::build(url, connection, None),
        }
    }

    /// The URL that it was made for.
    pub fn url(&self) -> &GatewayUrl {
        &self.url
    }

    /// A client for the gateway that listens on the Unix socket at `path`. Its URLs have no meaning of their own.
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
        })
    }

    /// The URL of a group, without credentials.
    pub fn group_url(&self, key: &GroupingKey) -> String {
        self.url.join(&group_path(key))
    }

    /// Sends `push` and waits for the answer, until `limit` at most, and not once the `stop` is wanted.
    ///
    /// # Errors
    ///
    /// Any answer but a 2xx: a Pushgateway answers 200, or 202 if it checks nothing, and what else takes pushes
    /// answers 204, such as VictoriaMetrics.
    pub fn push(&self, push: &Push, limit: Duration, stop: &Stop) -> Result<(), HttpError> {
        self.runtime.block_on(self.push_async(push, limit, stop))
    }

    /// Does what [`push`](Self::push) does, in the runtime of the caller, which has tokio's I/O and time.
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
        let verb = match push.method() {
            Method::Put => reqwest::Method::PUT,
            Method::Post => reqwest::Method::POST,
        };
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
        self.send(&url, request, limit, stop).await.map(drop)
    }

    /// Deletes the group of `key`; a gateway does not tell whether there was one.
    pub fn delete(&self, key: &GroupingKey) -> Result<(), HttpError> {
        self.runtime.block_on(self.delete_async(key))
    }

    /// Does what [`delete`](Self::delete) does, in the runtime of the caller.
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

    /// Fetches `path`, which starts with a slash, and reads an answer of `most` bytes at most.
    pub fn get(&self, path: &str, most: usize) -> Result<Vec<u8>, HttpError> {
        let url = self.url.join(path);
        let request = self.request(reqwest::Method::GET, &url);
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
                // There may be no memory for what is allowed.
                if answer.len() + chunk.len() > most || answer.try_reserve(chunk.len()).is_err() {
                    return Err(too_large());
                }
                answer.extend_from_slice(&chunk);
            }
        })
    }

    fn request(&self, verb: reqwest::Method, url: &str) -> reqwest::RequestBuilder {
        let mut request = self.client.request(verb, url);
        for (name, value) in &self.connection.headers {
            request = request.header(name, value);
        }
        match (self.url.credentials(), &self.connection.authorization) {
            (Some(Credentials { user, password }), _) => request.basic_auth(user, Some(password)),
            (None, Some(authorization)) => request.header(AUTHORIZATION, authorization.value()),
            (None, None) => request,
        }
    }

    async fn send(
        &self,
        url: &str,
        request: reqwest::RequestBuilder,
        limit: Duration,
        stop: &Stop,
    ) -> Result<Response, HttpError> {
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
        if status.is_success() {
            return Ok(response);
        }
        let retry_after = response.headers().get(RETRY_AFTER);
        let retry_after = retry_after.and_then(|seconds| seconds.to_str().ok()?.parse().ok());
        // A server that is being debugged may send back what it got.
        let secrets = Secrets::of_gateway(&self.url, &self.connection);
        let mut message = redirection(&response)
            .map(|text| secrets.redact_text(text))
            .unwrap_or_default();
        if message.is_empty() {
            let mut body = Vec::new();
            // What the gateway says is a help, so a cut answer is shown as far as it came.
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

    /// What to do about an answer that is no success.
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
            // What Go's and nginx' servers say to plain HTTP on a port for TLS.
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
                    // The former are tokio-rustls's words, of which there is no type.
                    None if reason == "tls handshake eof"
                        || (self.url.is_https() && reason.starts_with("connection reset")) =>
                    {
                        PLAIN.into()
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
                // hyper's words, of which there is no type that we could name.
                if reason.starts_with("invalid HTTP") && !self.url.is_https() {
                    reason.push_str(" (if it speaks TLS, give its URL with https://)");
                }
                HttpError::Broken { url, reason }
            }
        }
    }
}

/// Whether a redirect keeps method and body (RFC 9110, sections 15.4.8 and 15.4.9) and leads to the
/// same scheme, host and port, by the same credentials.
fn stays_within_gateway(status: StatusCode, from: &Url, to: &Url) -> bool {
    let is_kept = matches!(
        status,
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
    );
    is_kept && to.origin() == from.origin() && to.username().is_empty() && to.password().is_none()
}

/// Where an answer redirects to, without credentials; `None` if it does not.
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
    // Neither fails on a URL that has a host, and others have no credentials.
    let _ = target.set_username("");
    let _ = target.set_password(None);
    Some(format!(
        "it redirects to {target}, give that gateway's URL instead"
    ))
}

/// What a gateway wrote, on one line, without control characters, not too long.
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
