//! The exit codes that docs/reference/exit-codes.md lists, in an ordinary environment: with `RUST_BACKTRACE` set and without.

use crate::common::{FakeServer, Finished, Sandbox};

/// Does `check` in both environments.
fn in_both(check: impl Fn(Sandbox)) {
    check(Sandbox::new().variable("RUST_BACKTRACE", "1"));
    check(Sandbox::new().variable("RUST_BACKTRACE", "full"));
    check(Sandbox::new().without("RUST_BACKTRACE"));
}

/// It says what is wrong in a line or two, and nothing else.
fn is_brief(run: &Finished) {
    let stderr = run.stderr();
    assert!(stderr.starts_with("error: "), "{stderr}");
    assert!(stderr.lines().count() <= 2, "{stderr}");
    assert!(!stderr.contains("backtrace"), "{stderr}");
}

#[test]
fn the_jobs_own() {
    in_both(|sandbox| {
        for (script, code) in [
            ("exit 0", 0),
            ("exit 1", 1),
            ("exit 2", 2),
            ("exit 255", 255),
            ("kill -KILL $$", 137),
            ("kill -TERM $$", 143),
        ] {
            sandbox.exec("", script).code(code);
        }
        sandbox.exec("--timeout 100ms", "sleep 30").code(124);
        sandbox.run("exec -- /nowhere/at-all").code(127);
        sandbox.run("exec -- /etc").code(126);
        sandbox.write("jobs/fails.toml", "command = ['sh', '-c', 'exit 9']\n");
        sandbox.run("run fails").code(9);
        sandbox
            .run("run backup --set duration=0s --set failure-rate=1")
            .code(1);
        let skipped = "$US exec --job j --lock -- true";
        let us = crate::common::US;
        sandbox
            .exec("--job j --lock", &skipped.replace("$US", &us))
            .code(0);
        assert!(sandbox.outcomes().contains(&"skipped".into()));
    });
}

#[test]
fn wrong_usage() {
    in_both(|sandbox| {
        sandbox.write("jobs/bad.toml", "command = 3\n");
        sandbox.write("bad.prom", "no metric\n");
        sandbox.write("web.yml", "no: config\n");
        for line in [
            "run nosuchjob",
            "run bad",
            "run backup --set nothing=1",
            "run backup --set duration=soon",
            "exec --timeout 10 -- true",
            "push --job j bad.prom",
            "push --job j nowhere.prom",
            "push --job j --gateway ftp://h",
            "status --bearer-token-file nowhere",
            "gateway --web.telemetry-path x",
            "metric inc a_total",
        ] {
            let run = sandbox.run(line);
            run.code(2);
            assert!(
                run.stderr().starts_with("error: "),
                "{line}: {}",
                run.stderr()
            );
            assert!(!run.stderr().contains("backtrace"), "{}", run.stderr());
        }
        is_brief(&sandbox.run("run nosuchjob"));
        is_brief(&sandbox.run("push --job j bad.prom"));
        sandbox.run("").code(2);
        sandbox.run("nonsense").code(2);
        sandbox.run("check").code(2);
    });
}

#[test]
fn the_gateway_did_not_do_it() {
    in_both(|sandbox| {
        let refusing = FakeServer::status("400 Bad Request", "no");
        for gateway in ["127.0.0.1:1", &refusing.address()] {
            let options = format!("--gateway {gateway}");
            let push = sandbox.run_with_input(&format!("push --job j {options}"), "m 1\n");
            push.code(69).err("warning: ");
            is_brief(sandbox.run(&format!("delete --job j {options}")).code(69));
            is_brief(sandbox.run(&format!("status {options}")).code(69));
            sandbox
                .exec(&format!("--require-push {options}"), "true")
                .code(69);
            sandbox
                .run(&format!(
                    "run backup --set duration=0s --require-push {options}"
                ))
                .code(69);
            sandbox.exec(&options, "true").code(0);
        }
        sandbox.run("outbox flush").code(69);
    });
}

#[test]
fn anything_else() {
    in_both(|sandbox| {
        sandbox.write("file", "");
        is_brief(sandbox.run("outbox drop 5").code(1));
        is_brief(sandbox.run("history --state-dir file").code(1));
        is_brief(sandbox.run("gateway --state-dir file").code(1));
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        for server in ["gateway", "serve"] {
            let line = format!("{server} --web.listen-address {address}");
            let run = sandbox.run(&line);
            run.code(1).err("error: ").err(&address.to_string());
        }
        let full = std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let mut command = sandbox.command(["list"]);
        let output = command.stdout(full).output().unwrap();
        is_brief(Finished::from(output).code(1));
    });
}

/// A bug of ours is a failure of the run.
#[test]
fn an_internal_error() {
    in_both(|sandbox| {
        let sandbox = sandbox.variable("METRICSJOB_PANIC_AT", "run");
        for line in ["exec -- true", "run backup --set duration=0s"] {
            sandbox.run(line).code(70).err("internal error: ");
        }
        let sandbox = sandbox.variable("METRICSJOB_PANIC_AT", "");
        assert_eq!(sandbox.outcomes(), ["failure", "failure"]);
    });
}

/// The lock of a job protects it from itself, so that this is the one thing of the state without which nothing runs.
#[test]
fn a_lock_that_cannot_be_had() {
    in_both(|sandbox| {
        sandbox.write("file", "");
        let _blocked = sandbox.block_locks(&sandbox.path().join("file"));
        let run = sandbox.exec("--lock --state-dir file", "touch ran");
        is_brief(run.code(2));
        assert!(!sandbox.path().join("ran").exists());
        sandbox.exec("--state-dir file", "exit 3").code(3);
    });
}
