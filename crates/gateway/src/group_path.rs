//! Group named by a URL path, by the rules of the Pushgateway.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use percent_encoding::percent_decode;

use metricsjob_metrics::escaping;
use metricsjob_metrics::excerpt;
use metricsjob_metrics::text::Limits;
use metricsjob_metrics::{GroupingKey, GroupingKeyError, Names};

/// Suffix of the name of a label whose value is in base64.
const BASE64: &str = "@base64";

/// Decodes without padding, which is removed beforehand; excess bits are ignored.
const DECODER: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// Reason why a path does not name a group. The quoted texts are cut, however long the path is.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PathError {
    #[error("the path has an invalid percent-encoding (% and two hexadecimal digits)")]
    Percent,
    #[error(
        "the path is not UTF-8 once its percent-encoding is undone: send the value as NAME@base64/VALUE, \
             though it has to be UTF-8 too"
    )]
    NotUtf8,
    #[error("invalid base64 encoding in job name {0:?} (the URL-safe alphabet is wanted)")]
    JobBase64(String),
    #[error("odd number of components in label string {0:?}: labels come as /NAME/VALUE")]
    Odd(String),
    #[error("improper label name {0:?} ([a-zA-Z_][a-zA-Z0-9_]*, and not starting with __)")]
    LabelName(String),
    #[error("improper label name {0:?} (any UTF-8, but not empty, and not starting with __)")]
    Utf8LabelName(String),
    #[error(
        "invalid base64 encoding in the value {0:?} of label {1:?} (the URL-safe alphabet is wanted)"
    )]
    LabelBase64(String, String),
    #[error("job name is required")]
    EmptyJob,
    #[error("the grouping key has {found} labels, and {limit} are allowed at most")]
    TooMany { found: usize, limit: usize },
    #[error("{0}")]
    TooLong(String),
}

/// Returns true if the percent-decoded `path` names a group: `/metrics/job/…` or `/metrics/job@base64/…`.
pub fn names_group(path: &str) -> bool {
    let rest = path.strip_prefix("/metrics/job");
    let rest = rest.map(|rest| rest.strip_prefix(BASE64).unwrap_or(rest));
    rest.is_some_and(|rest| rest.len() > 1 && rest.starts_with('/'))
}

/// Undoes the percent-encoding of a path. An encoded slash is a separator like any other, as in the
/// Pushgateway.
pub fn decode(path: &str) -> Result<String, PathError> {
    let bytes = path.as_bytes();
    let is_hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let mut percents = memchr::memchr_iter(b'%', bytes);
    if percents.any(|at| !(is_hex(bytes.get(at + 1)) && is_hex(bytes.get(at + 2)))) {
        return Err(PathError::Percent);
    }
    match percent_decode(bytes).decode_utf8() {
        Ok(path) => Ok(path.into_owned()),
        Err(_) => Err(PathError::NotUtf8),
    }
}

/// Returns the group that a path names; see [`names_group`].
///
/// Its labels must be within the `limits` for a series, and its names must be allowed by `names`: UTF-8 that
/// a path cannot hold is escaped in the way that [`escaping::from_values`] undoes. If a label is given twice,
/// the last value counts; a label `job` gives way to the job in the path.
pub fn parse(path: &str, limits: &Limits, names: Names) -> Result<GroupingKey, PathError> {
    let path = path.strip_prefix("/metrics/").unwrap_or(path);
    let (name, rest) = path.split_once('/').unwrap_or((path, ""));
    let (job, labels) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let job = if name.ends_with(BASE64) {
        from_base64(job).ok_or_else(|| PathError::JobBase64(cut(job)))?
    } else {
        job.to_owned()
    };
    let labels = pairs(labels, limits.max_labels, names)?;
    if labels.len() > limits.max_labels {
        return Err(PathError::TooMany {
            found: labels.len(),
            limit: limits.max_labels,
        });
    }
    let all = labels.iter().map(|(name, value)| (&**name, &**value));
    for (name, value) in all.chain([("job", &*job)]) {
        let checked = limits.check_name(name);
        let checked = checked.and_then(|()| limits.check_value(name, value));
        checked.map_err(PathError::TooLong)?;
    }
    GroupingKey::with_names(job, labels, names).map_err(|error| match error {
        GroupingKeyError::EmptyJob => PathError::EmptyJob,
        GroupingKeyError::LabelName(name)
        | GroupingKeyError::ReservedLabelName(name)
        | GroupingKeyError::DuplicateLabel(name) => PathError::LabelName(cut(&name)),
        GroupingKeyError::JobLabel => PathError::LabelName("job".into()),
    })
}

