//! `metricsjob serve` runs jobs when they are due, or asked for, as `metricsjob run` does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::CommandExt;
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use serde_json::Value as Json;

use crate::common::own_server::{
    GATE, OwnServer, assert_no_errors, close, history, id, job, open, server_command,
};
use crate::common::{Sandbox, eventually, eventually_within, finished, stamp};

/// Seconds since the epoch.
fn now() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap().as_secs_f64()
}

/// A schedule for these times, which are in one minute.
fn schedule_at(times: &[u64]) -> String {
    let seconds: Vec<String> = times.iter().map(|time| (time % 60).to_string()).collect();
    let (minute, hour) = (times[0] / 60 % 60, times[0] / 3600 % 24);
    let seconds = seconds.join(",");
    format!("schedule = '{seconds} {minute} {hour} * * *'\ntimezone = 'UTC'")
}

/// The next time, some seconds from now, that has the following seconds in the same minute.
fn soon(seconds: u64) -> u64 {
    let due = now() as u64 + seconds;
    if due % 60 > 55 { due + 5 } else { due }
}

fn number(json: &Json, key: &str) -> f64 {
    json[key].as_f64().unwrap()
}

#[test]
fn jobs_run_when_they_are_due() {
    let sandbox = Sandbox::new();
    job(&sandbox, "cron", "schedule = '* * * * * *'", "true");
    job(&sandbox, "interval", "every = '1s'", "true");
    let begin = now();
    let server = OwnServer::start(&sandbox, "");
    for name in ["cron", "interval"] {
        server.eventually_runs(name, "success", 3);
        assert_eq!(server.job(name)["last_run"]["trigger"], "schedule");
        let series =
            format!("batch_job_next_run_timestamp_seconds{{job=\"{name}\",job_name=\"{name}\"}}");
        let next = server.sample(&series).unwrap();
        assert!(next > begin && next <= now() + 1.0, "{next}");
        assert_eq!(next.fract(), 0.0);
    }
    let lag = server.own("metricsjob_schedule_lag_seconds_count");
    server.end();
    for name in ["cron", "interval"] {
        let runs = history(&sandbox, name);
        let starts = runs
            .iter()
            .map(|run| number(run, "start_timestamp_seconds"));
        let seconds: BTreeSet<u64> = starts.map(|start| start as u64).collect();
        // On a machine that does much else, two can be late by different times.
        assert!(seconds.len() + 1 >= runs.len(), "{runs:?}");
    }
    assert!(
        (6.0..=sandbox.history().len() as f64).contains(&lag),
        "{lag}"
    );
}

#[test]
fn a_job_without_a_schedule_runs_when_it_is_asked_for() {
    let sandbox = Sandbox::new();
    job(&sandbox, "tick", "every = '1s'", "true");
    job(&sandbox, "asked", "", "true");
    let server = OwnServer::start(&sandbox, "");
    server.eventually_runs("tick", "success", 2);
    assert_eq!(history(&sandbox, "asked"), [] as [Json; 0]);
    assert_eq!(
        server.job("asked")["next_run_timestamp_seconds"],
        Json::Null
    );
    let run = server.run("asked");
    assert_eq!(
        (&run["outcome"], &run["trigger"]),
        (&"success".into(), &"http".into())
    );
    assert_eq!(history(&sandbox, "asked")[0]["run_id"], run["run_id"]);
    // It was not late.
    let lag = server.own("metricsjob_schedule_lag_seconds_count");
    assert!(lag <= history(&sandbox, "tick").len() as f64 + 1.0, "{lag}");
}

