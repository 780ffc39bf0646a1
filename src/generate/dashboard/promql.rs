//! Forms that queries of several panels have in common.

/// Sums by these labels, separated by commas; one for all without any.
fn sum_by(labels: &str, expression: &str) -> String {
    match labels {
        "" => format!("sum({expression})"),
        _ => format!("sum by ({labels}) ({expression})"),
    }
}

/// Events per second of the counters that `series` selects, by these labels.
pub fn rate_by(labels: &str, series: &str) -> String {
    sum_by(labels, &format!("rate({series}[$__rate_interval])"))
}

/// Events since the point before, by these labels.
pub fn increase_by(labels: &str, series: &str) -> String {
    sum_by(labels, &format!("increase({series}[$__rate_interval])"))
}

/// Events of each day, by these labels; for a panel with a point per day. That is at the day's beginning, so that today
/// has one.
pub fn per_day_by(labels: &str, series: &str) -> String {
    sum_by(labels, &format!("increase({series}[1d] offset -1d)"))
}

/// Mean of what a summary or histogram has observed since the point before, by these labels.
pub fn mean_by(labels: &str, name: &str, matchers: &str) -> String {
    let total = increase_by(labels, &format!("{name}_sum{matchers}"));
    let count = increase_by(labels, &format!("{name}_count{matchers}"));
    format!("{total} / {count}")
}

/// Quantile of what the histograms have observed whose buckets `series` selects, by these labels.
pub fn quantile_by(quantile: f64, labels: &str, series: &str) -> String {
    let labels = match labels {
        "" => "le".to_owned(),
        _ => format!("le, {labels}"),
    };
    let buckets = rate_by(&labels, series);
    format!("histogram_quantile({quantile}, {buckets})")
}

/// Share of runs that succeeded in a time such as `7d`, among those that were not skipped.
pub fn success_ratio(time: &str) -> String {
    let runs = |matcher: &str| {
        format!("sum(increase(batch_job_runs_total{{@,outcome{matcher}}}[{time}]))")
    };
    format!("{} / {}", runs("=\"success\""), runs("!=\"skipped\""))
}
