//! How the binary is linked, where it makes it start sooner (see `scripts/bench`).

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |name: &str| env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    if target("OS") != "linux" || target("ENV") != "gnu" {
        return;
    }
    // A program at a fixed address starts 0.2 ms sooner, a tenth of a whole `run`: some 6,000
    // addresses need not be relocated at each start. It is what Go's linker does by default too.
    println!("cargo::rustc-link-arg-bins=-no-pie");
    link_unwinder_statically();
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
