//! The size of the state: it is bounded, shrinks, and is a metric of the servers.

use std::fs;
use std::path::Path;

use crate::common::own_gateway::OwnGateway;
use crate::common::own_server::OwnServer;
use crate::common::{FakeServer, Sandbox, eventually};

const MIB: u64 = 1024 * 1024;

/// The size of the database in `dir` with its log.
fn size(dir: &Path) -> u64 {
    let names = ["state.db", "state.db-wal"];
    let bytes = |name| dir.join(name).metadata().map_or(0, |file| file.len());
    names.map(bytes).iter().sum()
}

/// Exposition text of about 100 KB, named after `number`.
fn text(number: u32) -> String {
    let filler = "-".repeat(950);
    let line = |index| format!("m{{n=\"{number}\",index=\"{index}\",filler=\"{filler}\"}} 1\n");
    (0..100).map(line).collect()
}

/// A run of the job `j` whose own metrics are about 100 KB.
fn large_run(sandbox: &Sandbox, job: &str, number: u32, options: &str) -> String {
    let file = format!("{job}-{number}.prom");
    sandbox.write(&file, text(number));
    let options = format!("--job {job} --keep 10000 --no-push {options}");
    let run = sandbox.exec(&options, &format!("cat {file} >>\"$METRICSJOB_METRICS\""));
    run.code(0);
    run.stderr()
}

fn dir(sandbox: &Sandbox) -> &Path {
    Box::leak(sandbox.state_db().into_boxed_path())
        .parent()
        .unwrap()
}

#[test]
fn it_is_bounded() {
    let sandbox = Sandbox::new().variable("METRICSJOB_STATE_LIMIT", "4MiB");
    sandbox.exec("--job rare", "true").code(0);
    let (mut warnings, mut largest) = (0, 0);
    for number in 0..120 {
        let said = large_run(&sandbox, "j", number, "");
        if !said.is_empty() {
            warnings += 1;
            let full = "/state.db is full: ";
            assert!(said.contains(full), "{said}");
            let cure = "dropped (raise --state-limit, which is 4.00 MiB, or keep less with --keep and --tail)";
            assert!(said.contains(cure), "{said}");
        }
        largest = largest.max(size(dir(&sandbox)));
    }
    // 12 MB were written. The log is not counted until it is looked at.
    assert!(largest < 9 * MIB, "{largest}");
    let database = sandbox.state_db().metadata().unwrap().len();
    assert!(database <= 4 * MIB, "{database}");
    assert!((2..60).contains(&warnings), "{warnings}");
    // The newest are left, and the last of each job.
    let runs = sandbox.history();
    assert!((20..50).contains(&runs.len()), "{}", runs.len());
    assert_eq!(runs[0]["name"], "rare");
    let total = r#"batch_job_runs_total{outcome="success"}"#;
    sandbox.exec("--job j", "true").code(0);
    assert_eq!(sandbox.value("j", total), Some(121.0));
}

#[test]
fn reports_that_were_tried_go_after_the_runs() {
    let gateway = FakeServer::status("503 Service Unavailable", "");
    let sandbox = Sandbox::new()
        .variable("METRICSJOB_GATEWAY", gateway.url())
        .variable("METRICSJOB_STATE_LIMIT", "3MiB");
    for number in 0..5 {
        large_run(&sandbox, "j", number, "");
    }
    let mut warning = String::new();
    for number in 0..60 {
        let push = sandbox.run_with_input(&format!("push --job p{number}"), text(number));
        push.code(69);
        if push.stderr().contains("is full") {
            warning = push.stderr();
        }
    }
    assert!(warning.contains("undelivered report"), "{warning}");
    assert_eq!(sandbox.history().len(), 1);
    let entries = sandbox.outbox();
    assert_eq!(entries.last().unwrap()["job"], "p59");
    assert!((10..40).contains(&entries.len()), "{}", entries.len());
    assert!(sandbox.state_db().metadata().unwrap().len() <= 3 * MIB);
}

