//! A server on `metricsjob_web` with a trivial application, in the test's own process.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::{get, post};
use metricsjob_web::log::{LogFormat, subscriber};
use metricsjob_web::{Server, ServerMetrics, Settings};
use tokio::sync::oneshot;
use tracing::Dispatch;
use tracing::level_filters::LevelFilter;

use super::waiting::eventually;

/// Ends when it is dropped.
pub struct WebServer {
    addresses: Vec<SocketAddr>,
    log: Arc<Mutex<String>>,
    begun: Arc<AtomicUsize>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// On a free port, with a config file if one is given.
pub fn settings(config: Option<&Path>) -> Settings {
    Settings {
        listen_addresses: vec!["127.0.0.1:0".into()],
        config_file: config.map(Path::to_owned),
        systemd_socket: false,
        max_connections: 100,
        read_timeout: Duration::from_secs(30),
        idle_timeout: Duration::from_secs(30),
        allowed_hosts: Vec::new(),
        external_url: None,
    }
}

impl WebServer {
    pub fn start(settings: &Settings) -> Self {
        WebServer::with(settings, None)
    }

    /// Served on a local socket too.
    pub fn with(settings: &Settings, local: Option<UnixListener>) -> Self {
        let begun = Arc::<AtomicUsize>::default();
        let mut server = Server::bind(settings).unwrap_or_else(|error| panic!("{error}"));
        if let Some(listener) = local {
            server.add_local(listener, app(&begun));
        }
        let addresses = server.addresses().to_vec();
        let lines = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&lines);
        let sink = move |line: &[u8]| kept.lock().unwrap().push_str(str::from_utf8(line).unwrap());
        // Of this server's threads alone, as there are others in the process.
        let log = Dispatch::new(subscriber(LevelFilter::DEBUG, LogFormat::Logfmt, sink));
        let app = app(&begun);
        let http = ServerMetrics::new("test");
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .on_thread_start({
                    let log = log.clone();
                    // Until the thread ends.
                    move || std::mem::forget(tracing::dispatcher::set_default(&log))
                })
                .build()
                .unwrap();
            let shutdown = async {
                let _ = stopped.await;
            };
            let serving = server.serve(app, http, shutdown, Duration::from_secs(1));
            tracing::dispatcher::with_default(&log, || runtime.block_on(serving));
        });
        WebServer {
            addresses,
            log: lines,
            begun,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.address().port())
    }

    pub fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address()).unwrap()
    }

    /// The whole answer to a request for `/` over plain HTTP; `headers` are further lines of its head.
    #[track_caller]
    pub fn get(&self, headers: &str) -> String {
        exchange(self.connect(), &request("/", headers))
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until so many requests for what takes long have come.
    #[track_caller]
    pub fn has_begun(&self, count: usize) {
        eventually("slow requests", || self.begun.load(Relaxed) == count);
    }

    /// Has it end, without waiting for that.
    pub fn stop(&mut self) {
        self.stop.take();
    }

    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn app(begun: &Arc<AtomicUsize>) -> Router {
    let takes = |time: Duration| {
        let begun = Arc::clone(begun);
        move || {
            begun.fetch_add(1, Relaxed);
            async move {
                tokio::time::sleep(time).await;
                "slow"
            }
        }
    };
    Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/slow", get(takes(Duration::from_millis(400))))
        .route("/endless", get(takes(Duration::from_secs(60))))
        .route("/big", get(|| async { vec![b'x'; 64 << 20] }))
        .route("/echo", post(|body: Bytes| async { body }))
        .route("/ignore", post(|| async { "ignored" }))
}

/// A request after which the connection ends.
pub fn request(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n")
}

/// What is sent back until the connection ends, which it does even if the request is not complete.
#[track_caller]
pub fn exchange(mut stream: impl Read + Write, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // It may be reset.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}