#[test]
fn a_run_is_as_by_run() {
    let sandbox = Sandbox::new();
    job(
        &sandbox,
        "full",
        "job = 'label'\nprefix = 'full'\ngrouping = { db = 'x' }\nretries = 2\nbackoff = '1ms'\n\
         [[metric]]\nname = 'rows'\ntype = 'gauge'\npattern = '(\\d+) rows'\n[env]\nWHO = 'me'",
        "echo $WHO $METRICSJOB_JOB $METRICSJOB_RUN_ID >env; readlink /proc/self/fd/0 >stdin; \
         [ -e tried ] && echo 42 rows && echo last >&2 && exit 0; echo >tried; exit 3",
    );
    // The keys of a table come last.
    let path = sandbox.path().join("jobs/full.toml");
    let text = fs::read_to_string(&path).unwrap();
    let (start, command) = text.trim_end().rsplit_once('\n').unwrap();
    fs::write(&path, format!("{command}\n{start}\n")).unwrap();

    let server = OwnServer::start(&sandbox, "");
    let run = server.run("full");
    let id = id(&run);
    let read = |file: &str| fs::read_to_string(sandbox.path().join(file)).unwrap();
    assert_eq!(read("env"), format!("me label {id}\n"));
    assert_eq!(read("stdin"), "/dev/null\n");
    let log = server.log();
    for (stream, text) in [("stdout", "\"42 rows\""), ("stderr", "last")] {
        let line = format!("msg=output job=full run_id={id} stream={stream} text={text}\n");
        assert!(log.contains(&line), "{log}");
    }
    assert!(log.contains(&format!(
        "msg=\"an attempt did not succeed\" job=full run_id={id} attempt=1 outcome=\"failure (exit code 3)\""
    )));

    let recorded = &history(&sandbox, "full")[0];
    let recorded = recorded.as_object().unwrap();
    for (key, value) in recorded {
        // The API has times in seconds only; the history says them in RFC 3339 too.
        if !recorded.contains_key(&format!("{key}_seconds")) {
            assert_eq!(&run[key], value, "{key}");
        }
    }
    assert_eq!(run["outcome"], "success");
    assert_eq!(run["attempts"], 2);
    assert_eq!(run["grouping"]["db"], "x");
    assert_eq!(run["tail"], serde_json::json!(["last"]));

    eventually("the report is delivered", || {
        sandbox.value("label", "rows{db=\"x\"}") == Some(42.0)
    });
    let labels = |name: &str| format!("{name}{{db=\"x\"}}");
    assert_eq!(sandbox.value("label", &labels("full_success")), Some(1.0));
    assert_eq!(sandbox.value("label", &labels("full_attempts")), Some(2.0));
    assert_eq!(sandbox.outbox_len(), 0);
    assert_eq!(
        server.sample("rows{db=\"x\",job=\"label\",job_name=\"full\"}"),
        Some(42.0)
    );
}

#[test]
fn a_run_that_takes_too_long_is_ended() {
    let sandbox = Sandbox::new();
    job(
        &sandbox,
        "long",
        "timeout = '200ms'",
        "echo begun >&2; sleep 1000",
    );
    let server = OwnServer::start(&sandbox, "");
    let run = server.run("long");
    assert_eq!(
        (&run["outcome"], &run["exit_code"]),
        (&"timeout".into(), &124.into())
    );
    assert_eq!(run["tail"], serde_json::json!(["begun"]));
}

#[test]
fn reports_wait_for_a_gateway_that_is_down() {
    let sandbox = Sandbox::new();
    job(&sandbox, "j", "", "true");
    let server = OwnServer::start(&sandbox, "--gateway http://127.0.0.1:1");
    server.run("j");
    server.logs("msg=\"reports wait in the outbox\" gateway=http://127.0.0.1:1");
    server.shows("metricsjob_outbox_entries{status=\"waiting\"}", 1.0);
    // Its end does not wait for it.
    server.end();
    assert_eq!(sandbox.outbox_len(), 1);
    assert_eq!(sandbox.outcomes(), ["success"]);
}

#[test]
fn jitter_delays_runs_by_random_times() {
    let sandbox = Sandbox::new();
    job(
        &sandbox,
        "j",
        "schedule = '* * * * * *'\njitter = '900ms'",
        "true",
    );
    let server = OwnServer::start(&sandbox, "");
    let mut next = BTreeSet::new();
    eventually("different times", || {
        let time = number(&server.job("j"), "next_run_timestamp_seconds");
        assert!(time.fract() <= 0.9001, "{time}");
        next.insert((time.fract() * 1e6) as u64);
        next.len() >= 3
    });
    server.eventually_runs("j", "success", 1);
}

