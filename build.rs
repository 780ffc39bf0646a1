//! What the binary says that it was built from, and how it is linked, where that makes it start sooner (see
//! `scripts/bench`).

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let revision = revision().unwrap_or_else(|| "unknown".into());
    println!("cargo::rustc-env=METRICSJOB_REVISION={revision}");
    let version = rust_version().unwrap_or_else(|| "unknown".into());
    println!("cargo::rustc-env=METRICSJOB_RUSTVERSION={version}");
    let target = |name: &str| env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    if target("OS") != "linux" || target("ENV") != "gnu" {
        return;
    }
    // A program at a fixed address starts 0.2 ms sooner, a tenth of a whole `run`: some 6,000
    // addresses need not be relocated at each start. It is what Go's linker does by default too.
    println!("cargo::rustc-link-arg-bins=-no-pie");
    link_unwinder_statically();
    if env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        leave_out_unwind_tables();
    }
}

/// A panic ends the process at once (see `[profile.release]`), so that nobody reads the tables by which it
/// would be passed on; they are 7 % of the binary. Without symbols, they are no use for a backtrace either.
fn leave_out_unwind_tables() {
    let script = "SECTIONS { /DISCARD/ : { *(.eh_frame) *(.eh_frame_hdr) *(.gcc_except_table*) } } \
                  INSERT AFTER .text;";
    let Some(dir) = env::var_os("OUT_DIR") else {
        return;
    };
    let script_path = PathBuf::from(dir).join("no-unwind-tables.ld");
    if fs::write(&script_path, script).is_ok() {
        println!("cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
        println!(
            "cargo::rustc-link-arg-bins=-Wl,-T,{}",
            script_path.display()
        );
    }
}

/// What is linked as `libgcc_s`, for backtraces, asks the processor for all that it can do whenever it
/// is loaded; under a hypervisor each such question takes microseconds, 0.14 ms in all. The static
/// library does not ask.
fn link_unwinder_statically() {
    let library = "libgcc_eh.a";
    let found = Command::new("cc")
        .arg(format!("-print-file-name={library}"))
        .output();
    // Where it is not installed, the compiler gives the name back as it was.
    let is_installed = found.is_ok_and(|answer| answer.stdout.starts_with(b"/"));
    let (true, Some(dir)) = (is_installed, env::var_os("OUT_DIR")) else {
        return;
    };
    let dir = PathBuf::from(dir);
    // A linker reads text in place of a shared library as a script.
    if fs::write(dir.join("libgcc_s.so"), "GROUP(-lgcc_eh -lgcc)\n").is_ok() {
        println!("cargo::rustc-link-arg-bins=-L{}", dir.display());
    }
}

/// The commit that is checked out, if this directory is a git checkout's own; one around it is of something
/// else.
fn revision() -> Option<String> {
    let dir = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR")?);
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
