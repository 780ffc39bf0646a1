//! The manager: what it refuses, and pushes to a gateway.

mod common;

use metricsjob_http::{HttpLabel, HttpMetrics, Manager};
use metricsjob_metrics::{registry, text};
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts};

fn shown(manager: &Manager) -> String {
    text::encode(&registry::gather(manager.registry()))
}

#[test]
fn names_that_are_invalid() {
    for namespace in ["", "a-b", "1a", "a b"] {
        Manager::builder().namespace(namespace).build().unwrap_err();
    }
    for label in ["", "a-b", "1a", "__name__", "le", "quantile", "a:b"] {
        Manager::builder().label(label, "x").build().unwrap_err();
    }
}

#[test]
fn labels_are_not_given_twice() {
    let manager = Manager::builder().label("region", "eu").build().unwrap();
    let regional = |name: &str| IntCounterVec::new(Opts::new(name, "Help."), &["region"]).unwrap();
    let error = manager.register(regional("a_total")).unwrap_err();
    assert!(
        error.to_string().contains("a_total has the label region"),
        "{error}"
    );
    let constant = IntGauge::with_opts(Opts::new("b", "Help.").const_label("region", "us"));
    manager.register(constant.unwrap()).unwrap_err();
    let http = HttpMetrics::builder().rename_label(HttpLabel::Endpoint, "region");
    manager.register_http(http).unwrap_err();
    assert_eq!(shown(&manager), "");
    manager.register_http(HttpMetrics::builder()).unwrap();
    let line = "http_requests_in_flight{region=\"eu\"} 0\n";
    assert!(shown(&manager).contains(line), "{}", shown(&manager));
    let builder = Manager::builder()
        .label("region", "eu")
        .collector(regional("a_total"));
    builder.build().unwrap_err();
}

#[test]
fn collectors_come_and_go() {
    let counter = IntCounter::new("a_total", "Help.").unwrap();
    let manager = Manager::builder()
        .collector(counter.clone())
        .build()
        .unwrap();
    manager.register(counter.clone()).unwrap_err();
    let gauge = manager
        .register(IntGauge::new("b", "Help.").unwrap())
        .unwrap();
    gauge.set(2);
    assert!(shown(&manager).ends_with("b 2\n"));
    manager.registry().unregister(Box::new(gauge)).unwrap();
    assert!(shown(&manager).ends_with("a_total 0\n"));
}

#[cfg(feature = "push")]
mod push {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use metricsjob_client::Pusher;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;

    use super::common::KeptEvents;
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);
    const SHORT: Duration = Duration::from_millis(1);

    /// A gateway that passes on each request and answers it with `status`.
    async fn gateway(status: &'static str) -> (String, mpsc::UnboundedReceiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (seen, requests) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                // Each request ends with the only sample.
                while !request.ends_with(b"\n")
                    || !request.windows(6).any(|part| part == b"\na_tot")
                {
                    assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
                }
                let head =
                    format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                stream.write_all(head.as_bytes()).await.unwrap();
                let _ = seen.send(String::from_utf8(request).unwrap());
            }
        });
        (url, requests)
    }

    fn manager() -> (Manager, IntCounter) {
        let manager = Manager::builder().build().unwrap();
        let counter = manager.register(IntCounter::new("a_total", "Help.").unwrap());
        (manager, counter.unwrap())
    }

    #[tokio::test]
    async fn once_more_at_the_end() {
        let (url, mut requests) = gateway("200 OK").await;
        let (manager, counter) = manager();
        let pushes = manager.push_every(LONG, Pusher::new(&url, "shop").unwrap());
        counter.inc_by(7);
        pushes.stop().await;
        let request = requests.recv().await.unwrap();
        assert!(
            request.starts_with("PUT /metrics/job/shop HTTP/1.1\r\n"),
            "{request}"
        );
        assert!(request.ends_with("\na_total 7\n"), "{request}");
        assert!(requests.try_recv().is_err());
    }

    #[tokio::test]
    async fn every_interval_whatever_the_gateway_says() {
        for status in ["200 OK", "500 Internal Server Error", "400 Bad Request"] {
            let (url, mut requests) = gateway(status).await;
            let (manager, counter) = manager();
            for interval in [SHORT, Duration::ZERO] {
                let pushes = manager.push_every(interval, Pusher::new(&url, "shop").unwrap());
                for _ in 0..3 {
                    counter.inc();
                    requests.recv().await.unwrap();
                }
                counter.inc();
                pushes.stop().await;
                let mut last = String::new();
                while let Ok(request) = requests.try_recv() {
                    last = request;
                }
                assert!(
                    last.ends_with(&format!("\na_total {}\n", counter.get())),
                    "{last}"
                );
            }
        }
    }

    #[tokio::test]
    async fn gateways_that_are_not_there() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let events = KeptEvents::default();
        let _default = tracing::subscriber::set_default(events.clone());
        let (manager, _) = manager();
        let pushes = manager.push_every(SHORT, Pusher::new(&url, "shop").unwrap());
        tokio::time::timeout(Duration::from_secs(60), pushes.stop())
            .await
            .unwrap();
        let events = events.0.lock().unwrap();
        assert!(
            events.contains("message=the metrics could not be pushed err="),
            "{events}"
        );
    }

    #[tokio::test]
    async fn a_last_push_even_if_nobody_waits_for_it() {
        let (url, mut requests) = gateway("200 OK").await;
        let (manager, _) = manager();
        drop(manager.push_every(LONG, Pusher::new(&url, "shop").unwrap()));
        requests.recv().await.unwrap();
    }

    /// Panics the first time.
    struct Fragile(IntCounter, Arc<Mutex<bool>>);

    impl prometheus::core::Collector for Fragile {
        fn desc(&self) -> Vec<&prometheus::core::Desc> {
            self.0.desc()
        }

        fn collect(&self) -> Vec<prometheus::proto::MetricFamily> {
            let first = std::mem::take(&mut *self.1.lock().unwrap());
            assert!(!first, "on purpose");
            self.0.collect()
        }
    }

    #[tokio::test]
    async fn collectors_that_panic() {
        let (url, mut requests) = gateway("200 OK").await;
        let is_first = Arc::new(Mutex::new(true));
        let counter = IntCounter::new("a_total", "Help.").unwrap();
        let collector = Fragile(counter, Arc::clone(&is_first));
        let manager = Manager::builder().collector(collector).build().unwrap();
        let pushes = manager.push_every(SHORT, Pusher::new(&url, "shop").unwrap());
        requests.recv().await.unwrap();
        assert!(!*is_first.lock().unwrap());
        pushes.stop().await;
    }
}
