//! The gateway's state directory: who else uses it, what is in it, what is wrong with it.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::common::own_gateway::{OwnGateway, gateway_command};
use crate::common::{Finished, Sandbox, eventually, of_job};

fn dir(sandbox: &Sandbox) -> PathBuf {
    sandbox.state_db().parent().unwrap().to_owned()
}

fn start(sandbox: &Sandbox) -> OwnGateway {
    OwnGateway::start(&dir(sandbox), &[])
}

fn push(sandbox: &Sandbox, line: &str, body: &str) -> Finished {
    sandbox.run_with_input(&format!("push --job {line}"), body)
}

/// The gateway's end by an error.
fn refusal(dir: &Path) -> Finished {
    Finished::from(gateway_command(dir, &[]).output().unwrap())
}

#[test]
fn only_one_serves_a_directory() {
    let sandbox = Sandbox::new();
    let mut first = start(&sandbox);
    first.put("/metrics/job/j", "m 1\n");
    let second = refusal(&dir(&sandbox));
    let stderr = second.code(1).stderr();
    let shown = dir(&sandbox).display().to_string();
    assert!(
        stderr.contains(&format!(
            "another gateway serves the state directory {shown} already"
        )),
        "{stderr}"
    );
    first.put("/metrics/job/j", "m 2\n");
    assert_eq!(first.value("j", "m"), Some(2.0));
    assert_eq!(first.terminate(), Some(0));
}

#[test]
fn commands_report_to_the_gateway_that_serves() {
    let sandbox = Sandbox::new();
    let mut gateway = start(&sandbox);
    push(&sandbox, "pushed", "m 1\n").code(0);
    assert_eq!(gateway.value("pushed", "m"), Some(1.0));
    sandbox.run("run backup --set duration=0s").code(0);
    let runs = gateway.samples("db_backup");
    assert!(!runs.is_empty(), "{}", gateway.get("/metrics").1);
    assert_eq!(sandbox.value("pushed", "m"), Some(1.0));
    sandbox
        .run("status")
        .code(0)
        .out("pushed")
        .out("db_backup")
        .quiet_stderr();

    push(&sandbox, "other", "# TYPE m counter\nm 1\n")
        .code(69)
        .err("inconsistent");
    assert_eq!(gateway.value("other", "m"), None);
    sandbox.run("delete --job pushed").code(0);
    assert!(gateway.samples("m{").is_empty());
    gateway.put("/metrics/job/by-http", "n 1\n");

    assert_eq!(gateway.terminate(), Some(0));
    assert_eq!(sandbox.value("by-http", "n"), Some(1.0));
    push(&sandbox, "pushed", "n 2\n").code(0);
    push(&sandbox, "other", "# TYPE n counter\nn 1\n").code(69);
    sandbox.run("delete --job by-http").code(0);
    let gateway = start(&sandbox);
    let found = gateway.samples("n{");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[&of_job("pushed", "n")], 2.0);
}

#[test]
fn status_shows_what_is_only_in_the_log() {
    let sandbox = Sandbox::new();
    let mut gateway = start(&sandbox);
    for value in 0..50 {
        gateway.put("/metrics/job/j", format!("m {value}\n"));
        assert_eq!(sandbox.value("j", "m"), Some(f64::from(value)));
    }
    gateway.kill();
    assert_eq!(sandbox.value("j", "m"), Some(49.0));
    push(&sandbox, "k", "m 1\n").code(0);
    assert_eq!(sandbox.value("j", "m"), Some(49.0));
    assert_eq!(start(&sandbox).samples("m{").len(), 2);
}

#[test]
fn the_socket_is_private_and_goes_with_the_gateway() {
    let long = format!("{}/{}", "d".repeat(120), "e".repeat(120));
    for below in ["state", &long] {
        let home = Sandbox::new();
        let dir = home.path().join(below);
        let mut gateway = OwnGateway::start(&dir, &[]);
        let socket = dir.join("gateway.sock");
        let mode = fs::metadata(&socket).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let push = |value: u32| {
            let line = format!("push --job j --state-dir {}", dir.display());
            home.run_with_input(&line, format!("m {value}\n"))
                .code(0)
                .quiet_stderr();
        };
        push(1);
        assert_eq!(gateway.value("j", "m"), Some(1.0));

        gateway.kill();
        assert!(socket.exists());
        push(2);
        gateway = OwnGateway::start(&dir, &[]);
        assert_eq!(gateway.value("j", "m"), Some(2.0));
        push(3);
        assert_eq!(gateway.value("j", "m"), Some(3.0));
        assert_eq!(gateway.terminate(), Some(0));
        assert!(!socket.exists());
        push(4);
    }
}

