//! Pushes that contradict what stands in the gateway: refused, the group marked as failed, its data
//! untouched.

use crate::common::{Samples, TestGateway};

on_each_gateway!(
    a_name_has_one_type_over_all_groups,
    the_type_may_change_within_one_group,
    a_series_stands_in_one_group,
    suffixes_of_histograms_and_summaries_are_taken,
    differing_help_is_tolerated,
    the_push_times_cannot_be_pushed,
);

/// What was pushed: without push times.
fn data(gateway: &TestGateway) -> Samples {
    let samples = gateway.samples().into_iter();
    samples
        .filter(|(series, _)| !series.starts_with("push_"))
        .collect()
}

fn failed(gateway: &TestGateway, labels: &str) -> bool {
    let series = format!("push_failure_time_seconds{{{labels}}}");
    gateway.value("j", &series).unwrap() > 0.0
}

/// Pushes `first` to one group, then `second` to another, which must be refused.
fn refused(gateway: &TestGateway, first: &str, second: &str) {
    gateway.push("--job j -g g=1 --method put", first).code(0);
    let before = data(gateway);
    gateway
        .push("--job j -g g=2", second)
        .code(69)
        .err("warning: ");
    assert_eq!(data(gateway), before);
    assert!(failed(gateway, r#"g="2""#));
    assert!(!failed(gateway, r#"g="1""#));
    let pushed = gateway.value("j", r#"push_time_seconds{g="2"}"#);
    assert_eq!(pushed, Some(0.0));
    gateway.run("delete --job j -g g=2").code(0);
}

fn a_name_has_one_type_over_all_groups(gateway: &TestGateway) {
    refused(gateway, "# TYPE m gauge\nm 1\n", "# TYPE m counter\nm 1\n");
    refused(gateway, "# TYPE m gauge\nm 1\n", "m 1\n");
    refused(
        gateway,
        "# TYPE m summary\nm_sum 1\n",
        "# TYPE m histogram\nm_sum 1\n",
    );
}

fn the_type_may_change_within_one_group(gateway: &TestGateway) {
    gateway
        .push("--job j", "# TYPE m gauge\nm 1\nother 1\n")
        .code(0);
    gateway.push("--job j", "# TYPE m counter\nm 2\n").code(0);
    assert_eq!(gateway.value("j", "m"), Some(2.0));
    assert_eq!(data(gateway).len(), 2);
}

fn a_series_stands_in_one_group(gateway: &TestGateway) {
    gateway.push("--job j", "m{l=\"1\"} 1\n").code(0);
    let before = data(gateway);
    gateway.push("--job j -g l=1", "m 2\n").code(69);
    assert_eq!(data(gateway), before);
    gateway.push("--job j -g l=2", "m 3\n").code(0);
}

fn suffixes_of_histograms_and_summaries_are_taken(gateway: &TestGateway) {
    let histogram = "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n";
    let summary = "# TYPE h summary\nh_sum 1\nh_count 1\n";
    for suffix in ["count", "sum", "bucket"] {
        refused(gateway, histogram, &format!("h_{suffix} 1\n"));
        refused(gateway, &format!("h_{suffix} 1\n"), histogram);
    }
    refused(gateway, summary, "h_count 1\n");
    refused(gateway, "h_sum 1\n", summary);
    gateway.push("--job j -g g=1 --method put", summary).code(0);
    gateway
        .push("--job j -g g=2 --method put", "h_bucket 1\n")
        .code(0);
}

fn differing_help_is_tolerated(gateway: &TestGateway) {
    gateway
        .push("--job j -g g=1", "# HELP m One.\nm 1\n")
        .code(0);
    gateway
        .push("--job j -g g=2", "# HELP m Two.\nm 1\n")
        .code(0);
    assert_eq!(data(gateway).len(), 2);
}

fn the_push_times_cannot_be_pushed(gateway: &TestGateway) {
    for name in ["push_time_seconds", "push_failure_time_seconds"] {
        gateway
            .push("--job j", &format!("m 1\n{name} 2\n"))
            .code(2)
            .err(&format!("the metric {name} is a gateway's own"));
    }
    assert!(gateway.samples().is_empty());
}
