//! Life cycle of one connection, from its handshake to its end.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use metricsjob_http::HttpMetrics;
use rustls::ServerConfig;
use tokio_rustls::TlsAcceptor;
use tower::Service;
use tower::util::MapRequestLayer;
use tracing::debug;

use super::access::Known;
use super::config::Config;
use super::entry::{ConnectionState, Doing};
use super::framing;
use super::instrumentation::{ServerMetrics, name_matched};
use super::observed::{ObservedBody, received, sent};
use super::origin::OriginPolicy;
use super::pool::{Pool, Seat};
use super::server::Refuse;
use super::stream::Stream;
use super::tracked::TrackedStream;
use metricsjob_system::panics;

/// Maximum size of a request head in bytes, and roughly the most that is buffered of a body.
const MAX_HEAD: usize = 64 * 1024;

/// State shared by all connections of a listener.
pub struct Site {
    pub app: Router,
    /// The web config file, if it applies to these connections.
    pub config: Option<Arc<Config>>,
    pub http: http1::Builder,
    pub pool: Arc<Pool>,
    /// Counts the requests.
    pub metrics: HttpMetrics,
    policy: OriginPolicy,
    refuse: Refuse,
}

impl Site {
    pub fn new(
        app: Router,
        metrics: &ServerMetrics,
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
            // This limit would hold for the wait between two requests too, which may take longer. The state of
            // the connection tells the two apart.
            .header_read_timeout(None);
        Site {
            app: app.layer(MapRequestLayer::new(name_matched)),
            config: None,
            http,
            pool,
            metrics: metrics.http.clone(),
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
}

/// The client at the other end of a connection.
pub struct Peer {
    /// `None` on a Unix socket.
    pub address: Option<IpAddr>,
    /// Address and port for the debug log, if it is on.
    pub socket: Option<SocketAddr>,
}

/// Serves the connection of `client` until it ends.
pub async fn serve(site: Arc<Site>, place: Seat, stream: Stream, client: Peer) {
    let entry = place.entry();
    // hyper's buffers take 16 KiB, which connections are not worth before they have sent anything.
    let Doing::Done(Ok(first)) = entry.unless_told(stream.first_byte()).await else {
        return;
    };
    let tls = site.config.as_ref().and_then(|config| config.tls());
    let knows_client = tls.as_ref().is_some_and(|tls| tls.knows_clients);
    let stream = match tls {
        None => stream,
        // Boxed, so that the memory for a handshake is held only while it lasts.
        Some(tls) => match Box::pin(handshake(tls.config, entry, first, stream)).await {
            Ok(stream) => stream,
            Err(reason) => {
                let client = client.socket.map(|socket| socket.to_string());
                debug!(
                    client = client.unwrap_or_default(),
                    err = reason,
                    "TLS handshake failed"
                );
                return;
            }
        },
    };
    let service =
        service_fn(|request| answer(&site, Arc::clone(entry), &client, knows_client, request));
    let stream = TrackedStream::new(stream, Arc::clone(entry));
    let mut connection = Box::pin(site.http.serve_connection(stream, service));
    while let Doing::Drain = entry.unless_told(&mut connection).await {
        connection.as_mut().graceful_shutdown();
    }
}

async fn handshake(
    tls: Arc<ServerConfig>,
    entry: &ConnectionState,
    first: Option<u8>,
    stream: Stream,
) -> Result<Stream, String> {
    // Text, as in plain HTTP; TLS starts with 22.
    if first.is_some_and(|byte| byte.is_ascii_alphabetic()) {
        stream.refuse(NO_TLS);
        return Err("it does not speak TLS".into());
    }
    let accepted = TlsAcceptor::from(tls).accept(stream);
    match entry.unless_told(accepted).await {
        Doing::Done(Ok(stream)) => Ok(Stream::Tls(Box::new(stream))),
        Doing::Done(Err(error)) => Err(error.to_string()),
        _ => Err("it took too long".into()),
    }
}

/// Response to a client that does not speak TLS, as Go's servers send it.
const NO_TLS: &[u8] = b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\n\r\n\
    Client sent an HTTP request to an HTTPS server.\n";

async fn answer(
    site: &Site,
    entry: Arc<ConnectionState>,
    client: &Peer,
    knows_client: bool,
    request: Request<Incoming>,
) -> Result<Response<ObservedBody<Body>>, Infallible> {
    let (exchange, mut request) = received(&site.metrics, &entry, client.socket, request);
    let gate = site.config.as_ref().and_then(|config| config.gate());
    // If there are users, the request is checked against them below.
    let has_users = gate.as_ref().is_some_and(|gate| !gate.users.is_empty());
    if knows_client || has_users {
        request.extensions_mut().insert(Known);
    }
    let mut refusal = site.refusal(&request);
    if let (Some(gate), None) = (&gate, &refusal) {
        refusal = gate.admit(client.address, request.headers()).await.err();
    }
    let mut answer = match refusal {
        Some(refusal) => {
            drop(request);
            refusal
        }
        None => respond(site.app.clone(), request).await,
    };
    if let Some(gate) = &gate {
        answer = gate.with_headers(answer);
    }
    // The unread rest would be taken for the next request, so the connection ends. Without this header the
    // client would send another request in vain.
    if entry.has_rest() {
        let headers = answer.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(sent(exchange, entry, answer))
}

/// Returns the response of the application, which is a 500 if it panics.
async fn respond(mut app: Router, request: Request<Body>) -> Response {
    let response = panics::caught_async(async move { app.call(request).await });
    match response.await {
        Ok(Ok(response)) => response,
        Ok(Err(never)) => match never {},
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "an internal error\n").into_response(),
    }
}
