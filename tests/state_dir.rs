//! Where the state is, and states that cannot be used.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::common::Sandbox;

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

#[test]
fn it_is_private() {
    let sandbox = Sandbox::new();
    sandbox.run(RUN).code(0);
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let dir = sandbox.state_db().parent().unwrap().to_owned();
    assert_eq!(mode(&dir), 0o700);
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{path:?}");
    }
}

#[test]
fn a_newer_or_broken_database_is_left_as_it_is() {
    let sandbox = Sandbox::new();
    sandbox.run(RUN).code(0);
    let database = rusqlite::Connection::open(sandbox.state_db()).unwrap();
    database.pragma_update(None, "user_version", 99).unwrap();
    drop(database);
    let run = sandbox.run(RUN);
    run.code(0)
        .err("was written by a newer metricsjob (schema 99, this one knows ")
        .err("the report is lost");
    sandbox
        .run("status")
        .code(69)
        .err("error: the state database ");

    let sandbox = Sandbox::new();
    let garbage = "this is no database\n".repeat(1000);
    let file = sandbox.write(".local/state/metricsjob/state.db", &garbage);
    sandbox
        .run(RUN)
        .code(0)
        .err("warning: could not use the state database ")
        .err("file is not a database");
    assert_eq!(fs::read_to_string(file).unwrap(), garbage);
}
