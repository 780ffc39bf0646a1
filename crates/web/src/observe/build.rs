//! Build information.

use metricsjob_metrics::{Family, Kind, Labels, Value};

/// Git commit of this build, `unknown` if it was not built from a checkout; see `build.rs`.
pub const REVISION: &str = env!("METRICSJOB_REVISION");

/// Version of the compiler, such as `1.95.0`.
pub const RUST_VERSION: &str = env!("METRICSJOB_RUSTVERSION");

pub const VERSION: &str = env!("CARGO_PKG_VERSION");

pub fn family() -> Family {
    Family::new(
        "metricsjob_build_info",
        "A metric with a constant '1' value labeled by what the server was built from.",
        Kind::Gauge,
        [(
            Labels::from([
                ("revision", REVISION),
                ("rustversion", RUST_VERSION),
                ("version", VERSION),
            ]),
            Value::Number(1.0),
        )],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_known() {
        let is_commit =
            REVISION.len() == 40 && REVISION.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(is_commit || REVISION == "unknown", "{REVISION}");
        assert!(RUST_VERSION.starts_with("1."), "{RUST_VERSION}");
        assert!(!VERSION.is_empty());
        assert_eq!(family().metrics[0].value, Value::Number(1.0));
    }
}
