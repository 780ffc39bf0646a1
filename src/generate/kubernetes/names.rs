//! Names and labels as Kubernetes takes them. Each check's error follows the text in a message.

/// Longest label of a DNS name.
const MAX_LABEL: usize = 63;

/// Longest name of an object whose pods or jobs have 11 characters more in theirs.
pub const MAX_OWNER: usize = 52;

/// Checks a name of lower-case letters, digits and `-`: a namespace, or an object that gives its name to hosts.
pub fn check_label(text: &str, max: usize) -> Result<(), String> {
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty()
        || !text.chars().all(is_inner)
        || text.starts_with('-')
        || text.ends_with('-')
    {
        return Err(
            "must be lower-case letters, digits and -, and begin and end with a letter or digit"
                .into(),
        );
    }
    if text.len() > max {
        return Err(format!("is longer than {max} characters"));
    }
    Ok(())
}

/// Checks the name of a Service and of the pods behind it.
pub fn check_service(text: &str) -> Result<(), String> {
    check_label(text, MAX_OWNER)?;
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return Err("begins with a digit, which a Service must not".into());
    }
    Ok(())
}

/// Checks the name of an object, which may have dots in it.
pub fn check_name(text: &str) -> Result<(), String> {
    if text.len() > 253 {
        return Err("is longer than 253 characters".into());
    }
    text.split('.')
        .try_for_each(|part| check_label(part, MAX_LABEL))
}

/// Checks the key of a label of objects.
pub fn check_label_key(text: &str) -> Result<(), String> {
    let name = match text.rsplit_once('/') {
        Some((prefix, name)) => {
            check_name(prefix)?;
            name
        }
        None => text,
    };
    if name.is_empty() {
        return Err("has no name".into());
    }
    check_label_value(name)
}

/// Checks the value of a label of objects.
pub fn check_label_value(text: &str) -> Result<(), String> {
    let is_end = |c: char| c.is_ascii_alphanumeric();
    let is_inner = |c: char| is_end(c) || "-_.".contains(c);
    let has_ends = text.is_empty() || (text.starts_with(is_end) && text.ends_with(is_end));
    if !has_ends || !text.chars().all(is_inner) {
        return Err(
            "must be letters, digits, -, _ and ., and begin and end with a letter or digit".into(),
        );
    }
    if text.len() > MAX_LABEL {
        return Err(format!("is longer than {MAX_LABEL} characters"));
    }
    Ok(())
}

/// The name for the CronJob of a job: `nightly-dump` for `Nightly_dump`.
pub fn of_job(job: &str) -> String {
    job.to_lowercase().replace(['_', '.', ' '], "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(of_job("Nightly_dump.v2"), "nightly-dump-v2");
        for good in ["a", "a-1", "0"] {
            assert_eq!(check_label(good, 52), Ok(()), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "ä", "a.b", "a_b", &"a".repeat(53)] {
            assert!(check_label(bad, 52).is_err(), "{bad}");
        }
        assert!(check_name("a.b-1").is_ok() && check_name("a..b").is_err());
    }

    #[test]
    fn labels() {
        for good in ["team", "example.com/team", "a_B.c-1"] {
            assert_eq!(check_label_key(good), Ok(()), "{good}");
        }
        for bad in ["", "/a", "a/", "a b", "A.com/x", "-a"] {
            assert!(check_label_key(bad).is_err(), "{bad}");
        }
        assert!(check_label_value("").is_ok() && check_label_value("a b").is_err());
    }
}
