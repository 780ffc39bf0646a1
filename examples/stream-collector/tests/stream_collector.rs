//! The collector with its own exchange, publishing to stdout.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use examples_harness::{Program, Signal, awaited};
use serde_json::Value as Json;

const PROGRAM: &str = env!("CARGO_BIN_EXE_stream-collector");

/// Options of an exchange that is quick and makes no mistakes.
const GOOD: [&str; 3] = [
    "--exchange-rate=200",
    "--exchange-drops=0",
    "--exchange-broken=0",
];

const SYMBOLS: [&str; 2] = ["BTC-USD", "ETH-USD"];

/// Sum of all series of a counter.
fn total(text: &str, name: &str) -> f64 {
    let series = text.lines().filter_map(|line| line.strip_prefix(name));
    let series = series.filter(|rest| rest.starts_with(['{', ' ']));
    let values = series.map(|rest| rest.rsplit_once(' ').unwrap().1);
    values.map(|value| value.parse::<f64>().unwrap()).sum()
}

/// Windows that a program has logged.
fn windows(stderr: &str) -> Vec<Json> {
    let lines = stderr.lines().filter(|line| line.starts_with('{'));
    let lines = lines.map(|line| serde_json::from_str::<Json>(line).unwrap());
    lines
        .map(|line| {
            assert_eq!(
                (&line["level"], &line["message"]),
                (&"info".into(), &"metrics".into())
            );
            assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
            line["metrics"].clone()
        })
        .collect()
}

#[test]
fn each_message_is_counted_and_published() {
    let collector = Program::start(PROGRAM, &GOOD);
    for symbol in SYMBOLS {
        for channel in ["ticker", "book", "trades"] {
            let received = format!(
                "collector_messages_received_total{{channel=\"{channel}\",symbol=\"{symbol}\"}}"
            );
            let labels = format!("{{stream=\"market:{channel}\",symbol=\"{symbol}\"}}");
            let published = format!("collector_messages_published_total{labels}");
            let latency = format!("collector_publish_latency_seconds_count{labels}");
            awaited(&received, || {
                collector.value(&received).filter(|n| *n > 3.0)
            });
            awaited(&published, || {
                collector.value(&published).filter(|n| *n > 3.0)
            });
            awaited(&latency, || collector.value(&latency).filter(|n| *n > 3.0));
            let last = format!(
                "collector_last_message_timestamp_seconds{{channel=\"{channel}\",symbol=\"{symbol}\"}}"
            );
            assert!(collector.value(&last).unwrap() > 1.6e9);
        }
    }
    let text = collector.get("/metrics").text();
    let buckets = |name: &str| {
        let lines = text.lines().filter(|line| line.starts_with(name));
        let first = lines.clone().next().unwrap().split("le=").next().unwrap();
        lines
            .filter_map(|line| line.strip_prefix(first)?.split('"').nth(1))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        buckets("collector_publish_latency_seconds_bucket"),
        ["0.001", "0.005", "0.01", "0.05", "0.1", "0.5", "1", "+Inf"]
    );
    assert_eq!(buckets("collector_message_size_bytes_bucket").len(), 9);
    for error in ["parse_error", "publish_error", "api_error"] {
        let error = format!("collector_errors_total{{error_type=\"{error}\"}}");
        assert_eq!(collector.value(&error), Some(0.0));
    }
    assert_eq!(collector.value("collector_reconnects_total"), Some(0.0));
    assert!(collector.value("collector_redis_buffer_messages").is_some());
    collector.terminate();
}

#[test]
fn nothing_is_lost_at_the_end_and_each_event_is_in_one_window() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let variables = [("METRICS_INTERVAL_SECONDS", "0.05")];
        let mut collector = Program::start_with(PROGRAM, &GOOD, &variables);
        awaited("three windows", || {
            (windows(&collector.stderr()).len() >= 3).then_some(())
        });
        collector.signal(signal);
        assert!(collector.wait().success());
        let windows = windows(&collector.stderr());
        let sum = |name: &str| {
            let values = windows.iter().map(|window| window[name].as_u64().unwrap());
            values.sum::<u64>()
        };
        let stdout = collector.stdout();
        assert!(sum("received") > 0);
        assert_eq!(sum("published"), sum("received"));
        assert_eq!(stdout.lines().count() as u64, sum("published"));
        // The numbers of the messages have no gap.
        for (line, id) in stdout.lines().zip(1..) {
            let (stream, data) = line.split_once(' ').unwrap();
            let data: Json = serde_json::from_str(data).unwrap();
            assert_eq!(data["id"], id);
            assert_eq!(
                stream,
                format!("market:{}", data["channel"].as_str().unwrap())
            );
        }
        assert_eq!(
            (sum("reconnects"), &windows[0]["errors"]),
            (0, &serde_json::json!({}))
        );
        assert!(windows[0]["window_seconds"].as_f64().unwrap() >= 0.05);
        let busy = windows.iter().find(|window| window["published"] != 0);
        let [p50, p95, p99] = ["p50", "p95", "p99"].map(|name| busy.unwrap()[name].as_f64());
        assert!(p50 > Some(0.0) && p50 <= p95 && p95 <= p99);
    }
}

