use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime};

use prometheus::{CounterVec, HistogramOpts, HistogramVec, Opts};
use serde_json::{Value, json};

use super::*;
use crate::{SummaryOpts, summary_vec};

/// The fields of a snapshot but for its length.
fn fields(snapshot: &WindowSnapshot) -> Value {
    let mut fields = snapshot.fields().clone();
    fields.shift_remove("window_seconds").unwrap();
    Value::Object(fields)
}

#[test]
fn an_empty_window_has_all_fields() {
    let window = Window::default();
    let fields = fields(&window.snapshot());
    let expected = json!({
        "received": 0, "published": 0, "errors": {}, "reconnects": 0,
        "p50": null, "p95": null, "p99": null,
    });
    assert_eq!(fields, expected);
    let names: Vec<_> = fields.as_object().unwrap().keys().collect();
    assert_eq!(names[0], "received");
    assert_eq!(names[6], "p99");
    assert_eq!(Window::new().snapshot().fields().len(), 1);
}

#[test]
fn events_are_counted_by_declared_labels() {
    let window = Window::new()
        .count("received")
        .count_by("runs", &["job", "outcome"]);
    window.increment("received", &[("channel", "a")], 2.0);
    window.increment("received", &[("channel", "b")], 0.5);
    for outcome in ["success", "failure", "success"] {
        window.increment("runs", &[("outcome", outcome), ("job", "x")], 1.0);
    }
    window.increment("runs", &[("job", "y")], 1.0);
    window.increment("undeclared", &[("a", "b")], 3.0);
    window.increment("received", &[], f64::NAN);
    window.observe("undeclared seconds", &[], 1.0);
    let expected = json!({
        "received": 2.5,
        "runs": { "x": { "failure": 1, "success": 2 }, "y": { "": 1 } },
        "undeclared": 3,
    });
    assert_eq!(fields(&window.snapshot()), expected);
    assert_eq!(fields(&window.reset()), expected);
    assert_eq!(
        fields(&window.reset()),
        json!({ "received": 0, "runs": {} })
    );
}

#[test]
fn quantiles_are_of_one_window() {
    let window = Window::default();
    for value in 1..=1000 {
        window.observe("latency", &[("stream", "s")], f64::from(value));
    }
    window.observe("latency", &[], f64::NAN);
    let ended = window.reset();
    for (name, rank, error) in [
        ("p50", 500.0, 22.0),
        ("p95", 950.0, 3.0),
        ("p99", 990.0, 1.0),
    ] {
        let value = ended.fields()[name].as_f64().unwrap();
        assert!((value - rank).abs() <= error, "{name} {value}");
    }
    assert!(window.snapshot().fields()["p50"].is_null());
    window.observe("latency", &[], 0.123_456_789);
    assert_eq!(window.snapshot().fields()["p99"], 0.123_457);
}

#[test]
fn a_window_begins_where_the_last_one_ends() {
    let window = Window::new();
    let start = Instant::now() + Duration::from_secs(100);
    window.reset_at(start);
    let ended = window.reset_at(start + Duration::from_millis(2500));
    assert_eq!(ended.fields()["window_seconds"], 2.5);
    // A clock that goes back.
    assert_eq!(window.reset_at(start).fields()["window_seconds"], 0.0);
}

