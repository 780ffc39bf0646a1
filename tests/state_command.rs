//! `metricsjob state check` and `metricsjob state repair`.

use std::fs;
use std::os::unix::fs::FileExt;

use rusqlite::Connection;

use crate::common::{Sandbox, stamp};

const RUN: &str = "run backup --set duration=0s";

/// A state with two runs, the counter of one is damaged.
fn damaged() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.run(RUN).code(0);
    sandbox.exec("--job other --no-push", "true").code(0);
    let database = Connection::open(sandbox.state_db()).unwrap();
    let change = "UPDATE counters SET value = 1000 WHERE grouping_key LIKE '%other%'";
    assert_eq!(database.execute(change, []), Ok(1));
    sandbox
}

#[test]
fn a_sound_state() {
    let sandbox = Sandbox::new();
    let none = "there is no state database yet: ";
    sandbox.run("state check").code(0).out(none).quiet_stderr();
    sandbox.run(RUN).code(0);
    let before = fs::read(sandbox.state_db()).unwrap();
    for command in ["state check", "state repair"] {
        let done = sandbox.run(command);
        done.code(0)
            .out("the state database ")
            .out(" is sound")
            .quiet_stderr();
        let json = sandbox.run(&format!("{command} --output json")).json();
        assert_eq!(json["sound"], true);
    }
    assert_eq!(fs::read(sandbox.state_db()).unwrap(), before);
    assert_eq!(sandbox.outcomes().len(), 1);
}

#[test]
fn a_wrong_checksum() {
    let sandbox = damaged();
    let check = sandbox.run("state check");
    check
        .code(1)
        .out(" is corrupt")
        .out("counters that are not as they were written: 1")
        .quiet_stderr();
    let json = sandbox.run("state check --output json");
    let json = json.code(1).json();
    assert_eq!(json["sound"], false);
    assert_eq!(json["problems"].as_array().unwrap().len(), 1);

    let repair = sandbox.run("state repair --output json");
    let json = repair.code(0).json();
    assert_eq!(
        json["salvaged"]["counters"],
        serde_json::json!({ "carried": 1, "lost": 1 })
    );
    assert_eq!(
        json["salvaged"]["runs"],
        serde_json::json!({ "carried": 2, "lost": 0 })
    );
    assert_eq!(json["salvaged"]["groups"]["carried"], 1);
    assert!(fs::exists(json["aside"].as_str().unwrap()).unwrap());
    sandbox.run("state check").code(0).out(" is sound");
    assert_eq!(sandbox.outcomes().len(), 2);
}

/// A run that needs the counter finds out by itself, and begins that anew.
#[test]
fn a_wrong_counter_is_not_delivered() {
    let sandbox = damaged();
    let run = sandbox.exec("--job other", "true");
    run.code(0)
        .err("the checksum of the counter ")
        .err("lost: 1 counter");
    let total = sandbox.value("other", "batch_job_runs_total{outcome=\"success\"}");
    assert_eq!(total, Some(1.0));
    assert_eq!(sandbox.outcomes().len(), 3);
}

#[test]
fn wrong_runs_are_not_shown() {
    let sandbox = Sandbox::new();
    sandbox.exec("--job a --no-push", "true").code(0);
    sandbox.exec("--job b --no-push", "true").code(0);
    let database = Connection::open(sandbox.state_db()).unwrap();
    for wrong in [
        "exit_code = 7",
        "checksum = NULL",
        "checksum = checksum + 1",
    ] {
        stamp(&database);
        let change = format!("UPDATE runs SET {wrong} WHERE job = 'a'");
        assert_eq!(database.execute(&change, []), Ok(1));
        let shown = sandbox.history();
        assert_eq!(shown.len(), 1, "{wrong}");
        assert_eq!(shown[0]["name"], "b");
        let check = sandbox.run("state check");
        check
            .code(1)
            .out("runs that are not as they were written: 1");
    }
}

/// Another file than that of this machine.
#[test]
fn a_file() {
    let sandbox = damaged();
    let file = sandbox.path().join("copy.db");
    let database = Connection::open(sandbox.state_db()).unwrap();
    let copy = format!("VACUUM INTO '{}'", file.display());
    database.execute_batch(&copy).unwrap();
    sandbox
        .run("state check copy.db")
        .code(1)
        .out("copy.db is corrupt");
    let header = fs::File::options().write(true).open(&file).unwrap();
    header.write_all_at(b"no database", 0).unwrap();
    sandbox
        .run("state check copy.db")
        .code(1)
        .out("file is not a database");
    let repair = sandbox.run("state repair copy.db");
    repair
        .code(0)
        .out("carried over were 1 counter, 2 runs and 1 group; lost: 1 counter")
        .quiet_stderr();
    sandbox.run("state check copy.db").code(0);
    sandbox.run("state check").code(1);
    let missing = sandbox.run("state check missing.db");
    missing.code(2).err("missing.db: there is no such file");
}

#[test]
fn a_newer_version_is_not_judged() {
    let sandbox = Sandbox::new();
    sandbox.run(RUN).code(0);
    let database = Connection::open(sandbox.state_db()).unwrap();
    let newer = "PRAGMA user_version = 99; PRAGMA application_id = 99";
    database.execute_batch(newer).unwrap();
    for command in ["state check", "state repair"] {
        sandbox.run(command).code(1).err("by a newer metricsjob");
    }
    // One alone is a flipped byte.
    database.execute_batch("PRAGMA application_id = 7").unwrap();
    sandbox
        .run("state check")
        .code(1)
        .out("the version of its schema is 99");
    sandbox.run(RUN).code(0).err("carried over were");
    assert_eq!(sandbox.outcomes().len(), 2);
}
