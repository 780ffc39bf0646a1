//! A new program and the state of an old one.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use rusqlite::Connection;

use crate::common::own_server::wrapped;
use crate::common::{FakeServer, Finished, Sandbox, US, finished};

/// The state of version 0.1.0, after runs that succeeded and failed, a push to the embedded gateway, and a report that no
/// gateway has taken. It was made by that program and is never made anew.
const STATE: &str = "tests/fixtures/state-0.1.0.db";

/// A home with this state.
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

/// The state is as it was, the job runs, and its report is delivered where that takes no state. With room again, all of it
/// is brought up to date.
#[test]
fn a_migration_on_a_full_disk_as_root() {
    const SCRIPT: &str = r#"
cp -a "$dir" "$HOME/before"
mount -t tmpfs -o size=16m none "$dir"
cp -a "$HOME/before/." "$dir"
cat /dev/zero >"$dir/filler" 2>/dev/null || :
truncate -s -256k "$dir/filler"
code=0
"$1" exec --job full --gateway "$2" -- sh -c 'touch ran; exit 3' || code=$?
echo "code $code"
code=0
"$1" exec --job full -- sh -c 'exit 4' || code=$?
echo "code $code"
cmp "$dir/state.db" "$HOME/before/state.db"
rm "$dir/filler"
"$1" exec --job later -- true
"$1" state check
cp "$dir/state.db" "$dir/state.db-wal" "$HOME"
"#;
    let server = FakeServer::status("202 Accepted", "");
    let sandbox = crate::state_schema::with_old_state();
    let database = Connection::open(sandbox.state_db()).unwrap();
    // Each row of it is written anew.
    database
        .execute_batch(
            "WITH RECURSIVE numbers(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM numbers WHERE n < 200)
            INSERT INTO runs SELECT n, printf('%016x', n), name, job, grouping_key, started_at, ended_at, duration,
                outcome, exit_code, failure, attempts, cpu_user, cpu_system, max_rss, metrics,
                hex(zeroblob(10000)) FROM runs, numbers WHERE id = 1;",
        )
        .unwrap();
    drop(database);
    let dir = sandbox.state_db().parent().unwrap().to_owned();
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-euc", SCRIPT, "sh", &US, &server.url()])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", sandbox.path())
        .env("dir", &dir)
        .current_dir(sandbox.path());
    let run: Finished = command.output().unwrap().into();
    run.code(0).out("code 3\ncode 4\n").out("is sound");
    run.err("state.db: no space is left there");
    assert!(sandbox.path().join("ran").exists());
    let requests = server.requests();
    assert_eq!(requests.len(), 1, "{}", run.stderr());
    assert!(requests[0].body.contains("batch_job_exit_code 3\n"));
    for name in ["state.db", "state.db-wal"] {
        fs::copy(sandbox.path().join(name), dir.join(name)).unwrap();
    }
    crate::state_schema::has_the_first_versions_rows(&sandbox);
    let outcomes = sandbox.run("history --last 1000 --output json");
    let outcomes = outcomes.code(0).json();
    assert_eq!(outcomes.as_array().unwrap().len(), 201);
    assert_eq!(sandbox.value("later", "batch_job_success"), Some(1.0));
}

/// A gateway of version 0.1.0 as far as other programs see it: its lock, its socket, and its connection to the state.
struct OldGateway {
    lock: File,
    requests: Arc<Mutex<Vec<String>>>,
}

impl OldGateway {
    /// Serves the state of `sandbox`, and answers with this status line, which has no header `Warning`.
    fn start(sandbox: &Sandbox, status: &'static str) -> Self {
        let dir = sandbox.state_db().parent().unwrap().to_owned();
        let options = OpenOptions::new().append(true).create(true).clone();
        let lock = options.open(dir.join("gateway.lock")).unwrap();
        lock.try_lock().unwrap();
        let listener = UnixListener::bind(dir.join("gateway.sock")).unwrap();
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let mut reader = BufReader::new(&stream);
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n")
                    && reader.read_until(b'\n', &mut head).unwrap() > 0
                {}
                let head = String::from_utf8(head).unwrap().to_lowercase();
                let mut lines = head.lines();
                let length = lines.find_map(|line| line.strip_prefix("content-length: "));
                let length = length.map_or(0, |length| length.parse().unwrap());
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                let line = head.lines().next().unwrap_or_default();
                seen.lock().unwrap().push(line.to_owned());
                let answer =
                    format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
                (&stream).write_all(answer.as_bytes()).unwrap();
            }
        });
        OldGateway { lock, requests }
    }

    fn ends(self, sandbox: &Sandbox) {
        let dir = sandbox.state_db().parent().unwrap().to_owned();
        fs::remove_file(dir.join("gateway.sock")).unwrap();
        self.lock.unlock().unwrap();
    }
}

/// Takes back the step of the schema that made the index of the groups, and those after it.
const OLDER: &str = "
    DROP TRIGGER group_inserted;
    DROP TRIGGER group_updated;
    DROP TRIGGER group_deleted;
    DROP TABLE group_index;
    DROP TABLE group_series;
    DROP TABLE group_names;
    PRAGMA user_version = 7;
    PRAGMA application_id = 7;
";

/// The new program brings the state up to date under the old gateway, which goes on to change it by the statements that it
/// knows, and takes the reports. Nothing is lost, and the index that the old one knows nothing of is made anew.
#[test]
fn beside_an_old_gateway() {
    for status in ["202 Accepted", "200 OK"] {
        let sandbox = with(STATE);
        let old = Connection::open(sandbox.state_db()).unwrap();
        old.execute_batch(OLDER).unwrap();
        let version = || -> i64 {
            old.query_row("PRAGMA user_version", [], |row| row.get(0))
                .unwrap()
        };
        let gateway = OldGateway::start(&sandbox, status);
        let mut change = old
            .prepare("UPDATE groups SET push_failure_time = push_failure_time WHERE id = ?")
            .unwrap();
        assert_eq!(change.execute([1]).unwrap(), 1);
        sandbox
            .run("exec --job nightly -g db=customers -- true")
            .code(0)
            .quiet_stderr();
        sandbox.run("exec --job other -- false").code(1);
        assert!(version() > 7, "{}", version());
        let requests = gateway.requests.lock().unwrap().clone();
        assert_eq!(
            requests,
            [
                "post /metrics/job/nightly/db/customers http/1.1",
                "post /metrics/job/other http/1.1"
            ]
        );
        assert_eq!(sandbox.outbox_len(), 1);
        assert_eq!(sandbox.outcomes().len(), 6);
        // Its index would be stale now.
        assert_eq!(change.execute([1]).unwrap(), 1);
        drop(change);
        gateway.ends(&sandbox);
        for _ in 0..2 {
            sandbox
                .run("exec --job nightly -g db=customers -- true")
                .code(0)
                .quiet_stderr();
        }
        let series = "batch_job_runs_total{db=\"customers\",outcome=\"success\"}";
        assert_eq!(sandbox.value("nightly", series), Some(5.0));
        has_all(&sandbox);
    }
}