/// Each gateway has a thread, with the database open too.
#[test]
fn with_several_gateways() {
    let gateways = [(); 2].map(|()| FakeServer::status("200 OK", ""));
    let sandbox = Sandbox::new()
        .variable(
            "METRICSJOB_GATEWAY",
            format!("{} {}", gateways[0].url(), gateways[1].url()),
        )
        .variable("METRICSJOB_STATE_LIMIT", "1MiB");
    let mut warnings = 0;
    for number in 0..30 {
        sandbox.write("m.prom", text(number));
        let script = "cat m.prom >>\"$METRICSJOB_METRICS\"";
        let run = sandbox.exec("--job j --keep 10000 --push-start", script);
        run.code(0);
        warnings += run.stderr().matches("is full: ").count();
    }
    assert!(warnings > 3, "{warnings}");
    let database = sandbox.state_db().metadata().unwrap().len();
    assert!(database < 2 * MIB, "{database}");
}

/// To drop the history would not help.
#[test]
fn for_groups_nothing_else_is_dropped() {
    let sandbox = Sandbox::new();
    let push = |number, options: &str| {
        let line = format!("push --job p{number} {options}");
        let push = sandbox.run_with_input(&line, text(number));
        push.code(0);
        push.stderr()
    };
    for number in 0..25 {
        assert_eq!(push(number, ""), "");
    }
    for number in 0..3 {
        large_run(&sandbox, "j", number, "");
    }
    let warnings = (25..30).map(|number| push(number, "--state-limit 2MiB"));
    let warning: String = warnings.collect();
    for part in [
        "is full: nothing in it may be dropped, but it has 3.",
        "are groups of the embedded gateway (delete groups that are not needed, or raise --state-limit, which is 2.00 MiB)",
    ] {
        assert!(warning.contains(part), "{warning}");
    }
    assert_eq!(sandbox.history().len(), 3);
    assert_eq!(
        sandbox.run("status").code(0).stdout().matches("p2").count(),
        11
    );
}

#[test]
fn it_shrinks() {
    let sandbox = Sandbox::new();
    for number in 0..80 {
        large_run(&sandbox, "j", number, "");
    }
    let before = size(dir(&sandbox));
    assert!(before > 7 * MIB, "{before}");
    // The history is pruned by its own rule.
    sandbox.exec("--job j --keep 1 --no-push", "true").code(0);
    let text = text(0);
    for _ in 0..3 {
        sandbox.run_with_input("push --job p", &text).code(0);
    }
    let after = size(dir(&sandbox));
    assert!(after < 3 * MIB, "{after}");
    assert_eq!(sandbox.history().len(), 1);
    sandbox.run("status").code(0).out("p ");
    let total = r#"batch_job_runs_total{outcome="success"}"#;
    sandbox.exec("--job j", "true").code(0);
    assert_eq!(sandbox.value("j", total), Some(82.0));
}

/// Whoever reads the database for long, as a backup does, holds nobody up.
#[test]
fn a_reader_is_not_waited_for() {
    let sandbox = Sandbox::new();
    sandbox.exec("--job j --no-push", "true").code(0);
    let reader = rusqlite::Connection::open(sandbox.state_db()).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    let count = "SELECT count(*) FROM runs";
    let count = || {
        reader
            .query_row(count, [], |row| row.get::<_, u64>(0))
            .unwrap()
    };
    assert_eq!(count(), 1);
    let start = std::time::Instant::now();
    for number in 0..60 {
        large_run(&sandbox, "j", number, "");
    }
    sandbox.exec("--job j --keep 1 --no-push", "true").code(0);
    large_run(&sandbox, "j", 60, "");
    // One wait for a lock takes ten seconds.
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
    assert_eq!(count(), 1);
    reader.execute_batch("COMMIT").unwrap();
    large_run(&sandbox, "j", 61, "");
    large_run(&sandbox, "j", 62, "");
    assert!(size(dir(&sandbox)) < 7 * MIB);
    assert_eq!(sandbox.history().len(), 4);
}

