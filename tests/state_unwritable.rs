//! State that cannot be written: the job runs, its report is pushed, one warning says why.

use std::fs;
use std::os::unix::fs::symlink;

use crate::common::{FakeServer, Finished, Sandbox};

/// A built-in and a command, whose state is opened beside it.
const JOBS: [&str; 2] = ["run backup --set duration=0s", "exec -- true"];

/// Does a run by `run`, which gets the command line. The report arrives whatever the state is like.
#[track_caller]
fn reported(job: &str, options: &str, run: impl Fn(&str) -> Finished) -> Finished {
    let server = FakeServer::status("202 Accepted", "");
    let (command, rest) = job.split_once(' ').unwrap();
    let url = server.url();
    let run = run(&format!(
        "{command} --quiet --gateway {url} {options} {rest}"
    ));
    let stderr = run.code(0).stderr();
    let requests = server.requests();
    assert_eq!(requests.len(), 1, "{stderr}");
    let is_counted = requests[0].body.contains("_runs_total");
    assert_eq!(is_counted, is_recorded(&run), "{stderr}");
    run
}

/// Whether the run is in the history: all went well, or only the last step did not.
fn is_recorded(run: &Finished) -> bool {
    run.stderr().is_empty() || run.stderr().contains("the report was delivered")
}

/// The same; there must be one warning, with these words in it, and nothing else.
#[track_caller]
fn one_warning(words: &[&str], options: &str, run: impl Fn(&str) -> Finished) {
    for job in JOBS {
        let run = reported(job, options, &run);
        let stderr = run.stderr();
        assert!(stderr.starts_with("warning: "), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        for word in words {
            run.err(word);
        }
    }
}

#[test]
fn the_path_is_no_directory() {
    let sandbox = Sandbox::new();
    let file = sandbox.write("file", "").display().to_string();
    symlink("nowhere", sandbox.path().join("link")).unwrap();
    for dir in [&file, &format!("{file}/below"), "link"] {
        let words = format!("could not create the state directory {dir}: Not a directory (choose");
        let option = format!("--state-dir {dir}");
        one_warning(&[&words], &option, |line| sandbox.run(line));
    }
}

/// Whatever is at the path of the database.
#[track_caller]
fn one_warning_with(words: &[&str], make: impl Fn(&std::path::Path)) {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.state_db().parent().unwrap()).unwrap();
    make(&sandbox.state_db());
    one_warning(words, "", |line| sandbox.run(line));
    sandbox.run("history").err(words[0]);
}

#[test]
fn the_database_is_no_file() {
    let words = ["state.db: it is not a file (choose another directory"];
    one_warning_with(&words, |path| fs::create_dir(path).unwrap());
    one_warning_with(&words, |path| {
        nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    });
    let words = ["state.db: it is a link to a file that does not exist"];
    one_warning_with(&words, |path| symlink("nowhere", path).unwrap());
}

/// These need root, as in CI.
#[cfg(feature = "real-servers")]
mod as_root {
    use std::os::unix::fs::{PermissionsExt, chown};
    use std::path::Path;
    use std::process::{Command, Stdio};

    use super::*;

    /// Debian's user without rights.
    const NOBODY: u32 = 65534;

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Runs a command as nobody where the system has no state of metricsjob's: that somebody has once run it as root
    /// without a home must not matter.
    const WITHOUT_STATE: &str = "mount -t tmpfs -o mode=755 none /var/lib
        exec setpriv --reuid=65534 --regid=65534 --clear-groups \"$@\"";

    /// Runs a copy of the binary, as somebody else, in a sandbox that everybody can read.
    fn as_nobody(sandbox: &Sandbox, line: &str, home: Option<&Path>) -> Finished {
        let binary = sandbox.path().join("metricsjob");
        if !binary.exists() {
            // By another process: what other tests start would have inherited the file, open for writing, if we
            // had it open, and then it cannot be run.
            let copy = Command::new("cp")
                .arg(crate::common::US)
                .arg(&binary)
                .status();
            assert!(copy.unwrap().success());
            mode(sandbox.path(), 0o755);
        }
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-euc", WITHOUT_STATE, "sh"])
            .arg(binary)
            .args(line.split_whitespace())
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("RUST_BACKTRACE", "1")
            .envs(home.map(|home| ("HOME", home)))
            .current_dir("/")
            .stdin(Stdio::null());
        command.output().unwrap().into()
    }

    #[test]
    fn another_users() {
        let denied = "permission denied (make it this user's with chown, or choose another";
        let sandbox = Sandbox::new();
        sandbox.run(JOBS[0]).code(0);
        let dir = sandbox.state_db().parent().unwrap().to_owned();
        for path in [".local", ".local/state"] {
            mode(&sandbox.path().join(path), 0o755);
        }
        let run = |line: &str| as_nobody(&sandbox, line, Some(sandbox.path()));
        // The directory, the database in it, its log.
        one_warning(&[denied, "state.db: "], "", run);
        mode(&dir, 0o755);
        one_warning(&[denied, "state.db: "], "", run);
        mode(&dir, 0o777);
        chown(sandbox.state_db(), Some(NOBODY), None).unwrap();
        one_warning(&[denied, "state.db-wal: "], "", run);
        // What may be read is shown.
        for entry in fs::read_dir(&dir).unwrap() {
            mode(&entry.unwrap().path(), 0o644);
        }
        chown(sandbox.state_db(), Some(0), None).unwrap();
        mode(&dir, 0o755);
        one_warning(&[denied, "state.db: "], "", run);
        run("history").code(0).out("backup");
        run("status").code(0).out("db_backup");
        // A home that nothing may be made in, and none.
        let words = ["could not create the state directory ", denied];
        let root = Path::new("/");
        one_warning(&words, "", |line| as_nobody(&sandbox, line, Some(root)));
        let words = [
            "could not create the state directory /var/lib/metricsjob",
            denied,
        ];
        one_warning(&words, "", |line| as_nobody(&sandbox, line, None));
    }