#[test]
fn it_survives_what_an_exchange_does() {
    let options = [
        "--exchange-rate=200",
        "--exchange-drops=0.02",
        "--exchange-broken=0.2",
    ];
    let variables = [("METRICS_INTERVAL_SECONDS", "0.05")];
    let mut collector = Program::start_with(PROGRAM, &options, &variables);
    let text = awaited("errors and connections", || {
        let text = collector.get("/metrics").text();
        let is_enough = total(&text, "collector_reconnects_total") >= 2.0
            && text.lines().all(|line| {
                let is_quiet = line.ends_with(" 0") && !line.contains("publish_error");
                !(line.starts_with("collector_errors_total") && is_quiet)
            });
        is_enough.then_some(text)
    });
    // It goes on.
    let before = total(&text, "collector_messages_received_total");
    awaited("more messages", || {
        let text = collector.get("/metrics").text();
        (total(&text, "collector_messages_received_total") > before).then_some(())
    });
    collector.signal(Signal::SIGTERM);
    assert!(collector.wait().success());
    let windows = windows(&collector.stderr());
    let has = |name| windows.iter().any(|window| window["errors"][name].is_u64());
    assert!(has("parse_error") && has("api_error"));
    assert!(!has("publish_error"));
    assert!(windows.iter().any(|window| window["reconnects"] != 0));
}

#[test]
fn an_exchange_that_is_not_there() {
    let options = ["--exchange=ws://127.0.0.1:1", "--symbols=A"];
    let collector = Program::start(PROGRAM, &options);
    awaited("attempts", || {
        let text = collector.get("/metrics").text();
        let errors = total(&text, "collector_errors_total");
        let reconnects = total(&text, "collector_reconnects_total");
        (errors >= 3.0 && reconnects >= 2.0).then_some(())
    });
    let waits = collector.stderr();
    let waits = waits.lines().filter_map(|line| {
        let wait = line
            .strip_prefix("connecting again in ")?
            .split_once("ms")?;
        wait.0.parse::<f64>().ok()
    });
    let waits: Vec<f64> = waits.take(3).collect();
    assert!(waits[2] > waits[0] && waits[0] <= 100.0, "{waits:?}");
    assert_eq!(collector.get("/healthz").text(), "ok");
    collector.terminate();
}

#[test]
fn a_symbol_that_is_not_traded() {
    let options = [&GOOD[..], &["--symbols=BTC-USD,XYZ"]].concat();
    let collector = Program::start(PROGRAM, &options);
    collector.shows("collector_errors_total{error_type=\"api_error\"}", 1.0);
    let received = "collector_messages_received_total{channel=\"ticker\",symbol=\"BTC-USD\"}";
    awaited("a ticker", || collector.value(received));
    assert!(collector.stderr().contains("unknown symbol"));
}

#[test]
fn outputs_can_be_turned_off() {
    let variables = [
        ("ENABLE_METRICS", "false"),
        ("METRICS_INTERVAL_SECONDS", "0.01"),
    ];
    let mut collector = Program::start_with(PROGRAM, &GOOD, &variables);
    let received = "collector_messages_received_total{channel=\"ticker\",symbol=\"BTC-USD\"}";
    awaited("messages", || {
        collector.value(received).filter(|n| *n > 9.0)
    });
    collector.signal(Signal::SIGTERM);
    assert!(collector.wait().success());
    assert!(windows(&collector.stderr()).is_empty());

    let variables = [
        ("ENABLE_PROMETHEUS_METRICS", "0"),
        ("METRICS_INTERVAL_SECONDS", "0.01"),
    ];
    let collector = Program::start_with(PROGRAM, &GOOD, &variables);
    awaited("windows", || {
        (windows(&collector.stderr()).len() > 3).then_some(())
    });
    assert_eq!(collector.get("/metrics").status, 404);
    assert_eq!(collector.get("/healthz").text(), "ok");
    collector.terminate();

    let variables = [("METRICS_INTERVAL_SECONDS", "0")];
    let mut collector = Program::start_with(PROGRAM, &GOOD, &variables);
    collector.signal(Signal::SIGTERM);
    assert!(collector.wait().success());
    assert!(windows(&collector.stderr()).is_empty());
}

#[test]
fn requests_and_options_that_are_wrong() {
    let collector = Program::start(PROGRAM, &GOOD);
    for path in ["/", "/metrics/", "/health", "/%00", "//"] {
        assert_eq!(collector.get(path).status, 404, "{path}");
    }
    for path in ["/metrics", "/healthz"] {
        let response = collector.request("PUT", path, &[], b"x");
        assert_eq!(response.status, 405);
        assert!(response.header("allow").unwrap().contains("GET"));
    }
    for (name, value) in [
        ("METRICS_PORT", "70000"),
        ("METRICS_INTERVAL_SECONDS", "-1"),
        ("METRICS_INTERVAL_SECONDS", "soon"),
        ("ENABLE_METRICS", "perhaps"),
        ("ENABLE_PROMETHEUS_METRICS", "2"),
    ] {
        let output = Command::new(PROGRAM).env(name, value).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}={value}");
    }
    for option in [
        "--redis=nowhere",
        "--exchange-broken=2",
        "--exchange-rate=0",
    ] {
        let output = Command::new(PROGRAM).arg(option).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{option}");
    }
}

#[test]
fn a_port_from_the_environment() {
    let mut child = Command::new(PROGRAM)
        .env("METRICS_PORT", "0")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    stderr.read_line(&mut line).unwrap();
    let _ = child.kill();
    child.wait().unwrap();
    let port = line.trim().strip_prefix("listening on http://127.0.0.1:");
    assert!(port.unwrap().parse::<u16>().unwrap() > 0, "{line}");
}
