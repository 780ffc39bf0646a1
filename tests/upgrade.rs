//! A new program and the state of an old one.

use std::fs;
use std::path::Path;

use crate::common::own_server::wrapped;
use crate::common::{Sandbox, finished};

/// The state of version 0.1.0, after runs that succeeded and failed, a push to the embedded gateway, and a report that no
/// gateway has taken. It was made by that program and is never made anew.
const STATE: &str = "tests/fixtures/state-0.1.0.db";

/// The state of the second schema, which a later program has to bring up to date.
fn with(state: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(state);
    sandbox.write(".local/state/metricsjob/state.db", fs::read(file).unwrap());
    sandbox
}

#[track_caller]
fn has_all(sandbox: &Sandbox) {
    let outcomes = sandbox.outcomes();
    assert_eq!(outcomes[..3], ["success", "success", "failure"]);
    assert_eq!(sandbox.outbox_len(), 1);
    assert_eq!(sandbox.value("shop", "queue_size"), Some(17.0));
    let series = "batch_job_runs_total{db=\"customers\",outcome=\"success\"}";
    assert!(sandbox.value("nightly", series) >= Some(2.0));
    sandbox.run("state check").code(0);
}

#[test]
fn the_state_of_0_1_0() {
    let sandbox = with(STATE);
    has_all(&sandbox);
    sandbox
        .run("exec --job nightly -g db=customers -- true")
        .code(0)
        .quiet_stderr();
    let series = "batch_job_runs_total{db=\"customers\",outcome=\"success\"}";
    assert_eq!(sandbox.value("nightly", series), Some(3.0));
    has_all(&sandbox);
    // A report that waited is delivered.
    let server = crate::common::FakeServer::status("202 Accepted", "");
    sandbox.redirect_outbox("http://127.0.0.1:1", &server.url());
    sandbox.run("outbox flush").code(0);
    assert!(server.requests()[0].line.contains("/metrics/job/sync"));
}

/// Killed at any write of the migration, the next program finds all of it.
#[test]
fn a_migration_that_is_killed() {
    let mut killed = 0;
    for write in 1..40 {
        let sandbox = crate::state_schema::with_old_state();
        let when = format!("inject=pwrite64:signal=SIGKILL:when={write}");
        let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &when];
        let command = sandbox.command(["history"]);
        let run = finished(sandbox.spawn(&mut wrapped(&strace, &command)));
        let is_over = run.code_is(0);
        killed += usize::from(!is_over);
        crate::state_schema::has_the_first_versions_rows(&sandbox);
        assert_eq!(sandbox.outcomes(), ["failure"], "write {write}");
        sandbox.run("state check").code(0);
        if is_over {
            break;
        }
    }
    assert!(killed > 3, "{killed}");
}
