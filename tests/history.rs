//! `history`, and the counters that go on over runs.

use crate::common::{Sandbox, TestGateway, US, finished, of_job, stamp};

on_each_gateway!(runs_are_counted, a_jobs_own_counters_go_on);

fn runs_are_counted(gateway: &TestGateway) {
    let sandbox = &gateway.sandbox;
    for script in ["true", "true", "exit 3", "kill -9 $$", "sleep 100"] {
        // A group that is replaced keeps its counts too.
        sandbox.exec("--job c --timeout 300ms --method put", script);
    }
    let samples = gateway.samples();
    let count = |outcome: &str| {
        let series = format!(r#"batch_job_runs_total{{outcome="{outcome}"}}"#);
        samples[&of_job("c", &series)]
    };
    let counts = ["success", "failure", "signal", "timeout", "skipped"].map(count);
    assert_eq!(counts, [2.0, 1.0, 1.0, 1.0, 0.0]);
    sandbox.exec("--job c -g a=b", "true").code(0);
    let other = r#"batch_job_runs_total{a="b",outcome="success"}"#;
    assert_eq!(gateway.value("c", other), Some(1.0));
}

fn a_jobs_own_counters_go_on(gateway: &TestGateway) {
    let us = US;
    let job = format!(
        "command = ['sh', '-c', '{us} metric inc orders_total $N -l region=$R; \
         {us} metric inc single_total $N; echo $N files']\n\
         method = 'put'\n\
         [[metric]]\nname = 'orders_total'\ntype = 'counter'\nhelp = 'Orders.'\ncumulative = true\n\
         [[metric]]\nname = 'files_total'\ntype = 'counter'\npattern = '(\\d+) files'\ncumulative = true\n"
    );
    gateway.write("jobs/sum.toml", &job);
    for (n, region) in [(5, "eu"), (7, "eu"), (1, "us")] {
        gateway
            .run(&format!("run sum --quiet --env N={n} --env R={region}"))
            .code(0);
    }
    let value = |series: &str| gateway.value("sum", series);
    assert_eq!(value(r#"orders_total{region="eu"}"#), Some(12.0));
    assert_eq!(value(r#"orders_total{region="us"}"#), Some(1.0));
    assert_eq!(value("files_total"), Some(13.0));
    // One that is not marked begins anew.
    assert_eq!(value("single_total"), Some(1.0));
}

#[test]
fn built_ins_counters_can_go_on() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "jobs/loop.toml",
        "builtin = 'random'\nprefix = 'batch'\n[params]\niterations = 7\ninterval = '0s'\n\
         [[metric]]\nname = 'batch_count_total'\ntype = 'counter'\ncumulative = true\n",
    );
    for _ in 0..3 {
        sandbox.run("run loop").code(0);
    }
    assert_eq!(sandbox.value("loop", "batch_count_total"), Some(21.0));
}

#[test]
fn pruning_lowers_no_counter() {
    let sandbox = Sandbox::new();
    for _ in 0..5 {
        sandbox.exec("--job p --keep 2", "true").code(0);
    }
    sandbox.exec("--job other", "true").code(0);
    let runs = sandbox.history();
    let jobs: Vec<&str> = runs
        .iter()
        .map(|run| run["job"].as_str().unwrap())
        .collect();
    assert_eq!(jobs, ["p", "p", "other"]);
    let total = r#"batch_job_runs_total{outcome="success"}"#;
    assert_eq!(sandbox.value("p", total), Some(5.0));
    sandbox.exec("--job p --keep 0", "true").code(0);
    assert_eq!(sandbox.history().len(), 1);
    assert_eq!(sandbox.value("p", total), Some(6.0));
}

#[test]
fn by_default_a_thousand_runs_are_kept() {
    let sandbox = Sandbox::new();
    sandbox.exec("--job p --no-push", "true").code(0);
    let database = rusqlite::Connection::open(sandbox.state_db()).unwrap();
    let copies = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)
        INSERT INTO runs SELECT i + 1, run_id, name, job, grouping_key, started_at, ended_at, duration,
            outcome, exit_code, failure, attempts, cpu_user, cpu_system, max_rss, metrics, tail, 0
        FROM runs, n WHERE id = 1";
    database.execute(copies, []).unwrap();
    stamp(&database);
    sandbox.exec("--job p --no-push", "true").code(0);
    let count = "SELECT count(*) FROM runs";
    let count: i64 = database.query_row(count, [], |row| row.get(0)).unwrap();
    assert_eq!(count, 1000);
}

#[test]
fn a_run_is_recorded_whole() {
    let sandbox = Sandbox::new();
    let script = "echo 'n 5' >>$METRICSJOB_METRICS; echo one >&2; echo two >&2; exit 3";
    sandbox.exec("--job whole -g db=a --tail 1", script).code(3);
    let runs = sandbox.history();
    let run = &runs[0];
    assert_eq!(run["name"], "whole");
    assert_eq!(run["grouping"]["db"], "a");
    assert_eq!(
        (&run["outcome"], &run["exit_code"]),
        (&"failure".into(), &3.into())
    );
    assert_eq!(run["attempts"], 1);
    assert_eq!(run["tail"], serde_json::json!(["two"]));
    assert_eq!(run["metrics"][0]["name"], "n");
    assert_eq!(run["metrics"][0]["metrics"][0]["value"], 5);
    let number = |key: &str| run[key].as_f64().unwrap();
    assert!(number("completion_timestamp_seconds") >= number("start_timestamp_seconds"));
    assert!(number("max_rss_bytes") > 0.0);
    sandbox.run("exec --no-push -- ./gone").code(127);
    let failure = &sandbox.history()[1]["failure"];
    assert_eq!(failure, "could not start \"./gone\": no such file");
}

#[test]
fn it_is_shown_as_a_table() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run("history").code(0).stdout(), "no runs so far\n");
    sandbox.exec("--job slow -g a=1", "sleep 1").code(0);
    sandbox.exec("--job quick", "exit 2").code(2);
    sandbox.run("run backup --set duration=0s").code(0);
    let text = sandbox.run("history").code(0).stdout();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4);
    assert!(lines[0].starts_with("JOB"));
    assert!(
        lines[1].starts_with("slow")
            && lines[1].contains("a=1")
            && lines[1].ends_with("██████████")
    );
    assert!(lines[2].contains("  failure  2  ") && !lines[2].contains("█████"));
    // By the job's name or its label.
    for name in ["backup", "db_backup"] {
        let text = sandbox.run(&format!("history {name}")).code(0).stdout();
        assert_eq!(text.lines().count(), 2, "{text}");
    }
    assert_eq!(sandbox.run("history --last 1").stdout().lines().count(), 2);
    assert_eq!(
        sandbox.run("history nothing").stdout(),
        "no runs of nothing so far\n"
    );
    assert_eq!(
        sandbox.run("history nothing --output json").stdout(),
        "[]\n"
    );
    sandbox.run("history --last x").code(2);
}

