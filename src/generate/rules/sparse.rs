//! Expressions over series that have one sample for each run, as remote write sends them: Prometheus calls such a series
//! stale five minutes after its sample.

/// Beginning of the series that jobs report. Recorded ones, which have a colon next, are evaluated all the time.
const REPORTED: &str = "batch_job_";

const ABSENT: &str = "absent(";

/// Time for which the last report of a job counts: longer than a month, so that a monthly job has one.
const LOOKBACK: &str = "35d";

/// Returns `expr` with the last sample of each series in place of its current one. A range of samples stays as it is, and a
/// subquery looks back at each of its steps.
pub fn over_time(expr: &str) -> String {
    let mut out = String::with_capacity(expr.len() * 2);
    let mut rest = expr;
    while let Some(at) = rest.find(REPORTED) {
        let (before, selector) = rest.split_at(at);
        out += before;
        let length = selector_length(selector);
        let (selector, after) = selector.split_at(length);
        if is_word_before(before) || is_range(after) {
            out += selector;
        } else if let Some(kept) = out.strip_suffix(ABSENT) {
            // The label that it gives to its result comes from the selector itself.
            out = format!("{kept}absent_over_time({selector}[{LOOKBACK}]");
        } else {
            out += &format!("last_over_time({selector}[{LOOKBACK}])");
        }
        rest = after;
    }
    out + rest
}

/// Length of the name that `text` begins with, and of the matchers in braces behind it.
fn selector_length(text: &str) -> usize {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let name = text.find(|c| !is_of_name(c)).unwrap_or(text.len());
    if text[name..].starts_with('{') {
        text.find('}').map_or(text.len(), |end| end + 1)
    } else {
        name
    }
}

/// Returns true if the name is the end of a longer one.
fn is_word_before(before: &str) -> bool {
    before.ends_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':'))
}

/// Returns true for `[1h]`, which wants samples; `[1h:1m]` is a subquery.
fn is_range(after: &str) -> bool {
    let range = after
        .strip_prefix('[')
        .and_then(|rest| rest.split(']').next());
    range.is_some_and(|range| !range.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors() {
        for (expr, expected) in [
            (
                "batch_job_success == 0",
                "last_over_time(batch_job_success[35d]) == 0",
            ),
            (
                "sum without (outcome) (increase(batch_job_runs_total{outcome!~\"a|b\"}[1h:1m]))",
                "sum without (outcome) (increase(last_over_time(batch_job_runs_total{outcome!~\"a|b\"}[35d])[1h:1m]))",
            ),
            (
                "increase(batch_job_runs_total[1h])",
                "increase(batch_job_runs_total[1h])",
            ),
            (
                "batch_job:failed_runs:ratio6h > 1",
                "batch_job:failed_runs:ratio6h > 1",
            ),
            ("my_batch_job_x > 0", "my_batch_job_x > 0"),
            ("up == 0", "up == 0"),
            (
                "absent(batch_job_success{job=\"a\"}) or absent(up)",
                "absent_over_time(batch_job_success{job=\"a\"}[35d]) or absent(up)",
            ),
        ] {
            assert_eq!(over_time(expr), expected);
        }
    }
}
