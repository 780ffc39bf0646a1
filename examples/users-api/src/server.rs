//! Connections, and how long they may take.
//!
//! `axum::serve` has no timeouts. This is hyper beneath it, with a clock for each connection that begins anew with
//! each of its phases.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use metricsjob_http::ClientAddress;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Pause after a failed accept, such as for too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Times that connections may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For a request: from its first byte (of a new connection: from its beginning) to the response's head.
    pub read: Duration,
    /// For a response, from its head to its last byte.
    pub write: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// At the end, for all requests in flight.
    pub grace: Duration,
}

/// Begins to listen for SIGTERM and SIGINT, and returns a future that waits for one of them.
pub fn end() -> io::Result<impl Future<Output = ()>> {
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Serves until `end` is ready, and then the requests in flight.
pub async fn serve(listener: TcpListener, app: Router, limits: Limits, end: impl Future) {
    let (ending, ends) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut end = pin!(end);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            _ = &mut end => break,
        };
        match accepted {
            Ok((stream, client)) => {
                let serving = connection(stream, client, app.clone(), limits, ends.clone());
                connections.spawn(serving);
            }
            Err(error) => {
                eprintln!("could not accept a connection: {error}");
                sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    ending.send_replace(true);
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(limits.grace, all).await.is_err() {
        eprintln!("cut off connections that were not done in time");
    }
}

async fn connection(
    stream: TcpStream,
    client: SocketAddr,
    app: Router,
    limits: Limits,
    mut ends: watch::Receiver<bool>,
) {
    let (phase, phases) = watch::channel(Phase::Reading);
    let phase = Arc::new(phase);
    let stream = TokioIo::new(TimedStream {
        stream,
        phase: Arc::clone(&phase),
    });
    let service = service_fn(|mut request: hyper::Request<Incoming>| {
        enter(&phase, Phase::Idle, Phase::Reading);
        // For the access log.
        request.extensions_mut().insert(ClientAddress(client));
        let (mut app, phase) = (app.clone(), Arc::clone(&phase));
        async move {
            let response = tower::Service::call(&mut app, request).await;
            enter(&phase, Phase::Reading, Phase::Writing);
            response
        }
    });
    let mut serving = pin!(
        http1::Builder::new()
            // The clock sees to it, because here it would hold between two requests, too.
            .header_read_timeout(None)
            .serve_connection(stream, service)
    );
    let mut too_late = pin!(expired(phases, limits));
    loop {
        tokio::select! {
            _ = &mut serving => break,
            () = &mut too_late => break,
            Ok(()) = ends.changed() => serving.as_mut().graceful_shutdown(),
        }
    }
}

/// Phase of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Reading,
    Writing,
    Idle,
}

/// Enters the phase `to`, if `from` is the current one.
fn enter(phase: &watch::Sender<Phase>, from: Phase, to: Phase) {
    phase.send_if_modified(|phase| {
        let is_from = *phase == from;
        if is_from {
            *phase = to;
        }
        is_from
    });
}

/// Waits until a phase has taken too long.
async fn expired(mut phases: watch::Receiver<Phase>, limits: Limits) {
    loop {
        let limit = match *phases.borrow_and_update() {
            Phase::Reading => limits.read,
            Phase::Writing => limits.write,
            Phase::Idle => limits.idle,
        };
        match timeout(limit, phases.changed()).await {
            Ok(Ok(())) => {}
            _ => return,
        }
    }
}

/// A stream that notices when a request begins and when a response has been written.
struct TimedStream {
    stream: TcpStream,
    phase: Arc<watch::Sender<Phase>>,
}

impl AsyncRead for TimedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            enter(&self.phase, Phase::Idle, Phase::Reading);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TimedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        // hyper flushes the stream when it has nothing left to write.
        enter(&self.phase, Phase::Writing, Phase::Idle);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
