//! The commit and the compiler that the binary says it was built from.

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

/// The commit that is checked out, if the workspace is a git checkout's own; one around it is of something
/// else.
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
    // What changes with it: which branch it is, where that is, and where it is once they are packed. Of a
    // file that is not there cargo would say each time that it has changed.
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

/// `rustc 1.95.0 (… …)` is 1.95.0. Cargo runs this again for another compiler.
fn rust_version() -> Option<String> {
    let answer = Command::new(env::var_os("RUSTC")?)
        .arg("-V")
        .output()
        .ok()?;
    let answer = String::from_utf8(answer.stdout).ok()?;
    answer.split_whitespace().nth(1).map(str::to_owned)
}