#[test]
fn prometheus_and_the_window_see_the_same() {
    let counters = CounterVec::new(
        Opts::new("errors_total", "Errors."),
        &["error_type", "host"],
    );
    let histograms = HistogramVec::new(HistogramOpts::new("seconds", "Seconds."), &["stream"]);
    let summaries = summary_vec(SummaryOpts::new("both_seconds", "Seconds."), &[]);
    let (counters, histograms, summaries) =
        (counters.unwrap(), histograms.unwrap(), summaries.unwrap());
    let tee = Tee::new(Window::default())
        .counter("errors", &counters)
        .histogram("latency", &histograms)
        .summary("latency", &summaries);
    tee.increment("errors", &[("other", "x"), ("error_type", "parse")], 2.0);
    tee.increment("errors", &[("error_type", "parse")], -1.0);
    tee.increment("received", &[], 1.0);
    tee.observe("latency", &[("stream", "s")], 0.5);
    assert_eq!(tee.reset().fields()["errors"], json!({ "parse": 1 }));
    tee.increment("errors", &[("error_type", "parse")], 1.0);
    assert_eq!(tee.snapshot().fields()["errors"], json!({ "parse": 1 }));
    assert_eq!(counters.with_label_values(&["parse", ""]).get(), 3.0);
    let histogram = histograms.with_label_values(&["s"]);
    assert_eq!(histogram.get_sample_count(), 1);
    let none: &[&str] = &[];
    assert_eq!(summaries.with_label_values(none).quantile(0.5), 0.5);
}

#[test]
fn the_log_has_each_window_and_the_last_one() {
    let (send, windows) = mpsc::channel();
    let window = Arc::new(Window::default());
    let sink = move |window: &WindowSnapshot| send.send(window.clone()).unwrap();
    let interval = Duration::from_millis(5);
    let log = WindowLog::start_with(Arc::clone(&window), interval, sink).unwrap();
    let mut seen = 0;
    for round in 1..=3 {
        window.increment("received", &[], 1.0);
        while seen < round {
            let ended: WindowSnapshot = windows.recv().unwrap();
            assert!(ended.fields()["window_seconds"].as_f64().unwrap() >= 0.005);
            seen += ended.fields()["received"].as_u64().unwrap();
        }
    }
    window.increment("received", &[], 4.0);
    drop(log);
    let rest = windows.iter().map(|w| w.fields()["received"].as_u64());
    assert_eq!(rest.flatten().sum::<u64>(), 4);
}

#[test]
fn an_interval_of_an_hour_does_not_hold_up_the_end() {
    let (send, windows) = mpsc::channel();
    let sink = move |window: &WindowSnapshot| send.send(window.clone()).unwrap();
    drop(WindowLog::start_with(Window::default(), Duration::MAX, sink).unwrap());
    assert_eq!(windows.iter().count(), 1);
    // No log at all.
    let (send, windows) = mpsc::channel();
    let sink = move |window: &WindowSnapshot| send.send(window.clone()).unwrap();
    drop(WindowLog::start_with(Window::default(), Duration::ZERO, sink).unwrap());
    assert_eq!(windows.iter().count(), 0);
    // A sink that panics ends nothing else.
    let sink = |_: &WindowSnapshot| panic!("on purpose");
    drop(WindowLog::start_with(Window::default(), Duration::MAX, sink).unwrap());
}

#[test]
fn a_line_is_one_json_object() {
    let window = Window::default();
    window.increment("errors", &[("error_type", "a\n\"b\u{1b}")], 1.0);
    let line = log::line(&window.reset(), SystemTime::UNIX_EPOCH);
    assert!(line.ends_with("}\n") && line.lines().count() == 1, "{line}");
    assert!(!line.contains('\u{1b}'));
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["timestamp"], "1970-01-01T00:00:00.000Z");
    assert_eq!(
        (&line["level"], &line["message"]),
        (&json!("info"), &json!("metrics"))
    );
    assert_eq!(line["metrics"]["errors"], json!({ "a\n\"b\u{1b}": 1 }));
}

#[test]
fn no_event_is_lost_or_counted_twice() {
    let window = Window::new();
    let mut seen = 0;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..1000).for_each(|_| window.increment("n", &[], 1.0))))
            .collect();
        while !threads.iter().all(|thread| thread.is_finished()) {
            let count = |ended: &WindowSnapshot| ended.fields().get("n").and_then(Value::as_u64);
            seen += count(&window.reset()).unwrap_or_default();
        }
    });
    let rest = window.reset().fields().get("n").and_then(Value::as_u64);
    assert_eq!(seen + rest.unwrap_or_default(), 4000);
}