#[test]
fn all_of_a_run_is_shown_by_the_beginning_of_its_id() {
    let sandbox = Sandbox::new();
    let script = "echo 'n 5' >>$METRICSJOB_METRICS; echo one >&2; echo two >&2; exit 3";
    let options = "--job whole -g db=a -g zone=z --tail 1 --retries 1 --backoff 1ms";
    sandbox.exec(options, script).code(3);
    let run = sandbox.history().remove(0);
    let id = run["run_id"].as_str().unwrap();
    for beginning in [id, &id[..1]] {
        let show = sandbox.run(&format!("history show {beginning}"));
        show.code(0)
            .out("whole: failure (exit code 3)\n")
            .out(&format!("  run       {id}\n"))
            .out("  job       whole\n")
            .out("  grouping  db=a,zone=z\n")
            .out("  attempts  2\n")
            .out("metrics\n  n 5\n")
            .out("last lines\n  | two\n");
        for field in ["started ", "ended ", "duration ", "CPU ", "memory "] {
            show.out(&format!("\n  {field}"));
        }
    }
    let shown = sandbox.run(&format!("history show {id} --output json"));
    assert_eq!(shown.code(0).json(), run);
    for none in ["x", "%", "_", &format!("{id}0")] {
        let show = sandbox.run(&format!("history show {none}"));
        show.code(1)
            .err(&format!("the history has no run {none:?}"));
    }
    sandbox
        .run_args(["history", "show", ""])
        .code(1)
        .err("no run \"\"");
    sandbox.run("history show").code(2).err("<RUN>");
}

