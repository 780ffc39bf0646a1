//! Notices in a gateway's responses, besides the outcome of a request.

use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, WARNING};

/// Difference of the clocks that is not worth a word. Responses take time, and `Date` has whole seconds.
const TOLERANCE: Duration = Duration::from_secs(30);

/// Reads the notices in the headers of a response to a request that began at `start` and was answered at `end`.
pub fn read(headers: &HeaderMap, start: SystemTime, end: SystemTime) -> Vec<String> {
    let warnings = headers.get_all(WARNING).iter();
    let warnings = warnings.filter_map(|value| warning(value.to_str().ok()?));
    let date = headers.get(DATE).and_then(|date| date.to_str().ok());
    let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
    let skew = date.and_then(|date| skew(date, start, end));
    warnings.chain(skew).collect()
}

/// The text of a `Warning` (RFC 7234, section 5.5) that persists, whatever became of the response: `299 agent "text"`.
fn warning(value: &str) -> Option<String> {
    let (_agent, text) = value.strip_prefix("299 ")?.split_once(' ')?;
    let text = text.strip_prefix('"')?;
    let mut plain = String::new();
    let mut symbols = text.chars();
    while let Some(symbol) = symbols.next() {
        match symbol {
            '"' => return Some(plain),
            '\\' => plain.push(symbols.next()?),
            _ => plain.push(symbol),
        }
    }
    None
}

fn skew(date: SystemTime, start: SystemTime, end: SystemTime) -> Option<String> {
    let ahead = date.duration_since(end).unwrap_or_default();
    let behind = start.duration_since(date).unwrap_or_default();
    let (by, side) = if ahead > behind {
        (ahead, "ahead of")
    } else {
        (behind, "behind")
    };
    (by > TOLERANCE).then(|| {
        let by = humantime::format_duration(Duration::from_secs(by.as_secs()));
        format!(
            "the gateway's clock is {by} {side} this host's: set the wrong one, or ages and alerts are off by that"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notices(headers: &[(&'static str, String)]) -> Vec<String> {
        let now = SystemTime::now();
        let headers = headers.iter().cloned();
        let headers = headers.map(|(name, value)| {
            let name = reqwest::header::HeaderName::from_static(name);
            (name, value.parse().unwrap())
        });
        read(&headers.collect(), now, now)
    }

    #[test]
    fn warnings() {
        let given = |value: &str| notices(&[("warning", value.to_owned())]);
        assert_eq!(given("299 - \"a \\\"b\\\" \\\\\""), ["a \"b\" \\"]);
        for other in [
            "",
            "299",
            "299 - ",
            "299 - \"open",
            "199 - \"other\"",
            "299 - plain",
        ] {
            assert_eq!(given(other), [""; 0], "{other}");
        }
    }

    #[test]
    fn clocks() {
        let at = |seconds: i64| {
            let now = SystemTime::now();
            let by = Duration::from_secs(seconds.unsigned_abs());
            let date = if seconds < 0 { now - by } else { now + by };
            notices(&[("date", httpdate::fmt_http_date(date))])
        };
        for near in [-29, -1, 0, 1, 30] {
            assert_eq!(at(near), [""; 0], "{near}");
        }
        assert!(at(3600)[0].contains("ahead of this host's"));
        assert!(at(-3600)[0].starts_with("the gateway's clock is "));
        assert!(at(-3600)[0].contains("behind this host's"));
        assert_eq!(notices(&[("date", "yesterday".into())]), [""; 0]);
    }
}
