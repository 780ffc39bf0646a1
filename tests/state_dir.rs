//! Where the state is, and who may read it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;

use nix::sys::stat::{Mode, umask};

use crate::common::{Finished, Sandbox};

const RUN: &str = "run backup --set duration=0s";

#[test]
fn option_environment_and_defaults() {
    let sandbox = Sandbox::new();
    let dir = |name: &str| sandbox.path().join(name).display().to_string();
    let run = |variables: &[(&str, &str)], option: &str| {
        let mut command = sandbox.command(format!("{RUN}{option}").split(' ').collect::<Vec<_>>());
        for (name, value) in variables {
            command.env(name, dir(value));
        }
        assert!(command.output().unwrap().status.success());
    };
    let is_there = |name: &str| sandbox.path().join(name).join("state.db").is_file();
    let mut variables = vec![("XDG_STATE_HOME", "xdg")];
    run(&variables, "");
    assert!(is_there("xdg/metricsjob"));
    variables.push(("STATE_DIRECTORY", "systemd"));
    run(&variables, "");
    assert!(is_there("systemd"));
    variables.push(("METRICSJOB_STATE_DIR", "ours"));
    run(&variables, "");
    assert!(is_there("ours"));
    run(&variables, &format!(" --state-dir {}", dir("flag")));
    assert!(is_there("flag"));
    assert!(!sandbox.state_db().exists());
    sandbox
        .run(&format!("{RUN} --state-dir relative"))
        .code(0)
        .out("metricsjob status --state-dir relative");
    assert!(is_there("relative"));
}

/// All that is there while a run goes on, whatever the umask.
#[test]
fn it_is_private() {
    let sandbox = Sandbox::new();
    let list = "find .local/state/metricsjob -printf '%y%m %P\n' | sort";
    let run = || {
        let mut command =
            sandbox.command(["exec", "--lock", "--push-start", "--", "sh", "-c", list]);
        // SAFETY: umask(2) may be called between fork and exec.
        unsafe {
            command.pre_exec(|| {
                umask(Mode::empty());
                Ok(())
            });
        }
        Finished::from(command.output().unwrap())
    };
    run().code(0);
    let listed = run().code(0).stdout();
    for file in [
        "state.db",
        "state.db-wal",
        "state.db-shm",
        "state.lock",
        "locks/sh-",
    ] {
        assert!(listed.contains(&format!("f600 {file}")), "{file}\n{listed}");
    }
    for line in listed.lines() {
        assert!(
            line.starts_with("f600 ") || line.starts_with("d700 "),
            "{listed}"
        );
    }
}

/// Its owner may have a reason, and the files in it are private.
#[test]
fn a_wider_directory_stays_as_it_is() {
    let sandbox = Sandbox::new();
    let dir = sandbox.state_db().parent().unwrap().to_owned();
    fs::create_dir_all(&dir).unwrap();
    fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
    sandbox.run(RUN).code(0).quiet_stderr();
    assert_eq!(mode(&dir), 0o755);
    assert_eq!(mode(&sandbox.state_db()), 0o600);
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}