#[test]
fn what_is_due_meanwhile_is_skipped() {
    let sandbox = Sandbox::new();
    close(&sandbox);
    job(&sandbox, "j", "schedule = '* * * * * *'", GATE);
    let server = OwnServer::start(&sandbox, "");
    server.eventually_runs("j", "skipped", 2);
    let why = server.is_refused(409, "j");
    open(&sandbox);
    server.eventually_runs("j", "success", 1);
    server.end();
    let runs = history(&sandbox, "j");
    let first = runs.iter().find(|run| run["outcome"] == "success").unwrap();
    let expected = format!("another run is in progress ({})", id(first));
    assert_eq!(why, expected);
    let skipped = runs.iter().find(|run| run["outcome"] == "skipped").unwrap();
    assert_eq!(skipped["failure"], expected);
    assert_eq!(skipped["attempts"], 0);
}

#[test]
fn what_is_asked_for_meanwhile_waits_in_its_order() {
    let sandbox = Sandbox::new();
    close(&sandbox);
    job(&sandbox, "j", "overlap = 'queue'", GATE);
    let server = OwnServer::start(&sandbox, "");
    let ids: Vec<String> = (0..4).map(|_| server.ask("j")).collect();
    server.run_once(&ids[0], "running");
    server.shows("batch_job_running{job=\"j\",job_name=\"j\"}", 1.0);
    server.shows("metricsjob_queued_runs", 3.0);
    assert_eq!(server.run_once(&ids[3], "queued")["trigger"], "http");
    open(&sandbox);
    server.eventually_runs("j", "success", 4);
    let runs = history(&sandbox, "j");
    let order: Vec<&str> = runs.iter().map(id).collect();
    assert_eq!(order, ids);
    for pair in runs.windows(2) {
        let end = number(&pair[0], "completion_timestamp_seconds");
        assert!(
            end <= number(&pair[1], "start_timestamp_seconds"),
            "{pair:?}"
        );
    }
    server.shows("metricsjob_queued_runs", 0.0);
}

#[test]
fn what_is_asked_for_meanwhile_runs_too() {
    let sandbox = Sandbox::new();
    close(&sandbox);
    job(&sandbox, "j", "overlap = 'allow'", GATE);
    let server = OwnServer::start(&sandbox, "");
    for _ in 0..3 {
        server.ask("j");
    }
    server.shows("batch_job_running{job=\"j\",job_name=\"j\"}", 3.0);
    open(&sandbox);
    server.eventually_runs("j", "success", 3);
}

/// A run by the command line is seen, if the job has a lock.
#[test]
fn a_run_of_another_process_is_in_the_way() {
    let sandbox = Sandbox::new();
    close(&sandbox);
    job(&sandbox, "j", "lock = true", GATE);
    let server = OwnServer::start(&sandbox, "");
    let other = sandbox.spawn(&mut sandbox.command(["run", "j"]));
    let lock = sandbox.state_db().with_file_name("locks");
    eventually("the other has the lock", || {
        fs::read_dir(&lock)
            .is_ok_and(|mut files| files.any(|file| file.unwrap().metadata().unwrap().len() > 0))
    });
    let why = server.is_refused(409, "j");
    assert!(why.contains(&format!("in process {}", other.id())), "{why}");
    open(&sandbox);
    finished(other).code(0);
    server.run("j");
    assert_eq!(sandbox.outcomes(), ["success", "success"]);
}

