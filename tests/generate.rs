//! Manual pages.

use std::fs;
#[cfg(feature = "real-servers")]
use std::process::Command;

use crate::common::Sandbox;

#[test]
fn a_page_for_each_subcommand() {
    let sandbox = Sandbox::new();
    sandbox.run("generate man share/man1").code(0).quiet();
    let directory = sandbox.path().join("share/man1");
    for (page, text) in [
        ("metricsjob.1", "metricsjob run backup"),
        ("metricsjob-run.1", "timeout"),
        ("metricsjob-outbox-flush.1", "rejected"),
        ("metricsjob-state-backup.1", "force"),
        ("metricsjob-generate-man.1", "DIR"),
    ] {
        let content = fs::read_to_string(directory.join(page)).unwrap();
        assert!(content.starts_with(".ie"), "{page}: {content:.200}");
        assert!(content.contains(text), "{page}");
    }
    let pages = fs::read_dir(&directory).unwrap().count();
    assert!(pages > 20, "{pages}");
    // Again, over those that are there.
    sandbox.run("generate man share/man1").code(0).quiet();
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let sandbox = Sandbox::new();
    sandbox.write("file", "");
    let run = sandbox.run("generate man file/man1");
    run.code(1)
        .err("could not write the manual pages into file/man1");
}

#[cfg(feature = "real-servers")]
#[test]
fn groff_has_nothing_to_say() {
    let sandbox = Sandbox::new().variable("METRICSJOB_GATEWAY", "http://kept-from-view");
    sandbox.run("generate man man1").code(0);
    for entry in fs::read_dir(sandbox.path().join("man1")).unwrap() {
        let page = entry.unwrap().path();
        let output = Command::new("groff")
            .args(["-k", "-man", "-ww", "-Wbreak", "-Tutf8", "-P-cbou"])
            .arg(&page)
            .output()
            .unwrap();
        assert!(output.status.success(), "{page:?}: {output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{page:?}");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("SYNOPSIS"), "{page:?}");
        assert!(!text.contains("kept-from-view"), "{page:?}");
    }
}
