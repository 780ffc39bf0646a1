//! Pipes: what lies in a directory or was left behind by a job must be a regular file, because to open a pipe waits
//! for its other end. What a person names may be one, and a signal ends that wait.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::thread::sleep;
use std::time::Duration;

use nix::libc::O_NONBLOCK;
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::common::own_gateway::gateway_command;
use crate::common::own_server::{OwnServer, job, server_command};
use crate::common::{FakeServer, Finished, Sandbox, eventually, finished, is_alive, send};

fn fifo(path: impl AsRef<Path>) -> PathBuf {
    mkfifo(path.as_ref(), Mode::S_IRWXU).unwrap();
    path.as_ref().to_owned()
}

/// Runs `metricsjob` with the words of `line`. It fails if that hangs.
#[track_caller]
fn run(sandbox: &Sandbox, line: &str) -> Finished {
    let mut command = sandbox.command(line.split_whitespace());
    finished(sandbox.spawn(&mut command))
}

/// Files that are none, as how to make them and how they are called.
type Kind = (fn(&Path), &'static str);

const KINDS: [Kind; 4] = [
    (|path| drop(fifo(path)), "a FIFO"),
    (
        |path| {
            let target = fifo(path.with_extension("fifo"));
            symlink(target, path).unwrap();
        },
        "a FIFO",
    ),
    (|path| drop(UnixListener::bind(path).unwrap()), "a socket"),
    (|path| symlink("/dev/zero", path).unwrap(), "a device"),
];

#[test]
fn a_job_file_must_be_a_file() {
    for (make, what) in KINDS {
        let sandbox = Sandbox::new();
        job(&sandbox, "good", "", "true");
        make(&sandbox.path().join("jobs/bad.toml"));
        let problem =
            format!("could not read the job file jobs/bad.toml: it is {what}, not a regular file");
        run(&sandbox, "list").code(0).out("good").err(&problem);
        run(&sandbox, "check")
            .code(2)
            .out("jobs/good.toml: ok")
            .err(&problem);
        for line in ["check jobs/bad.toml", "run bad", "run jobs/bad.toml"] {
            run(&sandbox, line).code(2).err(&problem);
        }
        run(&sandbox, "run good --quiet").code(0);
        // That of a name that does not exist looks at all of them.
        run(&sandbox, "run godd").code(2).err("good");
    }
}

#[test]
fn serve_goes_on_without_a_job_file_that_is_none() {
    for (make, what) in KINDS {
        let sandbox = Sandbox::new();
        let path = |name: &str| sandbox.path().join(format!("jobs/{name}.toml"));
        job(&sandbox, "good", "", "true");
        job(&sandbox, "changes", "", "true");
        make(&path("bad"));
        let problem = |name: &str| {
            let path = format!("jobs/{name}.toml");
            format!("could not read the job file {path}: it is {what}, not a regular file")
        };
        let server = OwnServer::start(&sandbox, "");
        server.logs(&problem("bad"));
        fs::remove_file(path("changes")).unwrap();
        make(&path("changes"));
        let reloaded = server.reload();
        assert_eq!(reloaded["problems"][0], problem("bad"));
        assert_eq!(reloaded["problems"][1], problem("changes"));
        for name in ["good", "changes"] {
            assert_eq!(server.run(name)["outcome"], "success");
        }
        server.signal(Signal::SIGHUP);
        server.signal(Signal::SIGTERM);
        eventually("it ends", || !is_alive(server.pid()));
        server.ended();
    }
}

#[test]
fn a_job_file_that_is_named_may_be_a_pipe() {
    let sandbox = Sandbox::new();
    let text = "command = ['echo', 'hello']\n";
    let check = sandbox.run_with_input("check /dev/stdin", text);
    check.code(0).out("/dev/stdin: ok");
    let check = sandbox.run_with_input("check /dev/stdin", "comand = []");
    check.code(2).err("/dev/stdin:1:1: unknown key");
    let run = sandbox.run_with_input("run /dev/stdin --quiet", text);
    assert_eq!(run.code(0).stdout(), "hello\n");
    sandbox
        .run("check /dev/zero")
        .code(2)
        .err("it is larger than");
}

#[test]
fn metric_does_not_wait_for_a_pipe() {
    let sandbox = Sandbox::new();
    let us = env!("CARGO_BIN_EXE_metricsjob");
    let script = format!(
        "rm $METRICSJOB_METRICS; mkfifo $METRICSJOB_METRICS; {us} metric inc n; [ $? = 1 ] && echo told"
    );
    let mut command = sandbox.exec_command("", &script);
    finished(sandbox.spawn(&mut command))
        .code(0)
        .out("told")
        .err("which METRICSJOB_METRICS names: it is a FIFO, not a regular file")
        .err("could not read the job's metrics: it is a FIFO, not a regular file");
}

#[test]
fn a_lock_must_be_a_file() {
    let sandbox = Sandbox::new();
    let locks = sandbox.state_db().with_file_name("locks");
    let named = format!("ls {}", locks.display());
    let options = "--job locked --lock";
    let name = sandbox.exec(options, &named).code(0).stdout();
    fifo(locks.join(name.trim()));
    // As where it cannot be written, there is another lock.
    let mut command = sandbox.exec_command(options, "echo ran");
    finished(sandbox.spawn(&mut command)).code(0).out("ran");

    job(&sandbox, "locked", "lock = true", "true");
    let server = OwnServer::start(&sandbox, "");
    assert_eq!(server.run("locked")["outcome"], "success");
    server.end();
}

/// Whatever lies in the state directory, the command runs and there is a word about it.
#[test]
fn the_files_of_the_state_must_be_files() {
    for name in [
        "state.db-journal",
        "state.db-wal",
        "gateway.lock",
        "delivery.lock",
    ] {
        let sandbox = Sandbox::new();
        sandbox.run("exec -- true").code(0);
        let path = sandbox.state_db().with_file_name(name);
        let _ = fs::remove_file(&path);
        fifo(&path);
        let mut command = sandbox.exec_command("", "echo ran");
        let ran = finished(sandbox.spawn(&mut command));
        ran.code(0).out("ran");
        // The lock of deliveries only keeps them in order.
        if name != "delivery.lock" {
            ran.err(&format!("{name}: it is a FIFO, not a regular file"));
        }
        for line in ["history", "status --gateway embedded", "outbox list"] {
            run(&sandbox, line);
        }
    }
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.state_db().parent().unwrap()).unwrap();
    for name in ["state.lock", "gateway.lock"] {
        let path = sandbox.state_db().with_file_name(name);
        let _ = fs::remove_file(&path);
        fifo(&path);
        let mut gateway = sandbox.command(["gateway", "--web.listen-address=127.0.0.1:0"]);
        let ended = finished(sandbox.spawn(&mut gateway));
        ended.err("it is a FIFO, not a regular file");
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_web_config_file_must_be_a_file() {
    let sandbox = Sandbox::new();
    let config = fifo(sandbox.path().join("web.yml"));
    let config = format!("--web.config.file={}", config.display());
    for mut command in [
        gateway_command(sandbox.path(), &[&config]),
        server_command(&sandbox, &config),
    ] {
        let ended = finished(sandbox.spawn(&mut command));
        ended.err("web.yml").err("it is a FIFO, not a regular file");
    }
}

#[test]
fn a_backup_does_not_wait_for_a_pipe() {
    let sandbox = Sandbox::new();
    let source = sandbox.path().join("source.db");
    let create = "CREATE TABLE t (n); INSERT INTO t VALUES (1);";
    rusqlite::Connection::open(&source)
        .unwrap()
        .execute_batch(create)
        .unwrap();
    // Left by one that was killed.
    fs::create_dir(sandbox.path().join(".metricsjob-backup-x")).unwrap();
    fifo(sandbox.path().join(".metricsjob-backup-x/lock"));
    let line = "run backup --set source=source.db --set dest=dest.db";
    run(&sandbox, line).code(0);
    fifo(sandbox.path().join("source.db-journal"));
    run(&sandbox, line)
        .code(1)
        .err("source.db-journal: it is a FIFO, not a regular file");
}

/// A pipe that a person names is read when something comes.
#[test]
fn named_pipes_are_read() {
    let server = FakeServer::status("200 OK", "");
    let sandbox = Sandbox::new().variable("METRICSJOB_GATEWAY", server.url());
    let (metrics, secret) = (
        fifo(sandbox.path().join("metrics")),
        fifo(sandbox.path().join("secret")),
    );
    let write = |path: PathBuf, text: &'static str| thread::spawn(move || fs::write(path, text));
    let writers = [write(metrics, "a 1\n"), write(secret, "Me:s3cret\n")];
    run(
        &sandbox,
        "push metrics --job piped --basic-auth-file secret",
    )
    .code(0);
    for writer in writers {
        writer.join().unwrap().unwrap();
    }
    let request = &server.requests()[0];
    assert!(request.body.contains("a 1\n"));
    let authorization = "authorization: Basic TWU6czNjcmV0".to_owned();
    assert!(request.headers.contains(&authorization), "{request:?}");
}

/// Nobody writes to what a person has named, and a signal ends the wait for it.
#[test]
fn a_signal_ends_the_wait_for_a_named_pipe() {
    let sandbox = Sandbox::new();
    let path = fifo(sandbox.path().join("pipe"));
    job(&sandbox, "hello", "", "true");
    let https = "--gateway https://127.0.0.1:1";
    for line in [
        "push pipe --job piped".to_owned(),
        format!("push /dev/null --job piped {https} --basic-auth-file pipe"),
        format!("run hello {https} --basic-auth-file pipe"),
        format!("run hello {https} --bearer-token-file pipe"),
        format!("exec {https} --header @pipe -- true"),
        format!("exec {https} --ca-file pipe -- true"),
        format!("exec {https} --client-cert pipe --client-key pipe -- true"),
        format!("delete --job piped {https} --basic-auth-file pipe"),
        format!("serve --web.listen-address 127.0.0.1:0 {https} --basic-auth-file pipe"),
        "check pipe".to_owned(),
        "run ./pipe".to_owned(),
    ] {
        for signal in [Signal::SIGINT, Signal::SIGTERM] {
            // Once before anybody writes, and once while somebody has it open.
            for is_opened in [false, true] {
                let mut child = sandbox.spawn(&mut sandbox.command(line.split_whitespace()));
                let mut writer = OpenOptions::new();
                writer.write(true).custom_flags(O_NONBLOCK);
                let mut opened = None;
                if is_opened {
                    eventually(&format!("{line} reads"), || {
                        opened = writer.open(&path).ok();
                        opened.is_some()
                    });
                    // No line's end, and no end of the file.
                    let _ = opened.as_mut().unwrap().write(b"a");
                } else {
                    // Nothing shows that it waits by now.
                    sleep(Duration::from_millis(200));
                }
                send(child.id(), signal);
                let mut status = None;
                eventually(&format!("{line} ends"), || {
                    status = child.try_wait().unwrap();
                    status.is_some()
                });
                assert_eq!(status.unwrap().signal(), Some(signal as i32), "{line}");
            }
        }
    }
}