#[test]
fn as_many_runs_go_on_as_there_are_slots() {
    let sandbox = Sandbox::new();
    close(&sandbox);
    let names = ["a", "b", "c", "d", "e"];
    for name in names {
        job(&sandbox, name, "", GATE);
    }
    let server = OwnServer::start(&sandbox, "--concurrency 2");
    let ids = names.map(|name| server.ask(name));
    let slots =
        || ["metricsjob_run_slots", "metricsjob_run_slots_taken"].map(|name| server.own(name));
    assert_eq!(slots(), [2.0, 2.0]);
    assert_eq!(server.own("metricsjob_queued_runs"), 3.0);
    assert_eq!(server.sum("batch_job_running"), 2.0);
    let why = server.is_refused(409, "e");
    assert_eq!(why, "another run waits for a free slot");
    open(&sandbox);
    for id in &ids {
        assert_eq!(server.run_once(id, "finished")["outcome"], "success");
    }
    assert_eq!(slots(), [2.0, 0.0]);
    let mut runs = sandbox.history();
    runs.sort_by(|a, b| {
        let start = |run| number(run, "start_timestamp_seconds");
        start(a).total_cmp(&start(b))
    });
    let order: Vec<&str> = runs
        .iter()
        .map(|run| run["name"].as_str().unwrap())
        .collect();
    // Two begin at the same time.
    assert_eq!(
        order[2..].iter().collect::<BTreeSet<_>>(),
        ["c", "d", "e"].iter().collect()
    );
}

/// Stops the server over the due times of two jobs, which were `missed`. Returns when they were due.
fn stop_over_due_times(sandbox: &Sandbox, server: &OwnServer) -> [u64; 2] {
    loop {
        let first = soon(4);
        let due = [first, first + 1];
        for missed in ["skip", "run-once"] {
            let lines = format!("missed = '{missed}'\n{}", schedule_at(&due));
            job(sandbox, missed, &lines, "true");
        }
        server.reload();
        server.signal(Signal::SIGSTOP);
        let is_in_time = now() < first as f64 - 0.5;
        if is_in_time {
            sleep(Duration::from_secs_f64(first as f64 + 8.0 - now()));
        } else {
            for missed in ["skip", "run-once"] {
                fs::remove_file(sandbox.path().join(format!("jobs/{missed}.toml"))).unwrap();
            }
        }
        server.signal(Signal::SIGCONT);
        if is_in_time {
            return due;
        }
        server.reload();
    }
}

#[test]
fn what_a_stopped_server_missed() {
    let sandbox = Sandbox::new();
    job(&sandbox, "other", "", "true");
    let server = OwnServer::start(&sandbox, "");
    let due = stop_over_due_times(&sandbox, &server);
    let missed = |job: &str| {
        server.sample(&format!(
            "metricsjob_missed_runs_total{{job=\"{job}\",job_name=\"{job}\"}}"
        ))
    };
    server.eventually_runs("run-once", "success", 1);
    assert_eq!(server.job("run-once")["last_run"]["trigger"], "missed");
    server.logs("msg=\"due times went by\" job=skip runs=2");
    assert_eq!([missed("skip"), missed("run-once")], [Some(2.0), Some(1.0)]);
    assert_eq!(server.job("skip")["last_run"], Json::Null);
    // It says nothing of the scheduler's punctuality.
    assert_eq!(server.own("metricsjob_schedule_lag_seconds_count"), 0.0);
    for name in ["skip", "run-once"] {
        let next = number(&server.job(name), "next_run_timestamp_seconds");
        assert_eq!(next, due[0] as f64 + 86_400.0);
    }
    server.end();
    assert_eq!(sandbox.outcomes(), ["success"]);
}

/// Makes all runs so far ones of long ago.
fn age(sandbox: &Sandbox) {
    let database = rusqlite::Connection::open(sandbox.state_db()).unwrap();
    let year = "UPDATE runs SET started_at = started_at - 4e7, ended_at = ended_at - 4e7";
    database.execute(year, []).unwrap();
    stamp(&database);
}

