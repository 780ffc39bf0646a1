//! Work of a gateway for every push and scrape: reading and writing the two formats.

use std::fmt::Write;

use divan::{Bencher, black_box, counter::BytesCount};
use metricsjob_metrics::text::Limits;
use metricsjob_metrics::{Family, protobuf, text};

fn main() {
    divan::main();
}

/// Push of a successful `metricsjob run backup`.
fn backup() -> String {
    let gauges = [
        (
            "db_backup_duration_seconds",
            "How long the last run took.",
            "0.00123",
        ),
        (
            "db_backup_last_completion_timestamp_seconds",
            "When the last run ended, in seconds since the epoch.",
            "1790000000.125",
        ),
        (
            "db_backup_last_success_timestamp_seconds",
            "When a run last succeeded, in seconds since the epoch.",
            "1790000000.125",
        ),
        (
            "db_backup_records_processed",
            "Records in the last backup.",
            "42",
        ),
    ];
    let mut text = String::new();
    for (name, help, value) in gauges {
        let _ = writeln!(
            text,
            "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}"
        );
    }
    text
}

/// One gauge, many series.
fn series(count: usize) -> String {
    let mut text = String::from("# HELP queue_depth Jobs that wait.\n# TYPE queue_depth gauge\n");
    for n in 0..count {
        let _ = writeln!(
            text,
            "queue_depth{{host=\"node-{n}\",queue=\"mail\",region=\"eu-west-{}\"}} {}",
            n % 7,
            n * 31
        );
    }
    text
}

/// Ten series of a histogram with twelve buckets.
fn histogram() -> String {
    let mut text = String::from("# HELP h_seconds Durations.\n# TYPE h_seconds histogram\n");
    for n in 0..10 {
        for (index, bound) in [
            "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf",
        ]
        .iter()
        .enumerate()
        {
            let _ = writeln!(
                text,
                "h_seconds_bucket{{path=\"/p/{n}\",le=\"{bound}\"}} {}",
                index * 12
            );
        }
        let _ = writeln!(text, "h_seconds_sum{{path=\"/p/{n}\"}} 412.0375");
        let _ = writeln!(text, "h_seconds_count{{path=\"/p/{n}\"}} 132");
    }
    text
}

const REPORTS: [&str; 3] = ["backup", "series", "histogram"];

fn report(name: &str) -> String {
    match name {
        "backup" => backup(),
        "series" => series(10_000),
        _ => histogram(),
    }
}

fn families(name: &str) -> Vec<Family> {
    text::parse(report(name).as_bytes()).expect("the report is well formed")
}

#[divan::bench(args = REPORTS)]
fn text_in(bencher: Bencher, name: &str) {
    let text = report(name);
    bencher
        .counter(BytesCount::of_str(&text))
        .bench_local(|| text::parse(black_box(text.as_bytes())));
}

#[divan::bench(args = REPORTS)]
fn text_out(bencher: Bencher, name: &str) {
    let families = families(name);
    bencher
        .counter(BytesCount::of_str(&text::encode(&families)))
        .bench_local(|| text::encode(black_box(&families)));
}

#[divan::bench(args = REPORTS)]
fn protobuf_out(bencher: Bencher, name: &str) {
    let families = families(name);
    bencher
        .counter(BytesCount::of_slice(&protobuf::encode(&families)))
        .bench_local(|| protobuf::encode(black_box(&families)));
}

#[divan::bench(args = REPORTS)]
fn protobuf_in(bencher: Bencher, name: &str) {
    let body = protobuf::encode(&families(name));
    bencher
        .counter(BytesCount::of_slice(&body))
        .bench_local(|| protobuf::decode(black_box(&body), &Limits::default()));
}
