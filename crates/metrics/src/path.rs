//! Grouping keys as URL paths.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::GroupingKey;
use crate::escaping::Escaping;

/// Characters that are percent-encoded: all but the unreserved ones of RFC 3986, section 2.3.
pub const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Returns the path of a group below the gateway's URL, `job` first, then the labels by name:
/// `/metrics/job/db_backup/db/customers`.
///
/// Values are percent-encoded by RFC 3986: a space is `%20`, since a gateway takes `+` for a plus. A value with `/`,
/// which a gateway takes for a separator even as `%2F`, is sent as `name@base64/…` in the URL-safe alphabet; so are
/// an empty value (as `=`), and `.` and `..`, which URL libraries resolve. A label name that the text format 0.0.4
/// does not allow is escaped by [`Escaping::Values`], which gateways that allow such names undo.
pub fn group_path(key: &GroupingKey) -> String {
    let mut path = String::from("/metrics");
    component(&mut path, "job", key.job());
    for (name, value) in key.labels() {
        component(&mut path, name, value);
    }
    path
}

fn component(path: &mut String, name: &str, value: &str) {
    path.push('/');
    path.push_str(&Escaping::Values.label_name(name));
    match value {
        "" => path.push_str("@base64/="),
        _ if value.contains('/') || value == "." || value == ".." => {
            path.push_str("@base64/");
            URL_SAFE_NO_PAD.encode_string(value, path);
        }
        _ => {
            path.push('/');
            path.extend(utf8_percent_encode(value, ENCODED));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Names;

    fn path(job: &str, labels: &[(&str, &str)]) -> String {
        let labels = labels.iter().map(|(n, v)| ((*n).into(), (*v).into()));
        group_path(&GroupingKey::new(job, labels).unwrap())
    }

    #[test]
    fn labels_come_by_name() {
        assert_eq!(
            path("db_backup", &[("z", "1"), ("Z", "2"), ("a", "3")]),
            "/metrics/job/db_backup/Z/2/a/3/z/1"
        );
    }

    #[test]
    fn percent_encoding() {
        assert_eq!(
            path("a b+c%d?e#f", &[]),
            "/metrics/job/a%20b%2Bc%25d%3Fe%23f"
        );
        assert_eq!(path("-._~", &[]), "/metrics/job/-._~");
        assert_eq!(
            path("j", &[("l", "é\n\0;")]),
            "/metrics/job/j/l/%C3%A9%0A%00%3B"
        );
        assert_eq!(path("a@base64", &[]), "/metrics/job/a%40base64");
    }

    #[test]
    fn utf8_names() {
        let labels = [("a.b".into(), "/".into())];
        let key = GroupingKey::with_names("j", labels, Names::Utf8).unwrap();
        assert_eq!(group_path(&key), "/metrics/job/j/U__a_2e_b@base64/Lw");
    }

    #[test]
    fn base64() {
        assert_eq!(path("a/b", &[]), "/metrics/job@base64/YS9i");
        assert_eq!(path("j", &[("l", "")]), "/metrics/job/j/l@base64/=");
        // The URL-safe alphabet, without padding.
        assert_eq!(
            path("j", &[("l", "/var/tmp?>~")]),
            "/metrics/job/j/l@base64/L3Zhci90bXA_Pn4"
        );
        assert_eq!(
            path(".", &[("l", "..")]),
            "/metrics/job@base64/Lg/l@base64/Li4"
        );
        assert_eq!(path("...", &[]), "/metrics/job/...");
    }
}