#[test]
fn what_was_missed_while_there_was_no_server() {
    let sandbox = Sandbox::new();
    let yearly = |missed: &str| format!("schedule = '0 0 1 1 *'\nmissed = '{missed}'");
    for name in ["old", "recent", "never"] {
        job(&sandbox, name, &yearly("run-once"), "true");
    }
    job(&sandbox, "skip", &yearly("skip"), "true");
    sandbox.run("run old").code(0);
    sandbox.run("run skip").code(0);
    age(&sandbox);
    sandbox.run("run recent").code(0);
    let server = OwnServer::start(&sandbox, "");
    server.eventually_runs("old", "success", 2);
    assert_eq!(server.job("old")["last_run"]["trigger"], "missed");
    // Once is enough.
    server.reload();
    assert_eq!(server.own("metricsjob_queued_runs"), 0.0);
    server.end();
    let server = OwnServer::start(&sandbox, "");
    server.end();
    let runs = sandbox.history();
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for run in &runs {
        *count.entry(run["name"].as_str().unwrap()).or_default() += 1;
    }
    assert_eq!(
        count,
        BTreeMap::from([("old", 2), ("recent", 1), ("skip", 1)])
    );
}

#[test]
fn a_thousand_jobs_are_due_at_once() {
    const JOBS: usize = 1000;
    let sandbox = Sandbox::new();
    let patience = Duration::from_secs(120);
    fs::create_dir(sandbox.path().join("jobs")).unwrap();
    let server = OwnServer::start(&sandbox, "");
    let due = soon(12);
    for number in 0..JOBS {
        let lines = format!("{}\ncommand = ['true']\n", schedule_at(&[due]));
        sandbox.write(&format!("jobs/job{number}.toml"), lines);
    }
    assert_eq!(server.reload()["problems"], serde_json::json!([]));
    assert!(now() < due as f64);
    let lag = "metricsjob_schedule_lag_seconds_count";
    eventually_within(patience, "all have run", || {
        server.sum("batch_job_runs_total") >= JOBS as f64 && server.own(lag) >= JOBS as f64
    });
    assert_eq!(server.own(lag), JOBS as f64);
    assert_eq!(server.sum("batch_job_runs_total"), JOBS as f64);
    assert_eq!(server.sum("metricsjob_missed_runs_total"), 0.0);
    assert_eq!(server.own("metricsjob_queued_runs"), 0.0);
    let log = server.end();
    assert_no_errors(&log);
    let runs = &sandbox.history();
    let names: BTreeSet<&str> = runs
        .iter()
        .map(|run| run["name"].as_str().unwrap())
        .collect();
    let ids: BTreeSet<&str> = runs.iter().map(id).collect();
    let told: Vec<&str> = (log.lines())
        .filter(|line| !line.contains("outcome=success") && !line.contains("msg=metrics"))
        .collect();
    assert_eq!([runs.len(), names.len(), ids.len()], [JOBS; 3], "{told:#?}");
    for run in runs {
        assert_eq!(run["outcome"], "success", "{run}");
        assert!(
            number(run, "start_timestamp_seconds") >= due as f64,
            "{run}"
        );
    }
    // Each has been reported, too.
    assert_eq!(sandbox.outbox_len(), 0);
    let samples = sandbox.samples();
    let reported = samples
        .iter()
        .filter(|(series, _)| series.starts_with("batch_job_success{"));
    assert_eq!(reported.map(|(_, value)| value).sum::<f64>(), JOBS as f64);
}

