//! The index by which pushes without a gateway find the groups they could collide with: it leads to all of them,
//! whoever has changed the groups in between.

use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use rusqlite::Connection;

use crate::common::own_gateway::OwnGateway;
use crate::common::{Finished, Sandbox};

const REFUSED: i32 = 69;

fn push(sandbox: &Sandbox, group: &str, text: &str) -> Finished {
    sandbox.run_with_input(&format!("push --gateway embedded --quiet {group}"), text)
}

/// Asserts that the database is sound, its index included, and still the one that it was.
#[track_caller]
fn is_sound(sandbox: &Sandbox) {
    sandbox.run("state check").code(0).out("is sound");
    let files = fs::read_dir(sandbox.state_db().parent().unwrap()).unwrap();
    let mut names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.find(|name| name.contains("corrupt")), None);
}

fn sql(sandbox: &Sandbox, sql: &str) {
    let database = Connection::open(sandbox.state_db()).unwrap();
    database.execute_batch(sql).unwrap();
}

fn number(sandbox: &Sandbox, query: &str) -> i64 {
    let database = Connection::open(sandbox.state_db()).unwrap();
    database.query_row(query, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_gateway_serves_in_between() {
    for is_killed in [false, true] {
        let sandbox = Sandbox::new();
        push(&sandbox, "--job before", "# TYPE a gauge\na 1\n").code(0);
        let mut gateway = OwnGateway::start(sandbox.state_db().parent().unwrap(), &[]);
        for index in 0..100 {
            gateway.put(
                &format!("/metrics/job/served/n/{index}"),
                format!("# TYPE b counter\nb{{n=\"\"}} {index}\n"),
            );
        }
        push(&sandbox, "--job served -g n=3", "c{x=\"1\"} 1\n").code(0);
        gateway.request("DELETE", "/metrics/job/before", &[], b"");
        gateway.request("DELETE", "/metrics/job/served/n/7", &[], b"");
        if is_killed {
            gateway.kill();
        } else {
            assert_eq!(gateway.terminate(), Some(0));
        }
        // What the group had that was deleted is free, and what was pushed to the gateway is taken.
        push(&sandbox, "--job j", "# TYPE a counter\na 1\n").code(0);
        let refused = push(&sandbox, "--job j", "# TYPE b gauge\nb 1\n");
        refused.code(REFUSED).err("the metric b is a gauge here");
        let refused = push(&sandbox, "--job served", "c{n=\"3\",x=\"1\"} 1\n");
        refused.code(REFUSED).err("is already in the group");
        sandbox
            .run("delete --job served -g n=3")
            .code(0)
            .out("deleted");
        push(&sandbox, "--job served", "c{n=\"3\",x=\"1\"} 1\n").code(0);
        is_sound(&sandbox);
        assert_eq!(sandbox.value("served", "b{n=\"8\"}"), Some(8.0));
        // Those of the gateway but for two, `j` and `served`.
        assert_eq!(number(&sandbox, "SELECT count(*) FROM groups"), 100);
    }
}

#[test]
fn what_others_have_changed() {
    for change in [
        // It leads to groups that are none.
        "DELETE FROM groups WHERE id = 0; INSERT INTO group_index VALUES (1)",
        "UPDATE groups SET id = 77 WHERE id = 1; INSERT INTO group_index VALUES (1)",
        // It is of another version, and leads to nothing.
        "DELETE FROM group_series; DELETE FROM group_names; UPDATE group_index SET version = 0",
        // Rows were written without it.
        "DELETE FROM group_series; DELETE FROM group_names; UPDATE groups SET id = id",
        "UPDATE groups SET id = id + 100; DELETE FROM group_series",
    ] {
        let sandbox = Sandbox::new();
        push(&sandbox, "--job one", "a 1\n").code(0);
        push(&sandbox, "--job two", "b{l=\"1\"} 1\n").code(0);
        sql(&sandbox, change);
        push(&sandbox, "--job one", "a 2\n").code(0);
        push(&sandbox, "--job two", "b{l=\"2\"} 1\n").code(0);
        let refused = push(&sandbox, "--job three", "# TYPE a gauge\na 1\n");
        refused.code(REFUSED).err("the metric a is a gauge here");
        assert_eq!(number(&sandbox, "SELECT count(*) FROM groups"), 3);
        is_sound(&sandbox);
        assert_eq!(sandbox.value("one", "a"), Some(2.0), "{change}");
    }
}

#[test]
fn one_that_does_not_fit_is_found_and_repaired() {
    for change in [
        "DELETE FROM group_names",
        "DELETE FROM group_series WHERE slot = 0",
        "UPDATE group_series SET slot = 5 WHERE slot = 1",
        "INSERT INTO group_names VALUES ('x', 0, 0)",
    ] {
        let sandbox = Sandbox::new();
        push(&sandbox, "--job one", "a 1\n").code(0);
        push(&sandbox, "--job two", "b 1\n").code(0);
        is_sound(&sandbox);
        sql(&sandbox, change);
        let check = sandbox.run("state check");
        check
            .code(1)
            .out("the index of the groups does not fit them");
        sandbox.run("state repair").code(0);
        sandbox.run("state check").code(0).out("is sound");
        push(&sandbox, "--job three", "# TYPE a gauge\na 1\n").code(REFUSED);
        assert_eq!(sandbox.value("two", "b"), Some(1.0), "{change}");
    }
}

#[test]
fn ids_of_deleted_groups_are_used_again() {
    let sandbox = Sandbox::new();
    for index in 0..12 {
        push(&sandbox, &format!("--job j -g n={index}"), "a 1\n").code(0);
        if index > 2 {
            let delete = format!("delete --job j -g n={}", index - 2);
            sandbox.run(&delete).code(0).out("deleted");
        }
        if index == 5 {
            sql(&sandbox, "UPDATE groups SET id = id");
        }
    }
    assert_eq!(number(&sandbox, "SELECT count(*) FROM groups"), 3);
    assert!(number(&sandbox, "SELECT max(id) FROM groups") < 5);
    is_sound(&sandbox);
}

/// Each of them pushes to a group of its own, and all want the same series, which one of them gets.
#[test]
fn processes_at_the_same_time() {
    let sandbox = Sandbox::new();
    thread::scope(|scope| {
        let pushes: Vec<_> = (0..8)
            .map(|index| {
                let sandbox = &sandbox;
                scope.spawn(move || {
                    let own = format!("own{index} 1\n# TYPE kind{index} gauge\nkind{index} 1\n");
                    push(sandbox, &format!("--job own -g n={index}"), &own).code(0);
                    let group =
                        "--job j ".to_owned() + &format!("-g a={index} ").repeat(index.min(1));
                    let text = if index == 0 {
                        "m{a=\"1\"} 1\n"
                    } else {
                        "m 1\n"
                    };
                    push(sandbox, &group, text);
                    let kind = ["gauge", "counter"][index % 2];
                    let text = format!("# TYPE of_one_kind {kind}\nof_one_kind 1\n");
                    push(sandbox, &format!("--job kind -g n={index}"), &text);
                })
            })
            .collect();
        pushes.into_iter().for_each(|push| push.join().unwrap());
    });
    is_sound(&sandbox);
    let samples = sandbox.samples();
    let of = |name: &str| {
        samples
            .keys()
            .filter(|series| series.starts_with(name))
            .count()
    };
    assert_eq!((of("own"), of("m{")), (8, 7));
    assert_eq!(of("of_one_kind"), 4);
}

#[test]
fn killed_pushes() {
    let sandbox = Sandbox::new();
    for round in 0..25_u64 {
        let text = sandbox.write("text", format!("a{round} 1\nb{{n=\"{round}\"}} 1\n"));
        let line = format!(
            "push --gateway embedded --job j -g n={} {}",
            round % 5,
            text.display()
        );
        let mut command = sandbox.command(line.split(' '));
        let mut push = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_millis(round));
        push.kill().unwrap();
        push.wait().unwrap();
    }
    push(&sandbox, "--job other", "c 1\n").code(0);
    is_sound(&sandbox);
    assert_eq!(sandbox.value("other", "c"), Some(1.0));
}
