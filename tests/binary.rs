//! How the program is linked, as its ELF file says.

use std::process::Command;

use crate::common::US;

fn readelf(options: &str) -> String {
    let output = Command::new("readelf")
        .args(["--wide", options])
        .arg(US)
        .output()
        .unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn it_is_position_independent_and_hardened() {
    let header = readelf("--file-header");
    assert!(
        header.contains("DYN (Position-Independent Executable file)"),
        "{header}"
    );

    let segments = readelf("--segments");
    let flags = |kind: &str| -> Vec<String> {
        let lines = segments.lines().map(str::trim_start);
        let lines = lines.filter(|line| line.starts_with(kind));
        // Between the sizes and the alignment.
        lines
            .map(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                words[6..words.len() - 1].concat()
            })
            .collect()
    };
    assert_eq!(flags("GNU_STACK"), ["RW"], "an executable stack");
    assert_eq!(flags("GNU_RELRO"), ["R"]);
    let loaded = flags("LOAD");
    assert!(loaded.iter().all(|flags| flags != "RWE"), "{loaded:?}");
    assert!(segments.contains(".eh_frame_hdr"), "no unwind tables");

    let dynamic = readelf("--dynamic");
    let flags_1 = dynamic
        .lines()
        .find(|line| line.contains("(FLAGS_1)"))
        .unwrap();
    assert!(
        flags_1.contains("NOW") && flags_1.contains("PIE"),
        "{flags_1}"
    );
    assert!(dynamic.contains("BIND_NOW"), "{dynamic}");
    assert!(
        !dynamic.contains("RPATH") && !dynamic.contains("RUNPATH"),
        "{dynamic}"
    );
    assert!(!dynamic.contains("TEXTREL"), "{dynamic}");
}

/// It needs the C library and what belongs to it, and is linked with them at run time.
#[test]
fn it_needs_the_systems_libraries_only() {
    let dynamic = readelf("--dynamic");
    let needed = dynamic.lines().filter(|line| line.contains("(NEEDED)"));
    let mut needed: Vec<&str> = needed
        .map(|line| line.split(['[', ']']).nth(1).unwrap())
        .collect();
    needed.retain(|name| !name.starts_with("ld-linux"));
    needed.sort_unstable();
    assert_eq!(needed, ["libc.so.6", "libgcc_s.so.1", "libm.so.6"]);
}

/// The C code in it, which is SQLite's and a part of ring's, has a stack protector.
#[test]
fn its_c_code_has_a_stack_protector() {
    let symbols = readelf("--dyn-syms");
    assert!(symbols.contains("__stack_chk_fail"), "{symbols}");
}

/// The program is its own `main`, and takes no function of the C library's place.
#[test]
fn it_overrides_nothing() {
    let symbols = readelf("--dyn-syms");
    let defined = symbols.lines().filter(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.len() == 8 && words[6] != "UND" && words[3] == "FUNC"
    });
    assert_eq!(defined.collect::<Vec<_>>(), [] as [&str; 0]);
}
