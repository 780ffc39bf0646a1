//! What is written where: results to stdout, everything else to stderr, in the form that was asked.

use std::process::Stdio;

use crate::common::Sandbox;

#[test]
fn a_run_as_json() {
    let sandbox = Sandbox::new();
    let run = sandbox.run("run backup -g db=c --set duration=0s --output json");
    let json = run.code(0).json();
    assert_eq!(run.stderr(), "");
    assert_eq!(json["name"], "backup");
    assert_eq!(json["outcome"], "success");
    assert_eq!(json["exit_code"], 0);
    assert_eq!(json["failure"], serde_json::Value::Null);
    assert_eq!(json["metrics"][0]["name"], "db_backup_records_processed");
    assert_eq!(json["metrics"][0]["metrics"][0]["value"], 42);
    let push = &json["push"];
    assert_eq!(push["method"], "post");
    assert_eq!(
        push["grouping_key"],
        serde_json::json!({ "job": "db_backup", "db": "c" })
    );
    let delivery = &push["deliveries"][0];
    assert_eq!(delivery["gateway"], "embedded");
    assert_eq!(delivery["delivered"], true);

    let failed = sandbox.run(
        "run backup --set duration=0s --set failure-rate=1 --output json --gateway 127.0.0.1:1",
    );
    let json = failed.code(1).json();
    assert_eq!(
        (&json["outcome"], &json["exit_code"]),
        (&"failure".into(), &1.into())
    );
    assert!(
        json["failure"]
            .as_str()
            .unwrap()
            .starts_with("simulated failure")
    );
    let delivery = &json["push"]["deliveries"][0];
    assert_eq!(
        (&delivery["delivered"], &delivery["outbox_entry"]),
        (&false.into(), &2.into())
    );
    assert!(
        delivery["error"]
            .as_str()
            .unwrap()
            .contains("connection refused")
    );
}

#[test]
fn a_push_as_json() {
    let sandbox = Sandbox::new();
    let push = sandbox.run_with_input("push --job j -g a=1 --output json", "m 1\nn 2\n");
    let json = push.code(0).json();
    assert_eq!(
        (&json["series"], &json["deliveries"][0]["delivered"]),
        (&2.into(), &true.into())
    );
    let url = &json["deliveries"][0]["url"];
    assert_eq!(url, "embedded:/metrics/job/j/a/1");
}

#[test]
fn quiet_in_cron() {
    let sandbox = Sandbox::new();
    sandbox
        .run("run backup --quiet --set duration=0s")
        .code(0)
        .quiet();
    let failed = sandbox.run("run backup --quiet --set duration=0s --set failure-rate=1");
    failed.code(1).err("error: backup: simulated failure");
    assert_eq!(failed.stdout(), "");
    let undelivered = sandbox.run("run backup --quiet --set duration=0s --gateway 127.0.0.1:1");
    assert_eq!(
        undelivered
            .code(0)
            .err("warning: could not connect")
            .stdout(),
        ""
    );
}

#[test]
fn no_colours_without_a_terminal() {
    let sandbox = Sandbox::new();
    for line in [
        "run backup --set duration=0s",
        "list",
        "status",
        "run nothing",
        "--help",
    ] {
        let run = sandbox.run(line);
        assert!(
            !run.stdout().contains('\u{1b}') && !run.stderr().contains('\u{1b}'),
            "{line}"
        );
    }
}

#[test]
fn whoever_reads_may_stop_reading() {
    let sandbox = Sandbox::new();
    for line in [
        "list",
        "status",
        "generate completions bash",
        "run backup --set duration=0s",
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = sandbox.command(line.split(' '));
        let child = command
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(command);
        let end = child.wait_with_output().unwrap();
        assert!(end.status.success(), "{line}: {end:?}");
        assert_eq!(String::from_utf8_lossy(&end.stderr), "", "{line}");
    }
}

#[test]
fn a_closed_stderr_changes_no_exit_code() {
    let sandbox = Sandbox::new();
    for (line, code) in [
        (
            "run backup --set duration=0s --set failure-rate=1 --gateway 127.0.0.1:1",
            1,
        ),
        ("run backup --set duration=0s --gateway 127.0.0.1:1", 0),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = sandbox.command(line.split(' '));
        let status = command
            .stdout(Stdio::null())
            .stderr(writer)
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(code), "{line}");
    }
}

#[test]
fn every_help_has_its_text() {
    let sandbox = Sandbox::new();
    for command in [
        "run",
        "push",
        "delete",
        "status",
        "list",
        "check",
        "generate",
        "generate completions",
    ] {
        let help = sandbox.run(&format!("{command} --help"));
        help.code(0).out("Usage: metricsjob ");
        assert!(
            help.stdout().lines().next().unwrap().len() > 10,
            "{command}"
        );
    }
    sandbox
        .run("--help")
        .code(0)
        .out("Examples:")
        .out("Exit codes:");
    sandbox
        .run("--version")
        .code(0)
        .out(concat!("metricsjob ", env!("CARGO_PKG_VERSION"), "\n"));
    sandbox
        .run("")
        .code(2)
        .err("Usage: metricsjob [OPTIONS] <COMMAND>");
    sandbox
        .run("rum backup")
        .code(2)
        .err("a similar subcommand exists: 'run'");
}

#[test]
fn completions() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        sandbox
            .run(&format!("generate completions {shell}"))
            .code(0)
            .out("dry-run");
    }
}

#[test]
fn each_subcommand_says_what_it_does() {
    let help = Sandbox::new().run("--help").code(0).stdout();
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let (commands, _) = commands.split_once("\n\n").unwrap();
    assert!(commands.lines().count() >= 11);
    for line in commands.lines() {
        assert!(line.split_whitespace().count() > 2, "{line:?}");
    }
}
