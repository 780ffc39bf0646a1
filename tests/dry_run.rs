//! `--dry-run`: the request is printed and nothing is sent.

use crate::common::{FakeServer, Sandbox};

#[test]
fn push_prints_method_url_and_body() {
    let server = FakeServer::status("200 OK", "");
    let sandbox = Sandbox::new();
    let url = server.address();
    let line = format!(
        "push --job j -g path=/var/x --dry-run --method put --gateway http://user:s3cret@{url}/pre/"
    );
    let push = sandbox.run_with_input(&line, "# TYPE m gauge\nm{l=\"v\"} 1\n");
    let expected = format!(
        "PUT http://{url}/pre/metrics/job/j/path@base64/L3Zhci94\n\
         Content-Type: text/plain; version=0.0.4; charset=utf-8\n\n\
         # TYPE m gauge\nm{{l=\"v\"}} 1\n"
    );
    push.code(0);
    assert_eq!((push.stdout(), push.stderr()), (expected, String::new()));
    assert!(server.requests().is_empty());
    assert!(!sandbox.state_db().exists());
}

#[test]
fn run_runs_the_job_and_prints_the_push() {
    let server = FakeServer::status("200 OK", "");
    let sandbox = Sandbox::new().variable("METRICSJOB_GATEWAY", server.url());
    let run = sandbox.run("run backup -g db=c --set duration=0s --set failure-rate=1 --dry-run");
    run.code(1)
        .out(&format!(
            "POST {}/metrics/job/db_backup/db/c\n",
            server.url()
        ))
        .out("\ndb_backup_success 0\n")
        .err("not sent (dry run)");
    assert!(server.requests().is_empty());
    assert!(!sandbox.state_db().exists());
}

#[test]
fn delete_prints_its_request() {
    let sandbox = Sandbox::new();
    let delete = sandbox.run("delete --job j -g l= --dry-run --gateway http://h:1");
    assert_eq!(
        delete.code(0).stdout(),
        "DELETE http://h:1/metrics/job/j/l@base64/=\n"
    );
    sandbox
        .run("delete --job j --dry-run")
        .code(0)
        .out("DELETE embedded:/metrics/job/j\n");
}
