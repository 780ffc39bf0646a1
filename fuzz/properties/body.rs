//! A body says the same compressed as plain, keeps within the limits, and what it reserved is given back.

use std::io::Write;
use std::time::Duration;

use axum::body::Body as HttpBody;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use flate2::Compression;
use flate2::write::GzEncoder;
use metricsjob_gateway::PushLimits;
use metricsjob_gateway::body::{BodyError, Received, Receiver};
use metricsjob_metrics::{Names, protobuf};
use metricsjob_state::group_log::Body;
use snap::write::FrameEncoder;
use tokio::runtime::{Builder, Runtime};

const LIMITS: PushLimits = PushLimits {
    body: 4096,
    // Of one body, as it came and decompressed.
    pending: 2 * 4096,
    labels: 3,
    label_value: 10,
    name: 10,
    series: usize::MAX,
    names: Names::Legacy,
    read_timeout: Duration::from_secs(60),
};

/// The first byte says what is done with the others.
pub fn check(input: &[u8]) {
    let Some((&first, input)) = input.split_first() else {
        return;
    };
    let mut headers = HeaderMap::new();
    if first & 1 != 0 {
        let protobuf = HeaderValue::from_static(protobuf::CONTENT_TYPE);
        headers.insert(CONTENT_TYPE, protobuf);
    }
    let receiver = Receiver::new(LIMITS);
    let encoding = if first & 2 != 0 { "gzip" } else { "snappy" };
    if first & 4 != 0 {
        // As it is: mostly it is broken.
        let _ = read(&receiver, &with_encoding(&headers, encoding), input);
    } else {
        let at = usize::from(first >> 3) * input.len() / 32;
        let (start, end) = input.split_at(at);
        // An empty part between others says nothing, and does not end it.
        let parts = [start, b"", end];
        let compressed = match encoding {
            "gzip" => parts.map(gzip),
            _ => parts.map(snappy),
        };
        let compressed = compressed.concat();
        if input.len() <= LIMITS.body && compressed.len() <= LIMITS.body {
            let headers_of_compressed = with_encoding(&headers, encoding);
            let read_compressed = read(&receiver, &headers_of_compressed, &compressed);
            assert_eq!(read(&receiver, &headers, input), read_compressed);
        }
    }

    // All that may be pending is free again.
    let all = vec![b'\n'; LIMITS.body];
    let received = [
        receive(&receiver, &headers, &all),
        receive(&receiver, &headers, &all),
    ];
    assert!(received.iter().all(Result::is_ok));
}

/// What the body says, or why it says nothing, as text: a NaN equals nothing.
fn read(receiver: &Receiver, headers: &HeaderMap, body: &[u8]) -> String {
    let mut received = match receive(receiver, headers, body) {
        Ok(received) => received,
        Err(BodyError::TooLarge { .. }) if body.len() > LIMITS.body => return String::new(),
        Err(error) => panic!("{error}"),
    };
    match receiver.read(headers, &mut received) {
        Ok(read) => {
            let (Body::Text(bytes) | Body::Protobuf(bytes)) = &read.0;
            assert!(bytes.len() <= LIMITS.body);
            format!("{read:?}")
        }
        Err(error @ (BodyError::Busy | BodyError::OverPending(_))) => panic!("{error}"),
        Err(error) => {
            let error = error.to_string();
            assert!(error.len() < 1000, "{error}");
            error
        }
    }
}

fn receive(receiver: &Receiver, headers: &HeaderMap, body: &[u8]) -> Result<Received, BodyError> {
    thread_local! {
        static RUNTIME: Runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    }
    let body = HttpBody::from(body.to_vec());
    RUNTIME.with(|runtime| runtime.block_on(receiver.receive(headers, body)))
}

fn with_encoding(headers: &HeaderMap, encoding: &'static str) -> HeaderMap {
    let mut headers = headers.clone();
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    headers
}

fn gzip(part: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(part).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

fn snappy(part: &[u8]) -> Vec<u8> {
    let mut encoder = FrameEncoder::new(Vec::new());
    encoder.write_all(part).expect("memory takes it");
    encoder.into_inner().expect("memory takes it")
}
