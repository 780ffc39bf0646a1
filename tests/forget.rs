//! `forget`: a job goes everywhere.

use crate::common::{FakeServer, Sandbox, TestGateway, eventually, finished};

on_each_gateway!(nothing_is_left);

/// The keys of all groups that are left.
fn groups(gateway: &TestGateway) -> Vec<String> {
    let samples = gateway.samples().into_keys();
    samples
        .filter(|series| series.starts_with("batch_job_success"))
        .collect()
}

fn nothing_is_left(gateway: &TestGateway) {
    for key in ["--job sync -g a=1", "--job sync -g a=2", "--job other"] {
        gateway.run(&format!("exec {key} -- true")).code(0);
    }
    let dry = gateway.run("forget sync --dry-run");
    assert_eq!(dry.code(0).stdout().lines().count(), 2, "{}", dry.stdout());
    assert_eq!(groups(gateway).len(), 3);

    let one = gateway.run("forget sync -g a=2");
    one.code(0)
        .out("forgot {job=\"sync\",a=\"2\"}: its group at ")
        .out(", a run, ");
    assert_eq!(groups(gateway).len(), 2);
    let rest = gateway.run("forget sync --output json").code(0).json();
    assert_eq!(rest[0]["job"], "sync");
    assert_eq!(rest[0]["grouping"]["a"], "1");
    assert_eq!(rest[0]["runs"], 1);
    assert_eq!(rest.as_array().unwrap().len(), 1);
    let left = groups(gateway);
    assert!(
        left.len() == 1 && left[0].contains("job=\"other\""),
        "{left:?}"
    );
    let history = gateway.run("history --output json").code(0).json();
    assert_eq!(history.as_array().unwrap().len(), 1);
    // Its counters begin anew.
    gateway.run("exec --job sync -g a=1 -- true").code(0);
    let series = "batch_job_runs_total{a=\"1\",outcome=\"success\"}";
    assert_eq!(gateway.value("sync", series), Some(1.0));
}

#[test]
fn reports_that_wait() {
    let down = Sandbox::new().variable("METRICSJOB_GATEWAY", "http://127.0.0.1:1");
    down.run("exec --job sync -- true").code(0);
    assert_eq!(down.outbox_len(), 1);
    // The gateway may have the group, so it is all kept.
    down.run("forget sync").code(69).err("127.0.0.1:1");
    assert_eq!((down.outbox_len(), down.history().len()), (1, 1));
    let server = FakeServer::status("202 Accepted", "");
    down.run(&format!("forget sync --gateway {}", server.url()))
        .code(0)
        .out("a report in the outbox");
    assert_eq!((down.outbox_len(), down.history().len()), (0, 0));
    assert!(
        server.requests()[0]
            .line
            .starts_with("DELETE /metrics/job/sync ")
    );
}

#[test]
fn a_run_in_progress() {
    let sandbox = Sandbox::new();
    let script = "echo >ready; while ! [ -e end ]; do sleep 0.01; done";
    let child = sandbox.spawn(&mut sandbox.exec_command("--job sync --lock", script));
    eventually("it runs", || sandbox.path().join("ready").exists());
    let process = format!(
        "a run of {{job=\"sync\"}} is in progress (process {})",
        child.id()
    );
    sandbox.run("exec --job sync --no-push -- true").code(0);
    sandbox.run("forget sync").code(1).err(&process);
    assert_eq!(sandbox.history().len(), 1);
    sandbox.write("end", "");
    finished(child).code(0);
    sandbox.run("forget sync").code(0).out("2 runs");
}

#[test]
fn what_there_is_not() {
    let sandbox = Sandbox::new();
    sandbox
        .run("forget nothing")
        .code(0)
        .out("forgot {job=\"nothing\"}: no group at the embedded gateway");
    assert!(!sandbox.state_db().exists());
    sandbox
        .run("forget j -g a=${nothing}")
        .code(2)
        .err("a: there is no placeholder ${nothing}");
    sandbox
        .run("forget j -g a=1 -g a=2")
        .code(2)
        .err("given twice");
}
