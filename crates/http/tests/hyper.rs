//! The layer around a service of hyper, over a connection: upgrades, `HEAD`, events of the access log.

mod common;

use std::convert::Infallible;

use bytes::Bytes;
use common::{Exposed, KeptEvents};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use metricsjob_http::{HttpMetrics, HttpMetricsBuilder, MeasuredBody, TracingAccessLog};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tower::{Layer, service_fn};

/// A connection to a server that upgrades at `/upgrade` and says hello elsewhere.
fn connected(builder: HttpMetricsBuilder, shown: &Exposed) -> DuplexStream {
    let metrics = builder.register(&shown.registry).unwrap();
    let service = metrics.layer(service_fn(
        async |mut request: Request<MeasuredBody<Incoming>>| {
            if request.uri().path() != "/upgrade" {
                return Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("hello")));
            }
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let mut stream = TokioIo::new(upgrade.await.unwrap());
                stream.write_all(b"upgraded").await.unwrap();
            });
            let response = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
            let response = response
                .header("connection", "upgrade")
                .header("upgrade", "test");
            Ok(response.body(Full::default()).unwrap())
        },
    ));
    let (client, server) = duplex(1024);
    let connection = http1::Builder::new()
        .serve_connection(TokioIo::new(server), TowerToHyperService::new(service))
        .with_upgrades();
    tokio::spawn(connection);
    client
}

async fn exchanged(client: &mut DuplexStream, request: &str) -> String {
    client.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn upgrades() {
    let shown = Exposed::default();
    let mut client = connected(HttpMetrics::builder(), &shown);
    let request = "GET /upgrade HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: test\r\n\r\n";
    let answer = exchanged(&mut client, request).await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\nupgraded"), "{answer}");
    shown.shows(r#"http_requests_total{endpoint="other",method="GET",status_code="101"} 1"#);
    shown.shows("http_requests_in_flight 0");
}

#[tokio::test]
async fn head() {
    let shown = Exposed::default();
    let mut client = connected(HttpMetrics::builder(), &shown);
    let answer = exchanged(&mut client, "HEAD / HTTP/1.1\r\nConnection: close\r\n\r\n").await;
    assert!(
        answer.to_lowercase().contains("content-length: 5\r\n"),
        "{answer}"
    );
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    shown.shows(r#"http_requests_total{endpoint="other",method="HEAD",status_code="200"} 1"#);
    shown.shows(r#"http_response_size_bytes_sum{endpoint="other",method="HEAD"} 0"#);
}

#[tokio::test]
async fn events() {
    let events = KeptEvents::default();
    let _default = tracing::subscriber::set_default(events.clone());
    for (log, expected) in [
        (TracingAccessLog::debug(), ""),
        (
            TracingAccessLog::info(),
            "message=request method=\"GET\" endpoint=\"other\" path=\"/a%20b\" status=200 \
             request_bytes=0 response_bytes=5 user_agent=\"curl\" ",
        ),
    ] {
        let mut client = connected(HttpMetrics::builder().access_log(log), &Exposed::default());
        let request = "GET /a%20b?c HTTP/1.1\r\nUser-Agent: curl\r\nConnection: close\r\n\r\n";
        exchanged(&mut client, request).await;
        assert_eq!(*events.0.lock().unwrap(), expected);
    }
}
