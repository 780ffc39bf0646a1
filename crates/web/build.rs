//! Determines the git commit and the compiler version that the binary reports.

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let revision = revision().unwrap_or_else(|| "unknown".into());
    println!("cargo::rustc-env=METRICSJOB_REVISION={revision}");
    let version = rust_version().unwrap_or_else(|| "unknown".into());
    println!("cargo::rustc-env=METRICSJOB_RUSTVERSION={version}");
}

/// Returns the commit that is checked out, if the workspace is a git checkout of its own; a checkout around
/// it belongs to something else.
fn revision() -> Option<String> {
    let dir = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR")?).join("../..");
    if !dir.join(".git").exists() {
        return None;
    }
    let git = |arguments: &[&str]| {
        let answer = Command::new("git")
            .arg("-C")
            .arg(&dir)
            .args(arguments)
            .output()
            .ok()
            .filter(|answer| answer.status.success())?;
        Some(String::from_utf8(answer.stdout).ok()?.trim().to_owned())
    };
    let revision = git(&["rev-parse", "HEAD"])?;
    // The files that change with the commit: the one that names the branch, the branch's own file, and the
    // one with packed refs. A missing file is left out, because cargo would report it as changed on every
    // build.
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    for name in ["HEAD", "packed-refs"].into_iter().chain(branch.as_deref()) {
        let path = git(&["rev-parse", "--git-path", name])?;
        let path = dir.join(path);
        if path.exists() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    Some(revision)
}

/// Returns 1.95.0 for `rustc 1.95.0 (… …)`. Cargo runs this script again when the compiler changes.
fn rust_version() -> Option<String> {
    let answer = Command::new(env::var_os("RUSTC")?)
        .arg("-V")
        .output()
        .ok()?;
    let answer = String::from_utf8(answer.stdout).ok()?;
    answer.split_whitespace().nth(1).map(str::to_owned)
}
