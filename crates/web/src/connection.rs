//! Life cycle of one connection, from its handshake to its end.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use axum::response::Response;
use hyper::Request;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio_rustls::TlsAcceptor;
use tracing::debug;

use super::access::Known;
use super::config::Config;
use super::entry::{ConnectionState, Doing};
use super::framing;
use super::instrumentation::{Client, Exchange, HttpMetrics};
use super::origin::OriginPolicy;
use super::pool::{Pool, Seat};
use super::server::Refuse;
use super::stream::Stream;
use super::tracked::{AnswerBody, RequestBody, TrackedStream};

/// Maximum size of a request head in bytes, and roughly the most that is buffered of a body.
const MAX_HEAD: usize = 64 * 1024;

/// State shared by all connections of a listener.
pub struct Site {
    pub app: TowerToHyperService<Router>,
    /// The web config file, if it applies to these connections.
    pub config: Option<Arc<Config>>,
    pub http: http1::Builder,
    pub pool: Arc<Pool>,
    /// Counts the requests.
    pub metrics: Arc<HttpMetrics>,
    policy: OriginPolicy,
    refuse: Refuse,
}

impl Site {
    pub fn new(
        app: Router,
        metrics: &Arc<HttpMetrics>,
        policy: OriginPolicy,
        pool: Arc<Pool>,
        refuse: Refuse,
    ) -> Self {
        let mut http = http1::Builder::new();
        http.max_headers(128)
            .max_header_size(MAX_HEAD)
            .max_buf_size(MAX_HEAD)
            // A client may shut down its sending side after the request (`nc -N`) and still wait for the
            // response. If it has gone away, writing to it will show that.
            .half_close(true)
            // The pool handles this for all connections, and distinguishes slow heads from idle connections.
            .header_read_timeout(None);
        Site {
            app: TowerToHyperService::new(app.layer(metrics.layer())),
            config: None,
            http,
            pool,
            metrics: Arc::clone(metrics),
            policy,
            refuse,
        }
    }

    /// Returns the error response to a request that must not reach the application, or `None`.
    fn refusal<B>(&self, request: &Request<B>) -> Option<Response> {
        let headers = request.headers();
        if let Err(bad) = framing::check(request.version(), headers) {
            return Some((self.refuse)(bad.status(), bad.to_string()));
        }
        let checked = (self.policy).check(request.method(), request.uri(), headers);
        let foreign = checked.err()?;
        Some((self.refuse)(foreign.status(), foreign.to_string()))
    }

    /// Responds without the application, which would have counted the request.
    fn refuse(&self, start: Instant, request: Request<Body>, refusal: Response) -> Response {
        let (exchange, request) = Exchange::begin(Arc::clone(&self.metrics), start, request);
        drop(request);
        exchange.answer(refusal)
    }
}

/// The client at the other end of a connection.
pub struct Peer {
    /// `None` on a Unix socket.
    pub address: Option<IpAddr>,
    /// Address and port for the debug log, if it is on.
    pub text: Option<Arc<str>>,
}

/// Serves the connection of `client` until it ends.
pub async fn serve(site: Arc<Site>, place: Seat, stream: Stream, client: Peer) {
    let entry = place.entry();
    let tls = site.config.as_ref().and_then(|config| config.tls());
    let knows_client = tls.as_ref().is_some_and(|tls| tls.knows_clients);
    let stream = match tls {
        None => stream,
        // Boxed, so that the memory for a handshake is held only while it lasts.
        Some(tls) => match Box::pin(handshake(tls.config, entry, stream)).await {
            Ok(stream) => stream,
            Err(reason) => {
                let client = client.text.as_deref().unwrap_or_default();
                debug!(client, err = reason, "TLS handshake failed");
                return;
            }
        },
    };
    let mut stream = TrackedStream::new(stream, Arc::clone(entry));
    // No memory for HTTP is held while the client sends nothing.
    while let Doing::Done(true) = entry.unless_told(false, stream.is_sent_to()).await {
        match speak(&site, entry, &client, knows_client, stream).await {
            Some(parked) => stream = parked,
            None => return,
        }
    }
}

async fn handshake(
    tls: Arc<ServerConfig>,
    entry: &ConnectionState,
    stream: Stream,
) -> Result<Stream, String> {
    if let Doing::Done(true) = entry.unless_told(false, stream.is_plain()).await {
        stream.refuse(NO_TLS);
        return Err("it does not speak TLS".into());
    }
    let accepted = TlsAcceptor::from(tls).accept(stream);
    match entry.unless_told(false, accepted).await {
        Doing::Done(Ok(stream)) => Ok(Stream::Tls(Box::new(stream))),
        Doing::Done(Err(error)) => Err(error.to_string()),
        _ => Err("it took too long".into()),
    }
}

/// Response to a client that does not speak TLS, as Go's servers send it.
const NO_TLS: &[u8] = b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\n\r\n\
    Client sent an HTTP request to an HTTPS server.\n";

/// Speaks HTTP until the connection ends or has to be parked; in the latter case, returns the stream.
async fn speak(
    site: &Arc<Site>,
    entry: &Arc<ConnectionState>,
    client: &Peer,
    knows_client: bool,
    stream: TrackedStream,
) -> Option<TrackedStream> {
    let service =
        service_fn(|request| answer(site, Arc::clone(entry), client, knows_client, request));
    let mut connection = Box::new(site.http.serve_connection(stream, service));
    let mut is_drained = false;
    loop {
        match entry.unless_told(is_drained, &mut connection).await {
            Doing::Done(_) | Doing::Ended => return None,
            Doing::Drain => {
                Pin::new(&mut *connection).graceful_shutdown();
                is_drained = true;
            }
            Doing::Park => {
                let parts = connection.into_parts();
                let mut stream = parts.io;
                // Copied, because even an empty slice holds on to the whole buffer.
                stream.unread(&parts.read_buf);
                entry.parked();
                return Some(stream);
            }
        }
    }
}

async fn answer(
    site: &Site,
    entry: Arc<ConnectionState>,
    client: &Peer,
    knows_client: bool,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Infallible> {
    let has_body = !request.body().is_end_stream();
    entry.requested(has_body);
    let mut request = request.map(|body| {
        if has_body {
            Body::new(RequestBody::new(body, Arc::clone(&entry)))
        } else {
            Body::empty()
        }
    });
    if let Some(client) = &client.text {
        request.extensions_mut().insert(Client(Arc::clone(client)));
    }
    let gate = site.config.as_ref().and_then(|config| config.gate());
    // If there are users, the request is checked against them below.
    let has_users = gate.as_ref().is_some_and(|gate| !gate.users.is_empty());
    if knows_client || has_users {
        request.extensions_mut().insert(Known);
    }
    let refusal = site.refusal(&request);
    let mut answer = match (gate, refusal) {
        (None, None) => site.app.call(request).await?,
        (None, Some(refusal)) => site.refuse(Instant::now(), request, refusal),
        (Some(gate), refusal) => {
            let start = Instant::now();
            let admitted = match refusal {
                Some(refusal) => Err(refusal),
                None => gate.admit(client.address, request.headers()).await,
            };
            let answer = match admitted {
                Ok(()) => site.app.call(request).await?,
                Err(refusal) => site.refuse(start, request, refusal),
            };
            gate.with_headers(answer)
        }
    };
    // The unread rest would be taken for the next request, so the connection ends. Without this header the
    // client would send another request in vain.
    if entry.has_rest() {
        let headers = answer.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(answer.map(|body| AnswerBody::new(body, entry)))
}
