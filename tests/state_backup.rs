//! `state backup`: a copy of the state database, made while others use it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use crate::common::Sandbox;

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
    entries.map(|entry| name(entry.unwrap())).collect()
}

#[test]
fn a_copy_is_a_state_of_its_own() {
    let sandbox = Sandbox::new();
    sandbox.run("run backup --set duration=0s").code(0);
    sandbox.run("push --job j --gateway 127.0.0.1:1").code(69);
    let copy = sandbox.write("copy/other", "").with_file_name("state.db");
    let backup = sandbox.run("state backup copy/state.db");
    backup.code(0).quiet_stderr();
    backup.out("state.db to copy/state.db: ").out("KiB, in ");
    assert_eq!(copy.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(names(copy.parent().unwrap()).len(), 2);
    for line in [
        "history --output json",
        "outbox list --output json",
        "status --gateway embedded --output json",
    ] {
        let whole = sandbox.run(line).code(0).json();
        let copied = sandbox.run(&format!("{line} --state-dir copy"));
        assert_eq!(copied.code(0).json(), whole, "{line}");
    }
    // It can be written too, and that changes nothing of the other.
    sandbox.exec("--no-push --state-dir copy", "true").code(0);
    assert_eq!(sandbox.history().len(), 1);
}

#[test]
fn what_it_says() {
    let sandbox = Sandbox::new();
    sandbox.exec("", "true").code(0);
    let json = sandbox.run("state backup copy --output json");
    let json = json.code(0).json();
    let size = fs::metadata(sandbox.path().join("copy")).unwrap().len();
    assert_eq!(json["bytes"], size);
    assert_eq!(json["file"], "copy");
    assert_eq!(json["state"], sandbox.state_db().to_str().unwrap());
    assert!(json["rows"].as_u64() > Some(1), "{json}");
    assert!(json["duration_seconds"].as_f64() > Some(0.0), "{json}");
    sandbox
        .run("state backup --force --quiet copy")
        .code(0)
        .quiet();
    sandbox
        .run("state backup --help")
        .code(0)
        .out("metricsjob history --state-dir /backup");
}

#[test]
fn nothing_is_replaced_unless_it_is_forced() {
    let sandbox = Sandbox::new();
    sandbox.exec("", "true").code(0);
    let file = sandbox.write("copy", "mine");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = sandbox.run("state backup copy");
    refused
        .code(2)
        .err("error: the destination copy exists already (--force replaces it)");
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    sandbox.run("state backup copy --force").code(0);
    assert!(fs::read(&file).unwrap().starts_with(b"SQLite format 3\0"));
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    std::os::unix::fs::symlink("nowhere", sandbox.path().join("link")).unwrap();
    sandbox
        .run("state backup link")
        .code(2)
        .err("exists already");
    let own = sandbox.state_db();
    let own = own.to_str().unwrap();
    sandbox
        .run(&format!("state backup --force {own}"))
        .code(2)
        .err("the same file");
    assert_eq!(sandbox.history().len(), 1);
}

#[test]
fn what_cannot_be_copied() {
    let sandbox = Sandbox::new();
    sandbox
        .run("state backup copy")
        .code(1)
        .err("error: could not read the source ")
        .err("state.db: No such file");
    assert!(!sandbox.state_db().exists());
    sandbox.exec("", "true").code(0);
    sandbox
        .run("state backup no/copy")
        .code(1)
        .err("error: could not write the destination no/copy: No such file");
    sandbox.run("state backup whole").code(0);
    let mut bytes = fs::read(sandbox.path().join("whole")).unwrap();
    bytes[4096..].fill(0xaa);
    let broken = sandbox.write("broken/state.db", bytes);
    let corrupt = sandbox.run("state backup copy --state-dir broken");
    corrupt.code(1).err("broken/state.db is corrupt: ");
    assert!(!sandbox.path().join("copy").exists());
    // Whoever only copies moves nothing aside.
    assert!(broken.exists());
}

#[test]
fn while_runs_go_on() {
    let sandbox = Sandbox::new();
    sandbox.exec("--job j", "true").code(0);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let runs = scope.spawn(|| {
            let mut runs = 1;
            while !is_over.load(Relaxed) {
                sandbox.exec("--job j --keep 10000", "true").code(0).quiet();
                runs += 1;
            }
            runs
        });
        let mut seen = 1;
        for number in 0..10 {
            let dir = format!("copy-{number}");
            fs::create_dir(sandbox.path().join(&dir)).unwrap();
            sandbox.run(&format!("state backup {dir}/state.db")).code(0);
            let history = format!("history --last 100000 --output json --state-dir {dir}");
            let history = sandbox.run(&history).code(0).json();
            let now = history.as_array().unwrap().len();
            assert!(now >= seen, "{now} of {seen}");
            seen = now;
        }
        is_over.store(true, Relaxed);
        assert!(seen > 1);
        let runs = runs.join().unwrap();
        assert_eq!(sandbox.history().len(), runs);
    });
}

/// These need root, as in CI.
#[cfg(feature = "real-servers")]
#[test]
fn a_full_disk_as_root() {
    use std::process::Command;

    const SCRIPT: &str = r#"
mount -t tmpfs -o size=64k none "$HOME/full"
echo older >"$HOME/full/copy"
"$1" state backup --force "$HOME/full/copy" && exit 9
cat "$HOME/full/copy"
ls -A "$HOME/full" | wc -l
exec "$1" history
"#;
    let sandbox = Sandbox::new();
    sandbox.exec("--job j", "true").code(0);
    fs::create_dir(sandbox.path().join("full")).unwrap();
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-euc", SCRIPT, "sh"])
        .arg(crate::common::US)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", sandbox.path());
    let finished: crate::common::Finished = command.output().unwrap().into();
    finished
        .code(0)
        .out("older\n1\n")
        .out("success")
        .err("error: could not ");
    assert!(finished.stderr().contains("full"), "{}", finished.stderr());
}
