//! The client crate, as a Rust batch job uses it: a registry pushed from anywhere, and what can go wrong.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use metricsjob_client::{Pusher, PusherError};
use metricsjob_metrics::Family;
use prometheus::{Histogram, HistogramOpts, IntCounter, Registry};

use crate::common::own_gateway::OwnGateway;
use crate::common::{FakeServer, Port, Sandbox, TlsServer};

fn registry() -> (Registry, IntCounter) {
    let registry = Registry::new();
    let records = IntCounter::new("db_backup_records_total", "Records.").unwrap();
    registry.register(Box::new(records.clone())).unwrap();
    (registry, records)
}

fn pusher(gateway: &OwnGateway, registry: &Registry) -> Pusher {
    let pusher = Pusher::new(&gateway.url(), "db_backup").unwrap();
    let pusher = pusher.grouping("db", "customers").unwrap();
    pusher.registry(registry)
}

fn records(gateway: &OwnGateway) -> Option<f64> {
    let series = r#"db_backup_records_total{db="customers"}"#;
    gateway.value("db_backup", series)
}

#[test]
fn push_replaces_add_adds_delete_deletes() {
    let gateway = OwnGateway::alone(&[]);
    let (registry, counter) = registry();
    let pusher = pusher(&gateway, &registry);
    counter.inc_by(5);
    pusher.push().unwrap();
    assert_eq!(records(&gateway), Some(5.0));
    // It is gathered anew, and what others have added stays.
    counter.inc();
    let other = Pusher::new(&gateway.url(), "db_backup").unwrap();
    let other = other.grouping("db", "customers").unwrap();
    let other = other.families([Family::gauge("other", "Other.", 7.0)]);
    other.add().unwrap();
    pusher.add().unwrap();
    assert_eq!(records(&gateway), Some(6.0));
    assert_eq!(gateway.samples("other").len(), 1);
    pusher.push().unwrap();
    assert_eq!(gateway.samples("other").len(), 0);
    pusher.delete().unwrap();
    assert_eq!(records(&gateway), None);
    // As a Pushgateway has it, that is no error.
    pusher.delete().unwrap();
}

#[test]
fn within_a_current_thread_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread();
    within({ runtime }.enable_all().build().unwrap());
}

#[test]
fn within_a_multi_thread_runtime() {
    let runtime = tokio::runtime::Builder::new_multi_thread();
    within({ runtime }.enable_all().build().unwrap());
}

fn within(runtime: tokio::runtime::Runtime) {
    let gateway = OwnGateway::alone(&[]);
    let (registry, counter) = registry();
    let pusher = pusher(&gateway, &registry);
    runtime.block_on(async {
        counter.inc();
        pusher.add().unwrap();
        assert_eq!(records(&gateway), Some(1.0));
        counter.inc();
        pusher.add_async().await.unwrap();
        assert_eq!(records(&gateway), Some(2.0));
        pusher.push_async().await.unwrap();
        // Also where tasks are moved between threads.
        let moved = pusher.clone();
        let task = async move { moved.delete_async().await };
        tokio::spawn(task).await.unwrap().unwrap();
        assert_eq!(records(&gateway), None);
    });
}

#[test]
fn in_a_drop() {
    struct Job(Pusher, IntCounter);
    impl Drop for Job {
        fn drop(&mut self) {
            self.1.inc();
            self.0.add().unwrap();
        }
    }
    let gateway = OwnGateway::alone(&[]);
    let (registry, counter) = registry();
    let job = || Job(pusher(&gateway, &registry), counter.clone());
    drop(job());
    assert_eq!(records(&gateway), Some(1.0));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async { drop(job()) });
    assert_eq!(records(&gateway), Some(2.0));
    // While a panic unwinds, too.
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _job = job();
        panic!("the job fails");
    }));
    assert!(panicked.is_err());
    assert_eq!(records(&gateway), Some(3.0));
}

#[test]
fn each_encoding_arrives() {
    let gateway = OwnGateway::alone(&[]);
    let (registry, counter) = registry();
    let latency = HistogramOpts::new("latency_seconds", "Latency.").buckets(vec![0.1, 1.0]);
    let latency = Histogram::with_opts(latency).unwrap();
    latency.observe(0.5);
    registry.register(Box::new(latency)).unwrap();
    let encodings: [fn(Pusher) -> Pusher; 4] = [
        |pusher| pusher,
        Pusher::gzip,
        Pusher::protobuf,
        |pusher| pusher.protobuf().gzip(),
    ];
    for (pushes, encoded) in (1..).zip(encodings) {
        counter.inc();
        encoded(pusher(&gateway, &registry)).push().unwrap();
        assert_eq!(records(&gateway), Some(f64::from(pushes)));
        let samples = gateway.samples("latency_seconds_bucket");
        assert_eq!(samples.values().sum::<f64>(), 2.0, "{samples:?}");
    }
}