/// Returns the labels in `/NAME/VALUE/…`, each name once.
fn pairs(
    labels: &str,
    max_labels: usize,
    names: Names,
) -> Result<Vec<(String, String)>, PathError> {
    let Some(inner) = labels.strip_prefix('/').filter(|inner| !inner.is_empty()) else {
        return Ok(Vec::new());
    };
    let components = memchr::memchr_iter(b'/', inner.as_bytes()).count() + 1;
    if components % 2 == 1 {
        return Err(PathError::Odd(cut(labels)));
    }
    if components / 2 > max_labels {
        return Err(PathError::TooMany {
            found: components / 2,
            limit: max_labels,
        });
    }
    let mut pairs: Vec<(String, String)> = Vec::with_capacity(components / 2);
    let mut components = inner.split('/');
    while let (Some(name), Some(value)) = (components.next(), components.next()) {
        let (name, is_base64) = match name.strip_suffix(BASE64) {
            Some(name) => (name, true),
            None => (name, false),
        };
        let name = match names {
            Names::Legacy => Cow::Borrowed(name),
            Names::Utf8 => escaping::from_values(name),
        };
        if !names.allow_label(&name) || name.starts_with("__") {
            let name = cut(&name);
            return Err(match names {
                Names::Legacy => PathError::LabelName(name),
                Names::Utf8 => PathError::Utf8LabelName(name),
            });
        }
        let value = if is_base64 {
            from_base64(value).ok_or_else(|| PathError::LabelBase64(cut(value), cut(&name)))?
        } else {
            value.to_owned()
        };
        pairs.retain(|(known, _)| *known != name);
        if name != "job" {
            pairs.push((name.into_owned(), value));
        }
    }
    Ok(pairs)
}

/// Line breaks in `text` are skipped, as in Go, because tools that write base64 break its lines.
fn from_base64(text: &str) -> Option<String> {
    let text = text.trim_end_matches('=');
    let bytes = match memchr::memchr2(b'\r', b'\n', text.as_bytes()) {
        Some(_) => DECODER.decode(text.replace(['\r', '\n'], "")).ok()?,
        None => DECODER.decode(text).ok()?,
    };
    String::from_utf8(bytes).ok()
}