#[test]
fn an_ambiguous_beginning_is_told_with_the_ids() {
    let sandbox = Sandbox::new();
    for _ in 0..2 {
        sandbox.exec("--job j --no-push", "true").code(0);
    }
    let database = rusqlite::Connection::open(sandbox.state_db()).unwrap();
    database
        .execute("UPDATE runs SET run_id = 'abc' || id", [])
        .unwrap();
    stamp(&database);
    sandbox
        .run("history show abc")
        .code(1)
        .err("the ids of several runs begin with \"abc\", as abc2 and abc1 do: give more of it");
    sandbox.run("history show abc2").code(0).out("abc2");
    // One whose id is the beginning of another's.
    database
        .execute("UPDATE runs SET run_id = 'abc' WHERE id = 1", [])
        .unwrap();
    stamp(&database);
    sandbox
        .run("history show abc")
        .code(0)
        .out("  run       abc\n");
}

#[test]
fn a_job_may_be_called_show() {
    let dir = Sandbox::new();
    let sandbox = Sandbox::new().variable("METRICSJOB_STATE_DIR", dir.path().to_str().unwrap());
    sandbox.exec("--job show --no-push", "true").code(0);
    sandbox.exec("--job other --no-push", "true").code(0);
    let runs = sandbox.run("history --output json -- show").json();
    assert_eq!(runs.as_array().unwrap().len(), 1);
    let id = runs[0]["run_id"].as_str().unwrap();
    sandbox
        .run(&format!("history show {id}"))
        .code(0)
        .out("show: success");
}

#[test]
fn durations_have_quantiles_by_job_and_grouping() {
    let sandbox = Sandbox::new();
    sandbox.exec("--job j -g db=a --no-push", "exit 1").code(1);
    sandbox.exec("--job j -g db=b --no-push", "true").code(0);
    let database = rusqlite::Connection::open(sandbox.state_db()).unwrap();
    let copies = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 98)
        INSERT INTO runs SELECT i + 2, run_id || i, name, job, grouping_key, started_at, ended_at, i,
            'success', 0, failure, attempts, cpu_user, cpu_system, max_rss, metrics, tail, 0
        FROM runs, n WHERE id = 1";
    database.execute(copies, []).unwrap();
    database
        .execute("UPDATE runs SET duration = 1000 WHERE id = 1", [])
        .unwrap();
    database
        .execute("UPDATE runs SET outcome = 'skipped' WHERE id = 2", [])
        .unwrap();
    stamp(&database);
    let stats = sandbox.run("history --stats --output json").code(0).json();
    assert_eq!(stats.as_array().unwrap().len(), 2);
    assert_eq!(
        (&stats[0]["name"], &stats[0]["grouping"]["db"]),
        (&"j".into(), &"a".into())
    );
    assert_eq!(
        (&stats[0]["runs"], &stats[0]["outcomes"]["failure"]),
        (&99.into(), &1.into())
    );
    let quantiles =
        ["p50", "p95", "max"].map(|name| stats[0][format!("duration_{name}_seconds")].as_f64());
    assert_eq!(quantiles, [Some(50.0), Some(95.0), Some(1000.0)]);
    // Skipped runs took no time.
    assert_eq!(stats[1]["runs"], 1);
    assert_eq!(stats[1]["duration_p50_seconds"], serde_json::Value::Null);
    let text = sandbox.run("history --stats").code(0).stdout();
    assert!(
        text.contains("  99    1       50s  1m 35s  16m 40s  "),
        "{text}"
    );
    // Of the last ones only.
    let last = sandbox
        .run("history j --stats --last 10 --output json")
        .json();
    assert_eq!(
        (&last[0]["runs"], &last[0]["duration_p50_seconds"]),
        (&10.into(), &93.into())
    );
    assert_eq!(
        sandbox.run("history none --stats").stdout(),
        "no runs of none so far\n"
    );
}