#[test]
fn credentials_are_sent_and_not_shown() {
    // It sends back what it got.
    let basic = FakeServer::status("401 Unauthorized", "dXNlcjpzM2NyZXQ6Y29sb24= s3cret:colon");
    let bearer = FakeServer::status("401 Unauthorized", "s3cret-token");
    let to = |server: &FakeServer| Pusher::new(&server.url(), "j").unwrap();
    for (server, pusher, header) in [
        (
            &basic,
            to(&basic).basic_auth("user", "s3cret:colon").unwrap(),
            "authorization: Basic dXNlcjpzM2NyZXQ6Y29sb24=",
        ),
        (
            &bearer,
            to(&bearer).bearer_token("s3cret-token").unwrap(),
            "authorization: Bearer s3cret-token",
        ),
    ] {
        let shown = format!("{pusher:?} {}", pusher.delete().unwrap_err());
        assert!(shown.contains("401 Unauthorized: ***"), "{shown}");
        assert!(
            !shown.contains("s3cret") && !shown.contains("dXNl"),
            "{shown}"
        );
        let headers = &server.requests()[0].headers;
        assert!(headers.iter().any(|sent| sent == header), "{headers:?}");
    }
}

#[test]
fn over_tls_with_an_authority_of_its_own() {
    let (server, sandbox) = (TlsServer::start(), Sandbox::new());
    let pusher = Pusher::new(&server.url(), "j").unwrap();
    let stranger = pusher.clone().delete().unwrap_err().to_string();
    assert!(stranger.contains("not trusted"), "{stranger}");
    let trusting = pusher.clone().ca_file(server.authority(&sandbox)).unwrap();
    trusting.push().unwrap();
    let missing = pusher.ca_file("/no/such/file").unwrap_err().to_string();
    assert!(missing.starts_with("/no/such/file cannot be used: "));
}

#[test]
fn failures_that_may_pass_are_tried_again() {
    let server = FakeServer::status("503 Service Unavailable", "");
    let pusher = Pusher::new(&server.url(), "j").unwrap();
    pusher.push().unwrap_err();
    assert_eq!(server.requests().len(), 1);
    let start = Instant::now();
    let patient = pusher.retry_for(Duration::from_millis(400));
    patient.push().unwrap_err();
    assert!(server.requests().len() > 2, "{}", server.requests().len());
    assert!(start.elapsed() < Duration::from_secs(5));
    // What the gateway has refused is not.
    let server = FakeServer::status("400 Bad Request", "inconsistent");
    let pusher = Pusher::new(&server.url(), "j").unwrap();
    let pusher = pusher.retry_for(Duration::from_secs(60));
    let error = pusher.push().unwrap_err().to_string();
    assert!(error.contains("400 Bad Request: inconsistent"), "{error}");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_gateway_that_does_not_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let pusher = Pusher::new(&url, "j").unwrap();
    let start = Instant::now();
    let error = pusher.timeout(Duration::from_millis(200)).push();
    let error = error.unwrap_err().to_string();
    assert!(error.contains("200ms"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(5));
    let port = Port::reserve();
    let url = format!("http://{}", port.address());
    let refused = Pusher::new(&url, "j").unwrap().push().unwrap_err();
    let refused = refused.to_string();
    assert!(refused.contains("connection refused"), "{refused}");
}

#[test]
fn mistakes_are_found_before_anything_is_sent() {
    let server = FakeServer::status("200 OK", "");
    assert!(matches!(
        Pusher::new("ftp://gateway", "j"),
        Err(PusherError::Url(_))
    ));
    let pusher = Pusher::new(&server.url(), "j").unwrap();
    assert!(matches!(
        Pusher::new(&server.url(), ""),
        Err(PusherError::GroupingKey(_))
    ));
    for (name, value) in [("job", "k"), ("0", ""), ("__a", ""), ("db", "again")] {
        let pusher = pusher.clone().grouping("db", "customers").unwrap();
        let error = pusher.grouping(name, value).unwrap_err();
        assert!(matches!(error, PusherError::GroupingKey(_)), "{name}");
    }
    assert!(pusher.clone().bearer_token("a\nb").is_err());
    assert!(pusher.clone().basic_auth("a", "b\nc").is_err());
    // The gateway would refuse all of the push.
    let twice = [
        Family::gauge("twice", "", 1.0),
        Family::gauge("twice", "", 2.0),
    ];
    let error = pusher.families(twice).push().unwrap_err();
    assert!(matches!(error, PusherError::Metrics(_)), "{error}");
    assert_eq!(server.requests().len(), 0);
}