#[test]
fn a_restart_changes_nothing_of_what_is_shown() {
    let sandbox = Sandbox::new();
    job(
        &sandbox,
        "j",
        "prefix = 'mine'\ngrouping = { db = 'x' }",
        "echo 42 rows; [ -e good ]",
    );
    let pattern = "\n[[metric]]\nname = 'rows'\ntype = 'gauge'\npattern = '(\\d+) rows'\n";
    let path = sandbox.path().join("jobs/j.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text + pattern).unwrap();
    sandbox.write("good", "");

    let server = OwnServer::start(&sandbox, "");
    server.run("j");
    fs::remove_file(sandbox.path().join("good")).unwrap();
    server.run("j");
    // How long runs took is known of this server's runs alone.
    let shown = |server: &OwnServer| -> BTreeMap<String, f64> {
        let samples = server.samples("").into_iter();
        let of_job = samples.filter(|(series, _)| series.contains("job_name=\"j\""));
        of_job
            .filter(|(series, _)| !series.starts_with("batch_job_run_duration"))
            .collect()
    };
    let before = shown(&server);
    assert_eq!(
        before["mine_success{db=\"x\",job=\"j\",job_name=\"j\"}"],
        0.0
    );
    let last_success = "mine_last_success_timestamp_seconds{db=\"x\",job=\"j\",job_name=\"j\"}";
    assert!(
        before[last_success]
            < before["mine_last_completion_timestamp_seconds{db=\"x\",job=\"j\",job_name=\"j\"}"]
    );
    server.end();

    let server = OwnServer::start(&sandbox, "");
    assert_eq!(shown(&server), before);
    server.run("j");
    assert_eq!(
        [server.runs("j", "success"), server.runs("j", "failure")],
        [1.0, 2.0]
    );
    assert_eq!(shown(&server)[last_success], before[last_success]);
}

/// Each of them would need a pipe and a thread, if all were recorded at the same time, and an open file, if each
/// had one that keeps others from delivering to its group.
#[test]
fn many_are_skipped_at_once() {
    const JOBS: u32 = 300;
    const FILES: u64 = 64;
    let sandbox = Sandbox::new();
    close(&sandbox);
    for number in 0..JOBS {
        job(&sandbox, &format!("j{number}"), "every = '1s'", GATE);
    }
    let mut command = server_command(&sandbox, "--concurrency 1");
    // SAFETY: setrlimit(2) may be called between fork and exec.
    unsafe {
        command.pre_exec(|| {
            setrlimit(Resource::RLIMIT_NOFILE, FILES, FILES)?;
            Ok(())
        });
    }
    let server = OwnServer::start_command(command);
    let open_files = || {
        fs::read_dir(format!("/proc/{}/fd", server.pid()))
            .unwrap()
            .count()
    };
    let mut most = 0;
    let mut skipped = || {
        most = most.max(open_files());
        let runs = server.samples("batch_job_runs_total{").into_iter();
        let skipped = runs.filter(|(series, _)| series.contains("skipped"));
        skipped.map(|(_, value)| value).sum::<f64>()
    };
    eventually("all are skipped, twice", || {
        skipped() >= f64::from(2 * JOBS)
    });
    assert!(most < 40, "{most} open files");
    open(&sandbox);
    let log = server.end();
    assert_no_errors(&log);
    // What waits at the end too.
    let database = rusqlite::Connection::open(sandbox.state_db()).unwrap();
    let count = |more: &str| -> u32 {
        let select = format!("SELECT count(DISTINCT name) FROM runs {more}");
        database.query_row(&select, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(count("WHERE outcome = 'skipped'"), JOBS);
}

/// Connections could take what runs need.
#[test]
fn there_is_room_for_runs_besides_connections() {
    let sandbox = Sandbox::new();
    let soft = |options: &str| -> u64 {
        let mut command = server_command(&sandbox, options);
        // SAFETY: setrlimit(2) may be called between fork and exec.
        unsafe {
            command.pre_exec(|| {
                setrlimit(Resource::RLIMIT_NOFILE, 100, 4000)?;
                Ok(())
            });
        }
        let server = OwnServer::start_command(command);
        let limits = fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
        let files = limits
            .lines()
            .find(|line| line.starts_with("Max open files"));
        let soft = files.unwrap().split_whitespace().nth(3).unwrap();
        server.end();
        soft.parse().unwrap()
    };
    let few = soft("--web.max-connections 100 --concurrency 10");
    assert_eq!(
        soft("--web.max-connections 200 --concurrency 20"),
        few + 100 + 160
    );
    let with_gateway = "--web.max-connections 100 --concurrency 10 --gateway-listen 127.0.0.1:0";
    assert_eq!(soft(with_gateway), few + 100);
    assert_eq!(soft("--web.max-connections 100 --concurrency 10000"), 4000);
}
