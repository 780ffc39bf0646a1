use std::time::Duration;

use prometheus::Registry;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use super::*;

const N: usize = 100_000;

fn summary() -> Summary {
    Summary::new(SummaryOpts::new("seconds", "Seconds.")).unwrap()
}

/// Values of several distributions, in the order in which they are observed.
fn distributions() -> Vec<(&'static str, Vec<f64>)> {
    let mut rng = ChaCha8Rng::seed_from_u64(15);
    let mut uniform = || rng.random::<f64>();
    let values = |next: &mut dyn FnMut() -> f64| (0..N).map(|_| next()).collect::<Vec<f64>>();
    let even = values(&mut uniform);
    let normal = values(&mut || (0..12).map(|_| uniform()).sum::<f64>() - 6.0);
    let exponential = values(&mut || -uniform().ln());
    // All within a thousandth of each other, where an error of value says nothing.
    let close = values(&mut || 1000.0 + uniform() / 1000.0);
    let apart = values(&mut || {
        if uniform() < 0.9 {
            uniform()
        } else {
            1e6 + uniform()
        }
    });
    let few = values(&mut || (uniform() * 5.0).floor());
    let wide = values(&mut || 10_f64.powf(uniform() * 300.0 - 150.0));
    let mut sorted = exponential.clone();
    sorted.sort_by(f64::total_cmp);
    let mut falling = sorted.clone();
    falling.reverse();
    let mut swapped = sorted.clone();
    swapped.shuffle(&mut ChaCha8Rng::seed_from_u64(16));
    vec![
        ("uniform", even),
        ("normal", normal),
        ("exponential", exponential),
        ("close", close),
        ("apart", apart),
        ("few", few),
        ("wide", wide),
        ("sorted", sorted),
        ("falling", falling),
        ("shuffled", swapped),
        ("constant", vec![7.0; N]),
    ]
}

/// The distance of `quantile` from the ranks that `value` has among the sorted values.
fn rank_error(sorted: &[f64], quantile: f64, value: f64) -> f64 {
    let rank = |count: usize| count as f64 / sorted.len() as f64;
    let low = rank(sorted.partition_point(|known| *known < value));
    let high = rank(sorted.partition_point(|known| *known <= value));
    (low - quantile).max(quantile - high).max(0.0)
}

#[test]
fn each_objective_is_an_error_of_rank() {
    let objectives = [
        (0.0, 0.001),
        (0.01, 0.001),
        (0.5, 0.05),
        (0.5, 0.002),
        (0.9, 0.01),
        (0.99, 0.001),
        (0.999, 0.0001),
        (1.0, 0.001),
    ];
    for (name, values) in distributions() {
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        for (quantile, error) in objectives {
            let opts = SummaryOpts::new("seconds", "Seconds.").objective(quantile, error);
            let summary = Summary::new(opts).unwrap();
            // Spread over all age buckets, which are merged.
            let start = Instant::now();
            let last = start + Duration::from_secs(3500);
            for (i, value) in values.iter().enumerate() {
                summary.observe_at(
                    *value,
                    start + Duration::from_secs(3500) * i as u32 / N as u32,
                );
            }
            let found = summary.quantiles_at(&[quantile], last).0[0];
            let off = rank_error(&sorted, quantile, found);
            assert!(
                off <= error,
                "{name}: {quantile} ± {error} is off by {off}: {found}"
            );
            assert_eq!(summary.count(), N as u64);
        }
    }
}

#[test]
fn few_values_are_exact() {
    let summary = summary();
    assert!(summary.quantile(0.5).is_nan());
    summary.observe(5.0);
    for quantile in [0.0, 0.5, 0.99, 1.0] {
        assert_eq!(summary.quantile(quantile), 5.0);
    }
    summary.observe(7.0);
    assert_eq!((summary.quantile(0.0), summary.quantile(1.0)), (5.0, 7.0));
    assert_eq!((summary.count(), summary.sum()), (2, 12.0));
    assert!(summary.quantile(1.5).is_nan() && summary.quantile(f64::NAN).is_nan());
}

