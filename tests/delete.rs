//! `delete`: a group goes, by its exact key.

use crate::common::{Sandbox, TestGateway, of_job};

on_each_gateway!(only_the_exact_key_is_deleted, deleting_nothing_is_no_error);

fn only_the_exact_key_is_deleted(gateway: &TestGateway) {
    for key in ["--job j", "--job j -g a=1", "--job j -g a=1 -g b=2"] {
        gateway.push(key, "m 1\n").code(0);
    }
    gateway.run("delete --job j -g a=1").code(0).out("deleted ");
    let left: Vec<String> = gateway
        .samples()
        .into_keys()
        .filter(|s| s.starts_with("m{"))
        .collect();
    assert_eq!(left, [of_job("j", r#"m{a="1",b="2"}"#), of_job("j", "m")]);
}

fn deleting_nothing_is_no_error(gateway: &TestGateway) {
    gateway.run("delete --job j").code(0);
    gateway.run("delete --job j --quiet").code(0).quiet();
    assert!(gateway.samples().is_empty());
}

#[test]
fn it_says_where_there_was_nothing() {
    let sandbox = Sandbox::new();
    sandbox
        .run("delete --job j")
        .code(0)
        .out("nothing to delete: the embedded gateway (");
    assert!(!sandbox.state_db().exists());
}

#[test]
fn a_gateway_that_is_down() {
    let sandbox = Sandbox::new();
    let delete = sandbox.run("delete --job j --gateway 127.0.0.1:1");
    delete
        .code(69)
        .err("error: could not connect to http://127.0.0.1:1/metrics/job/j: connection refused");
}
