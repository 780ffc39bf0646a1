//! The handler at `/metrics`: formats, encodings and methods.

use std::io::Read;

use flate2::read::GzDecoder;
use http::header::{ACCEPT, ACCEPT_ENCODING};
use http::{Request, Response};
use http_body_util::BodyExt;
use metricsjob_http::{Manager, MetricsHandler};
use metricsjob_metrics::{Family, protobuf, text};
use prometheus::{Histogram, HistogramOpts, IntCounter};
use tower::ServiceExt;

const PROTOBUF: &str =
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
const OPENMETRICS: &str = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;q=0.5";

fn handler() -> MetricsHandler {
    let manager = Manager::builder().namespace("shop").label("region", "eu");
    let manager = manager.build().unwrap();
    let orders = manager.register(IntCounter::new("orders_total", "Orders.").unwrap());
    orders.unwrap().inc_by(3);
    let sizes = HistogramOpts::new("size_bytes", "Sizes.").buckets(vec![1.0]);
    let sizes = manager
        .register(Histogram::with_opts(sizes).unwrap())
        .unwrap();
    sizes.observe(2.0);
    manager.handler()
}

async fn ask(method: &str, headers: &[(http::HeaderName, &str)]) -> (Response<()>, Vec<u8>) {
    let mut request = Request::builder().method(method).uri("/metrics?a=b");
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    let response = handler().oneshot(request.body(()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    (Response::from_parts(parts, ()), body)
}

fn header<'a>(response: &'a Response<()>, name: &str) -> &'a str {
    response
        .headers()
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

const TEXT: &str = "\
    # HELP shop_orders_total Orders.\n# TYPE shop_orders_total counter\nshop_orders_total{region=\"eu\"} 3\n\
    # HELP shop_size_bytes Sizes.\n# TYPE shop_size_bytes histogram\n\
    shop_size_bytes_bucket{region=\"eu\",le=\"1\"} 0\nshop_size_bytes_bucket{region=\"eu\",le=\"+Inf\"} 1\n\
    shop_size_bytes_sum{region=\"eu\"} 2\nshop_size_bytes_count{region=\"eu\"} 1\n";

#[tokio::test]
async fn namespace_and_default_labels_in_all_formats() {
    let (response, body) = ask("GET", &[]).await;
    assert_eq!(response.status(), 200);
    assert_eq!(
        header(&response, "content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    assert_eq!(header(&response, "vary"), "Accept, Accept-Encoding");
    assert_eq!(header(&response, "content-length"), body.len().to_string());
    let sorted = |families: &[Family]| text::encode(families);
    let families = text::parse(TEXT.as_bytes()).unwrap();
    assert_eq!(sorted(&text::parse(&body).unwrap()), sorted(&families));

    let (response, body) = ask("GET", &[(ACCEPT, OPENMETRICS)]).await;
    assert!(
        header(&response, "content-type")
            .starts_with("application/openmetrics-text; version=1.0.0")
    );
    assert_eq!(
        str::from_utf8(&body).unwrap(),
        text::openmetrics::encode(&families)
    );

    let (response, body) = ask("GET", &[(ACCEPT, PROTOBUF)]).await;
    assert!(header(&response, "content-type").starts_with("application/vnd.google.protobuf"));
    assert_eq!(
        sorted(&protobuf::decode(&body, &text::Limits::default()).unwrap()),
        sorted(&families)
    );
}

#[tokio::test]
async fn formats_and_encodings_that_are_not_supported() {
    let text = "text/plain; version=0.0.4; charset=utf-8";
    for accept in [
        "",
        "image/png",
        "application/openmetrics-text;q=0",
        ";;,=;q=x",
        "text/plain;q=nan, */*",
    ] {
        let (response, body) = ask("GET", &[(ACCEPT, accept)]).await;
        assert_eq!(header(&response, "content-type"), text, "{accept}");
        assert!(text::parse(&body).is_ok());
    }
    for encoding in ["", "br, zstd", "gzip;q=0", "gzip; Q=0.0", "identity"] {
        let (response, body) = ask("GET", &[(ACCEPT_ENCODING, encoding)]).await;
        assert_eq!(header(&response, "content-encoding"), "", "{encoding}");
        assert!(text::parse(&body).is_ok());
    }
}

#[tokio::test]
async fn gzip() {
    for accept in ["", OPENMETRICS, PROTOBUF] {
        let (_, plain) = ask("GET", &[(ACCEPT, accept)]).await;
        for encoding in ["gzip", "br;q=1.0, GZIP;q=0.8, *;q=0.1"] {
            let headers = [(ACCEPT, accept), (ACCEPT_ENCODING, encoding)];
            let (response, body) = ask("GET", &headers).await;
            assert_eq!(header(&response, "content-encoding"), "gzip");
            let mut unpacked = Vec::new();
            GzDecoder::new(&body[..])
                .read_to_end(&mut unpacked)
                .unwrap();
            assert_eq!(unpacked, plain);
        }
    }
}

#[tokio::test]
async fn methods() {
    let (_, body) = ask("GET", &[(ACCEPT, OPENMETRICS)]).await;
    let (response, nothing) = ask("HEAD", &[(ACCEPT, OPENMETRICS)]).await;
    assert_eq!((response.status().as_u16(), nothing.len()), (200, 0));
    assert_eq!(header(&response, "content-length"), body.len().to_string());
    assert!(header(&response, "content-type").starts_with("application/openmetrics-text"));
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "get", "BREW"] {
        let (response, body) = ask(method, &[]).await;
        assert_eq!(response.status(), 405, "{method}");
        assert_eq!(header(&response, "allow"), "GET, HEAD");
        assert_eq!(body, b"method not allowed\n");
    }
}
