//! The config files, and variables that look like slips.

use super::Findings;
use crate::cli::host_config;
use metricsjob::config::HostConfig;

const PART: &str = "config";

pub fn check(config: &HostConfig, findings: &mut Findings) {
    let before = findings.0.len();
    for problem in &config.problems {
        findings.warn(PART, problem, "correct it, and see metricsjob config show");
    }
    for slip in host_config::slips() {
        findings.warn(PART, slip, "rename or unset it");
    }
    if findings.is_any_bad_since(before) {
        return;
    }
    let files = config.files.iter();
    let files: Vec<String> = files.map(|path| path.display().to_string()).collect();
    findings.ok(
        PART,
        match files.as_slice() {
            [] => "no config file, all settings have their defaults (metricsjob config init writes one)".into(),
            files => files.join(" and "),
        },
    );
}