    /// Runs a shell script in a mount namespace of its own, with the state directory as $dir. As
    /// `"$@"` it has `metricsjob` with the words of `line`, as $1 the binary.
    fn in_namespace(sandbox: &Sandbox, script: &str, line: &str) -> Finished {
        let dir = sandbox.state_db().parent().unwrap().to_owned();
        fs::create_dir_all(&dir).unwrap();
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-euc", script, "sh"])
            .arg(crate::common::US)
            .args(line.split_whitespace())
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", sandbox.path())
            .envs(sandbox.variables())
            .env("dir", dir)
            .stdin(Stdio::null());
        command.output().unwrap().into()
    }

    const READ_ONLY: &str =
        r#"mount --bind "$dir" "$dir"; mount -o remount,bind,ro "$dir"; exec "$@""#;

    #[test]
    fn a_read_only_file_system() {
        let sandbox = Sandbox::new();
        let run = |line: &str| in_namespace(&sandbox, READ_ONLY, line);
        let words = ["the file system is read-only (choose another directory"];
        one_warning(&words, "", run);
        run("history").code(0).out("no runs so far");
        sandbox.run(JOBS[0]).code(0);
        one_warning(&words, "", run);
        let is_shown = || {
            run("history").code(0).out("backup").quiet_stderr();
            run("status").code(0).out("db_backup").quiet_stderr();
        };
        is_shown();
        // Without its log, as somebody copied it.
        let database = rusqlite::Connection::open(sandbox.state_db()).unwrap();
        drop(database.execute_batch("VACUUM"));
        drop(database);
        assert!(!sandbox.state_db().with_extension("db-wal").exists());
        is_shown();
        one_warning(&words, "", run);
    }

    #[test]
    fn a_corrupt_one_on_a_read_only_file_system() {
        let sandbox = Sandbox::new();
        sandbox.write(
            ".local/state/metricsjob/state.db",
            "no database\n".repeat(99),
        );
        let run = |line: &str| in_namespace(&sandbox, READ_ONLY, line);
        let words = [
            "is corrupt (file is not a database), and no new one could be created: ",
            "the file system is read-only",
        ];
        one_warning(&words, "", run);
    }

    /// Even then it is told where the corrupt one is.
    #[test]
    fn a_corrupt_one_on_a_full_disk() {
        const SCRIPT: &str = r#"
mount -t tmpfs -o size=64k none "$dir"
echo no database >"$dir/state.db"
cat /dev/zero >"$dir/filler" 2>/dev/null || :
exec "$@"
"#;
        let sandbox = Sandbox::new();
        let words = [
            "is corrupt (file is not a database), is now ",
            "/state.db.corrupt-",
            ", and no new one could be created: ",
            "no space is left there",
        ];
        one_warning(&words, "", |line| in_namespace(&sandbox, SCRIPT, line));
    }

    /// With every amount of free space, so that every step fails once. What has not warned is
    /// recorded, and with space again all goes on.
    #[test]
    fn a_full_disk() {
        const SCRIPT: &str = r#"
mkdir -p "$HOME/before"; cp -a "$dir/." "$HOME/before"
mount -t tmpfs -o size=512k none "$dir"
cp -a "$HOME/before/." "$dir"
cat /dev/zero >"$dir/filler" 2>/dev/null || :
truncate -s "-$(cat "$HOME/free")k" "$dir/filler"
"$@"
rm "$dir/filler"
"$1" exec --no-push --quiet -- true
exec "$1" history --output json
"#;
        let mut failed = 0;
        let (empty, used) = (Sandbox::new(), Sandbox::new());
        used.run(JOBS[0]).code(0);
        for (sandbox, before) in [(empty, 0), (used, 1)] {
            for free in (0..=200).step_by(4) {
                sandbox.write("free", free.to_string());
                let run = |line: &str| in_namespace(&sandbox, SCRIPT, line);
                let run = reported(JOBS[0], "", run);
                let warnings = run.stderr().lines().count();
                assert!(warnings <= 1, "{free} KiB: {}", run.stderr());
                if warnings == 1 {
                    run.err("warning: ")
                        .err("no space is left there (free some, or choose");
                }
                let is_recorded = is_recorded(&run);
                failed += usize::from(!is_recorded);
                let recorded = run.json().as_array().unwrap().len();
                assert_eq!(
                    recorded,
                    before + 1 + usize::from(is_recorded),
                    "{free} KiB"
                );
            }
        }
        assert!(failed > 10, "{failed}");
    }
}
