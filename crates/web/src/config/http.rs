//! Headers, users and the rate limit of a web config file.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{
    CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS, X_XSS_PROTECTION,
};

use super::error::{Placed, Problem};
use super::file::{File, RateLimitSection, given};
use super::yaml::Text;
use crate::gate::Gate;
use crate::rate_limit::RateLimit;
use crate::users::{Checker, Users};

/// The configurable headers, and their allowed values if they are an enumeration.
const HEADERS: [(&str, HeaderName, &[&str]); 5] = [
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY, &[]),
    ("X-Frame-Options", X_FRAME_OPTIONS, &["deny", "sameorigin"]),
    (
        "X-Content-Type-Options",
        X_CONTENT_TYPE_OPTIONS,
        &["nosniff"],
    ),
    ("X-XSS-Protection", X_XSS_PROTECTION, &[]),
    ("Strict-Transport-Security", STRICT_TRANSPORT_SECURITY, &[]),
];

pub fn gate(file: &File, checker: &Arc<Checker>) -> Result<Gate, Placed> {
    let mut gate = Gate {
        headers: Vec::new(),
        users: Users::default(),
        checker: Arc::clone(checker),
        rate_limit: None,
    };
    for (name, value) in &file.headers {
        // An empty value means unset.
        if !value.value.is_empty() {
            let header = header(&name.value, &value.value);
            gate.headers
                .push(header.map_err(|problem| value.is_wrong(problem))?);
        }
    }
    let mut users = BTreeMap::new();
    for (user, hash) in &file.basic_auth_users {
        check_user(&user.value, hash)?;
        users.insert(user.value.clone(), hash.value.clone());
    }
    gate.users = Users::new(users);
    gate.rate_limit = rate_limit(&file.rate_limit)?;
    Ok(gate)
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Problem> {
    let Some((known, header, expected)) = HEADERS.into_iter().find(|(known, ..)| *known == name)
    else {
        let known = HEADERS.map(|(known, ..)| known).join(", ");
        return Err(Problem::Header(name.into(), known));
    };
    if !expected.is_empty() && !expected.contains(&value) {
        return Err(Problem::HeaderValue {
            name: known,
            expected,
            value: value.into(),
        });
    }
    let value = HeaderValue::from_str(value).map_err(|_| Problem::HeaderText(known))?;
    Ok((header, value))
}

fn check_user(user: &str, hash: &Text) -> Result<(), Placed> {
    if user.contains(':') {
        return Err(hash.is_wrong(Problem::User(user.into())));
    }
    match hash.value.parse::<bcrypt::HashParts>() {
        // The range of bcrypt itself.
        Ok(parts) if (4..=31).contains(&parts.get_cost()) => Ok(()),
        _ => Err(hash.is_wrong(Problem::Hash(user.into()))),
    }
}

fn rate_limit(section: &RateLimitSection) -> Result<Option<RateLimit>, Placed> {
    let Some(interval) = given(&section.interval) else {
        return Ok(None);
    };
    let duration = duration(&interval.value)
        .ok_or_else(|| interval.is_wrong(Problem::Interval(interval.value.clone())))?;
    match &section.burst {
        // The rate is unlimited.
        _ if duration.is_zero() => Ok(None),
        Some(burst) if burst.value > 0 => Ok(Some(RateLimit::new(duration, burst.value))),
        Some(burst) => Err(burst.is_wrong(Problem::Burst)),
        None => Err(interval.is_wrong(Problem::Burst)),
    }
}

/// Parses a duration as Go does: `1m30s`, `1.5s`, or nanoseconds without a unit; it cannot be negative.
fn duration(text: &str) -> Option<Duration> {
    if let Ok(nanos) = text.parse() {
        return Some(Duration::from_nanos(nanos));
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| c != '.' && !c.is_ascii_digit())?);
        let end = after.find(|c: char| c == '.' || c.is_ascii_digit());
        let (unit, after) = after.split_at(end.unwrap_or(after.len()));
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
        total = total.checked_add(part)?;
        rest = after;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let millis = |text| duration(text).map(|duration| duration.as_millis());
        assert_eq!(millis("1m30s"), Some(90_000));
        assert_eq!(millis("1.5s"), Some(1500));
        assert_eq!(millis("2000000"), Some(2));
        assert_eq!(millis("0"), Some(0));
        for wrong in [
            "",
            "1d",
            "-1s",
            "s",
            "1s2",
            "1..5s",
            "99999999999999999999h",
        ] {
            assert_eq!(millis(wrong), None, "{wrong}");
        }
    }
}