fn cut(text: &str) -> String {
    excerpt::word(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        max_labels: 3,
        max_label_value_bytes: 50,
        max_name_bytes: 20,
        max_series: usize::MAX,
    };

    fn key(path: &str) -> Result<String, PathError> {
        let path = decode(path)?;
        assert!(names_group(&path), "{path}");
        parse(&path, &LIMITS, Names::Legacy).map(|key| key.to_string())
    }

    #[test]
    fn labels() {
        for (path, expected) in [
            ("/metrics/job/a", r#"job="a""#),
            ("/metrics/job/a/", r#"job="a""#),
            ("/metrics/job/a%20b+c", r#"job="a b+c""#),
            ("/metrics/job/a/x/1/b/2", r#"job="a",b="2",x="1""#),
            ("/metrics/job/a%2Fx/1", r#"job="a",x="1""#),
            ("/metrics/job/a/x/1/x/2", r#"job="a",x="2""#),
            ("/metrics/job/a/job/b", r#"job="a""#),
            ("/metrics/job/a/instance/", r#"job="a",instance="""#),
            ("/metrics/job@base64/YS9i/x@base64/=", r#"job="a/b",x="""#),
            ("/metrics/job@base64/YQ==/x@base64/4pyT", r#"job="a",x="✓""#),
            // With excess bits.
            ("/metrics/job@base64/YR", r#"job="a""#),
            ("/metrics/job@base64/Y%0D%0AS9i%0A", r#"job="a/b""#),
        ] {
            assert_eq!(key(path).as_deref(), Ok(expected), "{path}");
        }
    }

    #[test]
    fn refusals() {
        use PathError::*;
        assert_eq!(key("/metrics/job/a/x"), Err(Odd("/x".into())));
        assert_eq!(key("/metrics/job/a/x/1/"), Err(Odd("/x/1/".into())));
        assert_eq!(key("/metrics/job/a/x-y/1"), Err(LabelName("x-y".into())));
        assert_eq!(key("/metrics/job/a/__x/1"), Err(LabelName("__x".into())));
        assert_eq!(key("/metrics/job/a//1"), Err(LabelName("".into())));
        assert_eq!(key("/metrics/job@base64/="), Err(EmptyJob));
        assert_eq!(key("/metrics/job@base64/a+/x"), Err(JobBase64("a+".into())));
        assert_eq!(
            key("/metrics/job/a/x@base64/!"),
            Err(LabelBase64("!".into(), "x".into()))
        );
        assert_eq!(key("/metrics/job/a/x/%ff"), Err(NotUtf8));
        assert_eq!(key("/metrics/job/a/x/%f"), Err(Percent));
        let many = key("/metrics/job/a/b/1/c/1/d/1/e/1");
        assert_eq!(many, Err(TooMany { found: 4, limit: 3 }));
        for (path, what) in [
            (
                "NAME/1",
                "the name xxxxxxxxxxxxxxxxxxxxx has 21 bytes, and the limit is 20",
            ),
            (
                "x/VALUE",
                "the value of label x has 51 bytes, and the limit is 50",
            ),
        ] {
            let path = path.replace("NAME", &"x".repeat(21));
            let path = path.replace("VALUE", &"v".repeat(51));
            let long = key(&format!("/metrics/job/a/{path}"));
            assert_eq!(long, Err(TooLong(what.into())));
        }
        let job = key(&format!("/metrics/job/{}", "j".repeat(51)));
        assert!(matches!(job, Err(TooLong(_))), "{job:?}");
        let long = format!("/metrics/job/a/{}-/1", "x".repeat(100_000));
        assert!(key(&long).unwrap_err().to_string().len() < 300);
    }

    #[test]
    fn other_paths() {
        for path in [
            "/metrics",
            "/metrics/",
            "/metrics/job",
            "/metrics/job/",
            "/metrics/jobs/a",
        ] {
            assert!(!names_group(path), "{path}");
        }
    }

    #[test]
    fn utf8_names() {
        let key = |path: &str| {
            let path = decode(path).unwrap();
            parse(&path, &LIMITS, Names::Utf8).map(|key| key.to_string())
        };
        for (path, expected) in [
            ("/metrics/job/a/U__foo_2e_bar/1", r#"job="a","foo.bar"="1""#),
            ("/metrics/job/a/foo.bar/1", r#"job="a","foo.bar"="1""#),
            ("/metrics/job/a/%C3%A9/1", r#"job="a","é"="1""#),
            ("/metrics/job/a/U__a__b@base64/MQ", r#"job="a",a_b="1""#),
            ("/metrics/job/a/U__a_2e/1", r#"job="a",U__a_2e="1""#),
            // The last one wins, however it is written.
            ("/metrics/job/a/a.b/1/U__a_2e_b/2", r#"job="a","a.b"="2""#),
            ("/metrics/job/a/U__a_2f_b/1", r#"job="a","a/b"="1""#),
            ("/metrics/job/a/U__job/b", r#"job="a""#),
        ] {
            assert_eq!(key(path).as_deref(), Ok(expected), "{path}");
        }
        for (path, name) in [
            ("/metrics/job/a//1", ""),
            ("/metrics/job/a/U__/1", ""),
            ("/metrics/job/a/__x/1", "__x"),
            ("/metrics/job/a/U______x.y/1", "__x.y"),
        ] {
            let expected = Err(PathError::Utf8LabelName(name.into()));
            assert_eq!(key(path), expected, "{path}");
        }
        let legacy = parse("/metrics/job/a/U__foo_2e_bar/1", &LIMITS, Names::Legacy).unwrap();
        assert_eq!(legacy.labels().get("U__foo_2e_bar"), Some("1"));
    }
}