/// Many at once, each counted once.
#[test]
fn runs_at_the_same_time_are_all_counted() {
    let sandbox = Sandbox::new();
    let children: Vec<_> = (0..30)
        .map(|_| sandbox.spawn(&mut sandbox.exec_command("--job c", "true")))
        .collect();
    for child in children {
        finished(child).code(0).quiet();
    }
    assert_eq!(sandbox.history().len(), 30);
    let total = r#"batch_job_runs_total{outcome="success"}"#;
    assert_eq!(sandbox.value("c", total), Some(30.0));
}

/// The log of the database is kept short, and never lost.
#[test]
fn the_state_stays_small() {
    let sandbox = Sandbox::new();
    for _ in 0..60 {
        sandbox.exec("--job c --keep 5", "true").code(0);
    }
    let log = sandbox.state_db().with_extension("db-wal");
    assert!(log.metadata().unwrap().len() < 400_000);
    assert!(sandbox.state_db().metadata().unwrap().len() < 400_000);
    let total = r#"batch_job_runs_total{outcome="success"}"#;
    assert_eq!(sandbox.value("c", total), Some(60.0));
}

/// Somebody looks into the database while two connections of ours are open.
#[test]
fn who_only_looks_changes_nothing() {
    let sandbox = Sandbox::new();
    sandbox.exec("--job a", "true").code(0);
    let script = "echo >ready; while ! [ -e end ]; do sleep 0.01; done";
    let options = "--job a --push-start --push-interval 50ms";
    let child = sandbox.spawn(&mut sandbox.exec_command(options, script));
    let running = || sandbox.value("a", "batch_job_running") == Some(1.0);
    crate::common::eventually("reports", running);
    for _ in 0..3 {
        // A process of its own, whose last connection would remove the log if it held no lock.
        let look = "import sqlite3,sys; sqlite3.connect(sys.argv[1]).execute('select count(*) from runs').fetchall()";
        let mut python = std::process::Command::new("python3");
        let status = python
            .args(["-c", look])
            .arg(sandbox.state_db())
            .status()
            .unwrap();
        assert!(status.success());
        let pushed = || sandbox.value("a", "push_time_seconds");
        let before = pushed();
        crate::common::eventually("another report", || pushed() > before);
    }
    sandbox.write("end", "");
    finished(child).code(0);
    assert_eq!(sandbox.outcomes(), ["success", "success"]);
    assert_eq!(sandbox.value("a", "batch_job_running"), Some(0.0));
}

/// However long others have the state locked, the command's time is its own.
#[test]
fn a_locked_state_delays_no_timeout() {
    let sandbox = Sandbox::new();
    let dir = sandbox.path().join(".local/state/metricsjob");
    std::fs::create_dir_all(&dir).unwrap();
    let lock = std::fs::File::create(dir.join("state.lock")).unwrap();
    lock.lock().unwrap();
    let child =
        sandbox.spawn(&mut sandbox.exec_command("--timeout 300ms --output json", "sleep 5"));
    std::thread::sleep(std::time::Duration::from_secs(2));
    drop(lock);
    let run = finished(child);
    assert!(run.code(124).result()["duration_seconds"].as_f64().unwrap() < 3.0);
    assert_eq!(sandbox.outcomes(), ["timeout"]);
}

/// Where the counters are not known, none is reported: 0 would be a lie.
#[test]
fn without_state_no_counter_is_reported() {
    let server = crate::common::FakeServer::status("200 OK", "");
    let sandbox = Sandbox::new().variable("METRICSJOB_GATEWAY", server.url());
    let options = "--job c --state-dir /proc/nowhere";
    sandbox
        .exec(options, "exit 3")
        .code(3)
        .err("the run is not in the history");
    let body = &server.requests()[0].body;
    assert!(body.contains("batch_job_exit_code 3\n"), "{body}");
    assert!(!body.contains("runs_total"), "{body}");
}