/// Whatever the gateway is doing, a push gets through.
#[test]
fn pushes_while_the_gateway_starts_and_ends() {
    let sandbox = Sandbox::new();
    let until = Instant::now() + Duration::from_secs(6);
    let pushed = thread::scope(|scope| {
        let pushers: Vec<_> = (0..2)
            .map(|pusher| {
                let sandbox = &sandbox;
                scope.spawn(move || {
                    let mut count = 0;
                    while Instant::now() < until {
                        count += 1;
                        push(sandbox, &format!("j{pusher}"), &format!("m {count}\n")).code(0);
                    }
                    count
                })
            })
            .collect();
        while Instant::now() < until {
            let mut gateway = start(&sandbox);
            assert_eq!(gateway.terminate(), Some(0), "{}", gateway.log());
        }
        pushers
            .into_iter()
            .map(|pusher| pusher.join().unwrap())
            .collect::<Vec<u32>>()
    });
    let found = sandbox.samples();
    for (pusher, count) in pushed.into_iter().enumerate() {
        assert_eq!(found[&of_job(&format!("j{pusher}"), "m")], f64::from(count));
    }
}

/// A state that a gateway has left: two groups in rows and nothing in SQLite's log. If `is_killed`, the last
/// push is in the gateway's log only.
fn left(is_killed: bool) -> Sandbox {
    let sandbox = Sandbox::new();
    let mut gateway = start(&sandbox);
    gateway.put("/metrics/job/a", "marker_of_a 123456\n");
    gateway.put("/metrics/job/b", "marker_of_b 123456\n");
    if is_killed {
        gateway.kill()
    } else {
        assert_eq!(gateway.terminate(), Some(0))
    }
    let database = Connection::open(sandbox.state_db()).unwrap();
    database
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    sandbox
}

/// The gateway says what was wrong with the database, and serves what could be saved of it.
#[track_caller]
fn is_salvaged(sandbox: &Sandbox, problem: &str, markers: &[&str]) {
    let mut gateway = start(sandbox);
    gateway.logs("the state was replaced");
    gateway.logs(problem);
    let found = gateway.samples("marker_of_");
    let expected = markers.iter().map(|job| {
        let series = of_job(job, &format!("marker_of_{job}"));
        (series, 123_456.0)
    });
    assert_eq!(found, expected.collect(), "{}", gateway.log());
    gateway.put("/metrics/job/c", "marker_of_c 1\n");
    gateway.kill();
    let again = start(sandbox);
    assert_eq!(again.samples("marker_of_").len(), markers.len() + 1);
    assert!(!again.log().contains("replaced"), "{}", again.log());
}

/// Turns over a bit of the database's only place that has this text.
fn damage(sandbox: &Sandbox, text: &[u8]) {
    let content = fs::read(sandbox.state_db()).unwrap();
    let mut places = content.windows(text.len()).enumerate();
    let (place, _) = places.rfind(|(_, window)| *window == text).unwrap();
    let file = fs::File::options().write(true).open(sandbox.state_db());
    file.unwrap()
        .write_all_at(&[text[text.len() - 1] ^ 1], (place + text.len() - 1) as u64)
        .unwrap();
}

#[test]
fn of_a_corrupt_database_what_can_be_saved_is_served() {
    let sandbox = left(false);
    let file = fs::File::options().write(true).open(sandbox.state_db());
    file.unwrap().write_all_at(&[b'x'; 100], 0).unwrap();
    is_salvaged(&sandbox, "file is not a database", &["a", "b"]);

    let sandbox = left(false);
    damage(&sandbox, b"marker_of_b{instance=\"\",job=\"b\"} 123456");
    is_salvaged(&sandbox, "the checksum of group", &["a"]);

    let sandbox = left(true);
    damage(&sandbox, b"marker_of_b 123456");
    is_salvaged(&sandbox, "of the log is wrong", &["a"]);
}

