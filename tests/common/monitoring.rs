//! The files in `monitoring/`, which `metricsjob generate` writes for `jobs/`.

use std::fs;

use super::sandbox::Sandbox;

/// Holds `monitoring/FILE` against what `metricsjob generate` prints with the options of `line`, in which ROOT is the
/// repository. With INSTA_UPDATE=always it is written, as snapshots are.
#[track_caller]
pub fn holds(file: &str, line: &str) {
    let root = env!("CARGO_MANIFEST_DIR");
    let path = format!("{root}/monitoring/{file}");
    let line = format!("generate {}", line.replace("ROOT", root));
    // A home without jobs of its own.
    let printed = Sandbox::new().run(&line).code(0).quiet_stderr().stdout();
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        fs::write(&path, &printed).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == printed,
        "monitoring/{file} is not what `metricsjob {line}` prints: write it anew by INSTA_UPDATE=always cargo test \
         --test tests monitoring_"
    );
}
