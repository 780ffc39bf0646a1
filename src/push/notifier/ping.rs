//! Pings of healthchecks.io and its self-hosted server (<https://healthchecks.io/docs/http_api/>).

use serde_json::Value;
use url::Url;

/// Longest body, in bytes: healthchecks.io keeps no more of it.
const MAX_BODY: usize = 100_000;

/// Path and query of the ping `suffix` (`/start`, `/fail`, an exit status, or none for a success) for the check at
/// `url`, with the run's id as `rid`, by which the server measures the run.
pub fn path(url: &Url, suffix: &str, run_id: &str) -> String {
    let path = url.path().trim_end_matches('/');
    let query = url.query().map(|query| format!("{query}&"));
    let query = query.unwrap_or_default();
    format!("{path}{suffix}?{query}rid={}", uuid(run_id))
}

/// The ping that tells how the run of `event` went.
pub fn suffix(event: &Value) -> String {
    let name = event["event"].as_str().unwrap_or_default();
    match (name, event["outcome"].as_str(), event["exit_code"].as_u64()) {
        ("expectation_not_met", ..) => "/fail".into(),
        (_, Some("success"), _) => String::new(),
        (_, Some("failure"), Some(code)) if code > 0 => format!("/{code}"),
        _ => "/fail".into(),
    }
}

/// Reason and last lines of the run of `event`.
pub fn body(event: &Value) -> String {
    let lines = event["tail"].as_array().into_iter().flatten();
    let unmet = event["unmet"].as_array().into_iter().flatten();
    let texts = [event["failure"].as_str()].into_iter();
    let texts = texts.chain(unmet.map(|unmet| unmet["text"].as_str()));
    let texts = texts.chain(lines.map(Value::as_str)).flatten();
    let mut body: String = texts.flat_map(|line| [line, "\n"]).collect();
    let mut cut = body.len().saturating_sub(MAX_BODY);
    while !body.is_char_boundary(cut) {
        cut += 1;
    }
    body.split_off(cut)
}

/// The UUID (version 8 of RFC 9562, which leaves the content to us) of a run id of 16 hexadecimal digits.
fn uuid(run_id: &str) -> String {
    let digits = |range: std::ops::Range<usize>| run_id.get(range).unwrap_or("0");
    format!(
        "{:0>8}-{:0>4}-8{:0>3}-8{}00-000000000000",
        digits(0..8),
        digits(8..12),
        digits(12..15),
        digits(15..16)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths() {
        let path = |url: &str, suffix| path(&Url::parse(url).unwrap(), suffix, "0123456789abcdef");
        const RID: &str = "rid=01234567-89ab-8cde-8f00-000000000000";
        assert_eq!(path("https://h/uuid", ""), format!("/uuid?{RID}"));
        assert_eq!(
            path("https://h/key/slug/?create=1", "/start"),
            format!("/key/slug/start?create=1&{RID}")
        );
    }

    #[test]
    fn suffixes() {
        for (event, expected) in [
            (
                json!({"event": "success", "outcome": "success", "exit_code": 0}),
                "",
            ),
            (
                json!({"event": "recovery", "outcome": "success", "exit_code": 0}),
                "",
            ),
            (
                json!({"event": "failure", "outcome": "failure", "exit_code": 3}),
                "/3",
            ),
            (
                json!({"event": "failure", "outcome": "timeout", "exit_code": 124}),
                "/fail",
            ),
            (
                json!({"event": "expectation_not_met", "outcome": "success"}),
                "/fail",
            ),
            (json!({}), "/fail"),
        ] {
            assert_eq!(suffix(&event), expected, "{event}");
        }
    }

    #[test]
    fn long_bodies_keep_their_end() {
        let event = json!({"failure": "é".repeat(MAX_BODY), "tail": ["the end"]});
        let body = body(&event);
        assert!(body.len() <= MAX_BODY && body.ends_with("the end\n"));
    }
}