#[test]
fn old_observations_leave_the_quantiles() {
    let opts = SummaryOpts::new("seconds", "Seconds.");
    let opts = opts.max_age(Duration::from_secs(50)).age_buckets(5);
    let summary = Summary::new(opts).unwrap();
    let start = Instant::now();
    let at = |seconds: u64| start + Duration::from_secs(seconds);
    let largest = |seconds: u64| summary.quantiles_at(&[1.0], at(seconds)).0[0];
    summary.observe_at(9.0, at(0));
    summary.observe_at(1.0, at(25));
    assert_eq!(largest(49), 9.0);
    assert_eq!(largest(51), 1.0);
    assert!(largest(80).is_nan());
    // A clock that goes back changes nothing.
    summary.observe_at(3.0, at(10));
    assert_eq!(largest(81), 3.0);
    // Long after, with nothing to forget.
    assert!(largest(1_000_000).is_nan());
    summary.observe_at(4.0, at(1_000_000));
    assert_eq!(largest(1_000_001), 4.0);
    let (_, count, sum) = summary.quantiles_at(&[], at(1_000_002));
    assert_eq!((count, sum), (4, 17.0));
}

#[test]
fn values_that_are_no_numbers() {
    let summary = summary();
    for value in [1.0, f64::NAN, f64::INFINITY] {
        summary.observe(value);
    }
    assert_eq!(summary.count(), 3);
    assert!(summary.sum().is_nan());
    assert_eq!(summary.quantile(0.5), 1.0);
    assert_eq!(summary.quantile(1.0), f64::INFINITY);
    for value in [f64::MAX, f64::MIN, -0.0, f64::MIN_POSITIVE] {
        summary.observe(value);
    }
    assert_eq!(summary.quantile(0.0), f64::MIN);
    assert_eq!(summary.quantile(0.8), f64::MAX);
}

#[test]
fn options_that_cannot_be_met() {
    let opts = || SummaryOpts::new("seconds", "Seconds.");
    for (bad, part) in [
        (opts().objective(1.5, 0.1), "1.5"),
        (opts().objective(f64::NAN, 0.1), "NaN"),
        (opts().objective(0.5, 0.0), "the error 0"),
        (opts().objective(0.5, 0.0001), "0.0001"),
        (opts().objective(0.5, f64::NAN), "NaN"),
        (opts().objective(0.5, -0.1), "-0.1"),
        (opts().age_buckets(0), "0 age buckets"),
        (opts().max_age(Duration::ZERO), "0ns"),
        (opts().const_label("quantile", "0.5"), "quantile"),
        (SummaryOpts::new("no name", "Help."), "no name"),
    ] {
        let error = Summary::new(bad.clone()).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
        let labelled = summary_vec(bad, &["table"]);
        assert!(
            labelled
                .and_then(|all| all.get_metric_with_label_values(&["a"]))
                .is_err()
        );
    }
    assert!(
        summary_vec(opts(), &["quantile"]).is_err() || {
            let all = summary_vec(opts(), &["quantile"]).unwrap();
            all.get_metric_with_label_values(&["a"]).is_err()
        }
    );
}

#[test]
fn a_registry_exposes_it() {
    let registry = Registry::new();
    let opts = SummaryOpts::new("row_seconds", "Time for a row.");
    let opts = opts
        .namespace("import")
        .const_label("a", "1")
        .objective(0.9, 0.1)
        .objective(0.5, 0.1);
    let all = summary_vec(opts, &["table"]).unwrap();
    registry.register(Box::new(all.clone())).unwrap();
    all.with_label_values(&["orders"]).observe(2.0);
    let families = registry.gather();
    let text = prometheus::TextEncoder::new()
        .encode_to_string(&families)
        .unwrap();
    assert_eq!(
        text,
        "# HELP import_row_seconds Time for a row.\n\
         # TYPE import_row_seconds summary\n\
         import_row_seconds{a=\"1\",table=\"orders\",quantile=\"0.5\"} 2\n\
         import_row_seconds{a=\"1\",table=\"orders\",quantile=\"0.9\"} 2\n\
         import_row_seconds_sum{a=\"1\",table=\"orders\"} 2\n\
         import_row_seconds_count{a=\"1\",table=\"orders\"} 1\n"
    );
    registry.register(Box::new(summary())).unwrap();
    assert_eq!(registry.gather().len(), 2);
}

#[test]
fn threads_observe_into_one_summary() {
    let summary = summary();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let summary = summary.clone();
            scope.spawn(move || {
                for i in 0..1000 {
                    summary.observe(f64::from(thread * 1000 + i));
                }
            });
        }
    });
    assert_eq!(summary.count(), 4000);
    assert_eq!(summary.sum(), (0..4000).map(f64::from).sum::<f64>());
}

#[test]
fn timers_observe_once() {
    let summary = summary();
    drop(summary.start_timer());
    summary.start_timer().observe_duration();
    let seconds = summary.start_timer().stop_and_record();
    assert!(seconds >= 0.0 && summary.sum() >= seconds);
    assert_eq!(summary.count(), 3);
    assert!(summary.start_timer().stop_and_discard() >= 0.0);
    assert_eq!(summary.count(), 3);
}