#[test]
fn it_is_a_metric() {
    const NAME: &str = "metricsjob_state_size_bytes";
    let sandbox = Sandbox::new();
    for number in 0..5 {
        large_run(&sandbox, "j", number, "");
    }
    let dir = dir(&sandbox);
    let gateway = OwnGateway::start(dir, &[]);
    let server = OwnServer::start(&sandbox, "");
    for _ in 0..2 {
        let is_shown = || {
            let bytes = size(dir) as f64;
            bytes > 500_000.0 && server.own(NAME) == bytes && gateway.own(NAME) == bytes
        };
        eventually("the size", is_shown);
        large_run(&sandbox, "j", 5, "");
    }
    assert!(
        gateway
            .metrics()
            .contains(&format!("# TYPE {NAME} gauge\n"))
    );
}

/// What was deleted at a gateway that then has nothing to do is given back.
#[test]
fn a_gateway_shrinks_it() {
    let sandbox = Sandbox::new();
    let dir = dir(&sandbox);
    fs::create_dir_all(dir).unwrap();
    let gateway = OwnGateway::start(dir, &["--web.enable-admin-api"]);
    for number in 0..80 {
        gateway.put(&format!("/metrics/job/p{number}"), text(number));
    }
    let file = sandbox.state_db();
    assert!(size(dir) > 7 * MIB, "{}", size(dir));
    let (status, _) = gateway.request("PUT", "/api/v1/admin/wipe", &[], b"");
    assert_eq!(status, 202);
    gateway.put("/metrics/job/left", "m 1\n");
    eventually("it is small", || file.metadata().unwrap().len() < 2 * MIB);
    assert_eq!(gateway.samples("m{").len(), 1);
}

#[test]
fn limits_that_are_none() {
    let sandbox = Sandbox::new();
    for bad in ["0", "1023KiB", "1GB", "-1"] {
        let run = sandbox.exec(&format!("--state-limit={bad}"), "touch ran");
        run.code(2).err("--state-limit");
    }
    assert!(!sandbox.path().join("ran").exists());
    sandbox.exec("--state-limit 1MiB", "true").code(0);
    let sandbox = Sandbox::new().variable("METRICSJOB_STATE_LIMIT", "1MB");
    let run = sandbox.exec("", "true");
    run.code(0)
        .err("warning: METRICSJOB_STATE_LIMIT \"1MB\": unknown unit");
}

/// These need root, as in CI.
#[cfg(feature = "real-servers")]
#[test]
fn a_full_disk_as_root() {
    use std::process::Command;

    // Neither the copy that SQLite makes nor the log has room.
    const SCRIPT: &str = r#"
cp -a "$dir" "$HOME/before"
mount -t tmpfs -o size=48m none "$dir"
cp -a "$HOME/before/." "$dir"
cat /dev/zero >"$dir/filler" 2>/dev/null || :
truncate -s -2m "$dir/filler"
for job in a b c d; do
    "$1" push --quiet --job $job <text
done
stat -c %s "$dir/state.db"
rm "$dir/filler"
for job in a b c d; do
    "$1" push --quiet --job $job <text
done
stat -c %s "$dir/state.db"
exec "$1" history --last 100 --output json
"#;
    let sandbox = Sandbox::new();
    for number in 0..160 {
        large_run(&sandbox, "j", number, "");
    }
    let database = rusqlite::Connection::open(sandbox.state_db()).unwrap();
    database
        .execute_batch("DELETE FROM runs WHERE id <= 90; PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap_or_else(|error| assert!(error.to_string().contains("returned results"), "{error}"));
    drop(database);
    sandbox.write("text", text(0));
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-euc", SCRIPT, "sh"])
        .arg(crate::common::US)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", sandbox.path())
        .env("SQLITE_TMPDIR", dir(&sandbox))
        .env("dir", dir(&sandbox))
        .current_dir(sandbox.path());
    let finished: crate::common::Finished = command.output().unwrap().into();
    let history = finished.code(0).quiet_stderr().stdout();
    let (sizes, json) = history.split_once('[').unwrap();
    let sizes: Vec<u64> = sizes.lines().map(|size| size.parse().unwrap()).collect();
    assert!(sizes[0] > 15 * MIB && sizes[1] < 10 * MIB, "{sizes:?}");
    assert_eq!(json.matches("\"run_id\"").count(), 70);
}
