//! What this was built from.

use crate::metrics::{Family, Kind, Labels, Value};

/// The version, the git commit (`unknown` if it was not built from a checkout), and the compiler's version;
/// see `build.rs`.
const BUILD: [(&str, &str); 3] = [
    ("revision", env!("METRICSJOB_REVISION")),
    ("rustversion", env!("METRICSJOB_RUSTVERSION")),
    ("version", env!("CARGO_PKG_VERSION")),
];

pub fn family() -> Family {
    Family::new(
        "metricsjob_build_info",
        "A metric with a constant '1' value labeled by what the server was built from.",
        Kind::Gauge,
        [(Labels::from(BUILD), Value::Number(1.0))],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_known() {
        let [revision, rustversion, version] = BUILD.map(|(_, value)| value);
        let is_commit =
            revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(is_commit || revision == "unknown", "{revision}");
        assert!(rustversion.starts_with("1."), "{rustversion}");
        assert!(!version.is_empty());
        assert_eq!(family().metrics[0].value, Value::Number(1.0));
    }
}
