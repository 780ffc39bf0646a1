//! The exporter, whose intervals are a thousandth.

use std::fs;

use examples_harness::{Program, Signal, awaited};

const PROGRAM: &str = env!("CARGO_BIN_EXE_custom-exporter");

fn exporter() -> Program {
    Program::start(PROGRAM, &["--every-scale", "0.001"])
}

/// All values of a metric, by their labels as they are exposed.
fn values(text: &str, name: &str) -> Vec<(String, f64)> {
    let series = text.lines().filter_map(|line| line.strip_prefix(name));
    let series = series.filter(|rest| rest.starts_with(['{', ' ']));
    series
        .map(|rest| {
            let (labels, value) = rest.rsplit_once(' ').unwrap();
            (labels.to_owned(), value.parse().unwrap())
        })
        .collect()
}

/// The metrics, as soon as each group was measured.
fn metrics(exporter: &Program) -> String {
    awaited("all metrics", || {
        let response = exporter.get("/custom-metrics");
        assert_eq!(response.status, 200);
        let content_type = response.header("content-type").unwrap();
        assert!(content_type.starts_with("text/plain; version=0.0.4"));
        let text = response.text();
        let count = |name| values(&text, name).len();
        // A scrape may come amid the first measurement.
        let is_whole = count("external_service_latency_seconds") == 4
            && count("business_customer_satisfaction_score") == 12
            && count("system_disk_bytes") > 0
            && count("system_disk_bytes").is_multiple_of(2);
        is_whole.then_some(text)
    })
}

#[test]
fn the_machine() {
    let exporter = exporter();
    let text = metrics(&exporter);
    let [(_, cpu)] = values(&text, "system_cpu_usage_ratio")[..] else {
        panic!("{text}")
    };
    assert!((0.0..=1.0).contains(&cpu), "{cpu}");
    let [(_, tasks)] = values(&text, "system_tasks")[..] else {
        panic!("{text}")
    };
    assert!(tasks >= 1.0);
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap();
    let total: f64 = meminfo.split_whitespace().nth(1).unwrap().parse().unwrap();
    awaited("memory, not amid a measurement", || {
        let memory = values(&metrics(&exporter), "system_memory_bytes");
        let [(_, available), (_, all), (_, used)] = &memory[..] else {
            panic!("{memory:?}")
        };
        assert_eq!(*all, total * 1024.0);
        (used + available == *all).then_some(())
    });
    let disks = values(&text, "system_disk_bytes");
    assert!(
        disks
            .iter()
            .any(|(labels, bytes)| labels.contains("mountpoint=\"/\"") && *bytes > 0.0),
        "{disks:?}"
    );
    assert!(disks.iter().all(|(labels, _)| labels.contains("device=\"")));
    let failures = values(&text, "system_measurement_failures_total");
    assert_eq!(failures, [(String::new(), 0.0)]);
    exporter.terminate();
}

#[test]
fn the_business() {
    let exporter = exporter();
    let text = metrics(&exporter);
    let [(_, revenue)] = values(&text, "business_revenue_dollars")[..] else {
        panic!("{text}")
    };
    assert!((100_000.0..=150_000.0).contains(&revenue));
    let scores = values(&text, "business_customer_satisfaction_score");
    assert_eq!(scores.len(), 12);
    assert!(scores.iter().all(|(_, score)| (3.5..=5.0).contains(score)));
    for region in ["us-east", "us-west", "europe", "asia"] {
        for product in ["premium", "standard", "basic"] {
            let labels = format!("{{product=\"{product}\",region=\"{region}\"}}");
            assert!(scores.iter().any(|(known, _)| *known == labels), "{labels}");
        }
    }
    awaited("a sale", || {
        exporter
            .value_at("/custom-metrics", "business_sales_total")
            .filter(|sales| *sales >= 3.0)
    });
    exporter.terminate();
}

#[test]
fn the_services() {
    let exporter = exporter();
    let mut has_been = [false; 2];
    // One of four is down in a fifth of the measurements.
    awaited("a service that is down, and one that is up", || {
        let text = metrics(&exporter);
        let up = values(&text, "external_service_up");
        let latency = values(&text, "external_service_latency_seconds");
        assert_eq!((up.len(), latency.len()), (4, 4));
        for service in ["payment-gateway", "email-service", "cdn", "database"] {
            let service = format!("service=\"{service}\"");
            assert!(up.iter().any(|(labels, _)| labels.contains(&service)));
        }
        // A scrape may come between the two.
        for ((labels, up), (other, latency)) in up.iter().zip(&latency) {
            assert!(labels == other && labels.contains("endpoint=\""));
            assert!(*latency == 5.0 || (0.05..=0.25).contains(latency));
            assert!([0.0, 1.0].contains(up));
            has_been[*up as usize] = true;
        }
        has_been.iter().all(|has| *has).then_some(())
    });
    exporter.terminate();
}

#[test]
fn connections_and_the_program_itself() {
    let exporter = exporter();
    let value = |series: &str| exporter.value_at("/custom-metrics", series);
    let mut last = 0.0;
    let mut moves = [false; 2];
    awaited("connections that are opened and closed", || {
        let now = value("active_connections").unwrap();
        assert!(now >= 0.0 && now.fract() == 0.0);
        moves[0] |= now > last;
        moves[1] |= now < last;
        last = now;
        (moves == [true; 2]).then_some(())
    });
    let info = format!(
        "app_info{{environment=\"example\",name=\"custom-exporter\",version=\"{}\"}}",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(value(&info), Some(1.0));
    let before = value("app_uptime_seconds").unwrap();
    assert!(before > 0.0);
    assert!(value("app_uptime_seconds").unwrap() > before);
    assert!(value("app_start_timestamp_seconds").unwrap() > 1.6e9);
    exporter.terminate();
}

#[test]
fn requests_right_and_wrong() {
    let exporter = exporter();
    let health = exporter.get("/health");
    assert_eq!((health.status, health.text().trim()), (200, "ok"));
    for path in ["/", "/metrics", "/custom-metrics/", "/health/x", "//"] {
        assert_eq!(exporter.get(path).status, 404, "{path}");
    }
    for path in ["/custom-metrics", "/health"] {
        let response = exporter.request("POST", path, &[], b"x");
        assert_eq!(response.status, 405);
        assert!(response.header("allow").unwrap().contains("GET"));
        assert_eq!(exporter.request("HEAD", path, &[], b"").status, 200);
    }
}

#[test]
fn it_ends_in_order_and_refuses_bad_options() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut exporter = exporter();
        exporter.signal(signal);
        assert!(exporter.wait().success());
    }
    for bad in ["0", "-1", "x", "inf", "NaN", "1e9"] {
        let output = std::process::Command::new(PROGRAM)
            .args(["--listen", "127.0.0.1:0", &format!("--every-scale={bad}")])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{bad}");
    }
}