/// What is broken is the file, and the groups are in memory.
#[test]
fn damage_while_it_serves_loses_no_group() {
    let sandbox = left(false);
    sandbox.exec("--no-push", "true").code(0);
    let mut gateway = start(&sandbox);
    gateway.put("/metrics/job/c", "marker_of_c 1\n");
    let other = Connection::open(sandbox.state_db()).unwrap();
    // What nobody has changed is not read again.
    other
        .execute_batch("UPDATE push_attempts SET failed = 0; PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
    let roots =
        "SELECT (rootpage - 1) * 4096 FROM sqlite_schema WHERE name IN ('groups', 'push_log')";
    let mut roots = other.prepare(roots).unwrap();
    let roots = roots.query_map([], |row| row.get::<_, i64>(0)).unwrap();
    for root in roots {
        let file = fs::File::options().write(true).open(sandbox.state_db());
        let broken = file
            .unwrap()
            .write_all_at(&[0xa5; 4096], root.unwrap() as u64);
        broken.unwrap();
    }
    gateway.put("/metrics/job/d", "marker_of_d 1\n");
    gateway.logs("the state was replaced");
    let found = gateway.samples("marker_of_");
    assert_eq!(found.len(), 4);
    gateway.kill();
    assert_eq!(start(&sandbox).samples("marker_of_"), found);
    assert_eq!(sandbox.outcomes().len(), 1);
}

#[test]
fn groups_expire() {
    let sandbox = Sandbox::new();
    let gateway = OwnGateway::start(&dir(&sandbox), &["--group.ttl=1s"]);
    gateway.put("/metrics/job/old", "m 1\n");
    gateway.logs("msg=\"group expired\"");
    gateway.logs("old");
    eventually("it is gone", || gateway.samples("m{").is_empty());
    assert_eq!(gateway.own("metricsjob_gateway_expired_groups_total"), 1.0);
    gateway.put("/metrics/job/new", "m 1\n");
    assert_eq!(gateway.samples("m{").len(), 1);
}

#[test]
fn without_syncs_it_survives_its_own_end() {
    let sandbox = Sandbox::new();
    let mut gateway = OwnGateway::start(&dir(&sandbox), &["--storage.sync=os"]);
    for count in 0..100 {
        gateway.put(&format!("/metrics/job/j{count}"), "m 1\n");
    }
    gateway.kill();
    assert_eq!(start(&sandbox).samples("m{").len(), 100);
}

/// As a run does with a database that it finds corrupt.
fn move_aside(sandbox: &Sandbox) {
    for suffix in ["", "-wal", "-shm"] {
        let name = |begin: &str| dir(sandbox).join(format!("{begin}{suffix}"));
        let _ = fs::rename(name("state.db"), name("state.db.aside"));
    }
    sandbox.run("run backup --set duration=0s").code(0);
}

#[test]
fn another_database_takes_the_place_of_the_open_one() {
    let sandbox = Sandbox::new();
    let mut gateway = start(&sandbox);
    for ending in ["killed", "terminated", "killed while idle"] {
        let job = ending.replace(' ', "-");
        gateway.put(&format!("/metrics/job/{job}-before"), "m 1\n");
        if ending == "killed while idle" {
            thread::sleep(Duration::from_secs(2));
        }
        move_aside(&sandbox);
        match ending {
            // Without any change since.
            "killed while idle" => eventually("the new one has it", || {
                let groups = "SELECT count(*) FROM groups WHERE grouping_key LIKE '%idle-before%'";
                let database = Connection::open(sandbox.state_db()).unwrap();
                let count = database.query_row(groups, [], |row| row.get::<_, u64>(0));
                count.is_ok_and(|count| count == 1)
            }),
            _ => gateway.put(&format!("/metrics/job/{job}-after"), "m 1\n"),
        }
        let before = gateway.samples("m{");
        match ending {
            "terminated" => assert_eq!(gateway.terminate(), Some(0), "{}", gateway.log()),
            _ => gateway.kill(),
        }
        gateway = start(&sandbox);
        assert_eq!(gateway.samples("m{"), before, "{ending}");
    }
}

/// These need root, as in CI.
#[cfg(feature = "real-servers")]
#[test]
fn a_full_disk() {
    const SCRIPT: &str = r#"mount -t tmpfs -o size=2m none "$0"; exec "$@""#;
    let sandbox = Sandbox::new();
    let dir = dir(&sandbox);
    fs::create_dir_all(&dir).unwrap();
    let plain = gateway_command(&dir, &[]);
    let mut command = std::process::Command::new("unshare");
    command
        .args(["--mount", "sh", "-euc", SCRIPT])
        .arg(&dir)
        .arg(plain.get_program())
        .args(plain.get_args())
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let gateway = OwnGateway::start_command(command);
    gateway.put("/metrics/job/a", "m 1\n");
    gateway.put("/metrics/job/b", "m 1\n");
    let inside = PathBuf::from(format!("/proc/{}/root{}", gateway.pid(), dir.display()));
    let filler = inside.join("filler");
    let _ = fs::write(&filler, vec![1; 4 << 20]);

    // What SQLite has of its log is used up first.
    let mut last = 1;
    let body = |value: u32| format!("# {}\nm {value}\n", "p".repeat(50_000));
    let (status, text) = loop {
        let (status, text) = gateway.request("PUT", "/metrics/job/a", &[], body(last + 1));
        if status != 200 {
            break (status, text);
        }
        last += 1;
        assert!(last < 200, "it is never full");
    };
    assert_eq!(status, 500, "{text}");
    assert!(text.contains("no space is left"), "{text}");
    assert_eq!(gateway.get("/-/healthy").0, 503);
    gateway.logs("changes could not be written");
    let _ = fs::write(inside.join("filler2"), vec![1; 4 << 20]);
    for path in ["a", "b"].map(|job| format!("/metrics/job/{job}")) {
        assert_eq!(gateway.request("DELETE", &path, &[], "").0, 500);
    }
    let found = gateway.samples("m{");
    assert_eq!(found[&of_job("a", "m")], f64::from(last));
    assert_eq!(found[&of_job("b", "m")], 1.0);

    fs::remove_file(&filler).unwrap();
    let _ = fs::remove_file(inside.join("filler2"));
    gateway.put("/metrics/job/c", "m 3\n");
    assert_eq!(gateway.get("/-/healthy").0, 200);
    gateway.put("/metrics/job/d", "m 4\n");
    let found = gateway.samples("m{");
    assert_eq!(found.len(), 4, "{found:?}");
    assert_eq!(found[&of_job("a", "m")], f64::from(last));
    assert_eq!(found[&of_job("b", "m")], 1.0);
    gateway.logs("changes can be written again");
}

#[test]
fn behind_a_prefix_commands_still_find_it() {
    let sandbox = Sandbox::new();
    let flags = ["--web.external-url=http://proxy.example/gateway"];
    let gateway = OwnGateway::start(&dir(&sandbox), &flags);
    push(&sandbox, "j", "m 1\n").code(0).quiet_stderr();
    let (_, metrics) = gateway.get("/gateway/metrics");
    assert!(metrics.contains(&of_job("j", "m")), "{metrics}");
    sandbox.run("delete --job j").code(0);
    assert!(!gateway.get("/gateway/metrics").1.contains("job=\"j\""));
}

/// Others find neither its lock nor its socket any more.
#[test]
fn a_directory_that_is_removed_ends_it_and_loses_nothing() {
    let sandbox = Sandbox::new();
    let mut gateway = start(&sandbox);
    gateway.put("/metrics/job/old", "m 1\n");
    gateway.put("/metrics/job/both", "m 1\n");
    fs::remove_dir_all(dir(&sandbox)).unwrap();
    // Whichever of them is first.
    let pushed = push(&sandbox, "both", "m 2\n");
    assert_eq!(gateway.wait(), Some(1), "{}", gateway.log());
    gateway.logs("was removed or replaced: its groups were brought into the new one");
    let samples = sandbox.samples();
    assert_eq!(samples[&of_job("old", "m")], 1.0);
    pushed.code(0);
    assert_eq!(samples[&of_job("both", "m")], 2.0);
    assert_eq!(start(&sandbox).samples("m{").len(), 2);
}

#[test]
fn a_database_that_others_keep_locked() {
    let sandbox = Sandbox::new();
    // It looks for old groups each second.
    let gateway = OwnGateway::start(&dir(&sandbox), &["--group.ttl=20s"]);
    gateway.put("/metrics/job/j", "m 1\n# TYPE n gauge\nn 1\n");
    let other = Connection::open(sandbox.state_db()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    thread::scope(|scope| {
        let refused = scope.spawn(|| gateway.request("DELETE", "/metrics/job/j", &[], ""));
        // It is there, whatever becomes of the deletion.
        for _ in 0..3 {
            assert!(gateway.metrics().contains("m{"));
        }
        let (status, text) = refused.join().unwrap();
        assert_eq!(status, 500, "{text}");
    });
    assert_eq!(gateway.get("/-/ready").0, 503);
    let start = Instant::now();
    let cpu = || gateway.own("process_cpu_seconds_total");
    let cpu_before = cpu();
    for _ in 0..10 {
        assert!(gateway.metrics().contains("m{"));
        thread::sleep(Duration::from_millis(300));
    }
    let took = start.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    let cpu = cpu() - cpu_before;
    assert!(cpu < took.as_secs_f64() / 3.0, "{cpu} of {took:?}");
    other.execute_batch("ROLLBACK").unwrap();
    // Nobody pushes.
    eventually("it is ready again", || gateway.get("/-/ready").0 == 200);
    gateway.put("/metrics/job/k", "m 1\n# TYPE n gauge\nn 1\n");
    let metrics = gateway.metrics();
    let families: Vec<&str> = metrics
        .lines()
        .filter(|line| line.contains("job=\""))
        .collect();
    let expected = |name: &str| ["j", "k"].map(|job| format!("{} 1", of_job(job, name)));
    assert_eq!(families[..4], [expected("m"), expected("n")].concat());
}
