//! How the binary is linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |name| std::env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    if target("OS") == "linux" && target("ENV") == "gnu" {
        // A program at a fixed address starts 0.2 ms sooner, a tenth of a whole `run`: some 6,000
        // addresses need not be relocated at each start. It is what Go's linker does by default too.
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
