//! `metricsjob serve` reads the job files again: at SIGHUP, and when it is asked to.

use std::collections::BTreeSet;
use std::fs;
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::common::own_server::{GATE, OwnServer, assert_no_errors, close, history, id, job, open};
use crate::common::{Sandbox, eventually, eventually_within};

/// The names of the jobs that are not compiled in.
fn jobs(server: &OwnServer) -> Vec<String> {
    let jobs = server.json(200, "GET", "/api/v1/jobs");
    let jobs = jobs["jobs"].as_array().unwrap().iter();
    let ours = jobs.filter(|job| job["defined_in"] != "compiled in");
    ours.map(|job| job["name"].as_str().unwrap().to_owned())
        .collect()
}

/// Whether any series is one of `job`.
fn has_series(server: &OwnServer, job: &str) -> bool {
    server.metrics().contains(&format!("job_name=\"{job}\""))
}

fn remove(sandbox: &Sandbox, job: &str) {
    fs::remove_file(sandbox.path().join(format!("jobs/{job}.toml"))).unwrap();
}

/// Has the server read the job files again, as a test of both ways wants it.
type Reload = fn(&OwnServer);

const WAYS: [Reload; 2] = [
    |server| {
        let loaded = || server.log().matches("msg=\"job files are loaded\"").count();
        let before = loaded();
        server.signal(Signal::SIGHUP);
        eventually("the job files are loaded", || loaded() > before);
    },
    |server| {
        server.reload();
    },
];

#[test]
fn jobs_come_change_and_go() {
    for reload in WAYS {
        let sandbox = Sandbox::new();
        job(&sandbox, "changes", "schedule = '0 0 1 1 *'", "true");
        job(&sandbox, "goes", "schedule = '* * * * * *'", "true");
        job(&sandbox, "stays", "schedule = '0 0 1 1 *'", "true");
        let server = OwnServer::start(&sandbox, "");
        let before = server.job("stays");
        server.eventually_runs("goes", "success", 1);
        job(&sandbox, "comes", "every = '1s'", "true");
        job(&sandbox, "changes", "every = '1s'\nprefix = 'new'", "true");
        remove(&sandbox, "goes");
        // Nobody looks until it is told to.
        assert_eq!(jobs(&server), ["changes", "goes", "stays"]);
        let all = server.own("metricsjob_jobs");
        reload(&server);
        assert_eq!(jobs(&server), ["changes", "comes", "stays"]);
        assert_eq!(server.own("metricsjob_jobs"), all);
        assert!(!has_series(&server, "goes"), "{}", server.metrics());
        server.is_refused(404, "goes");
        let runs = history(&sandbox, "goes").len();
        for name in ["comes", "changes"] {
            server.eventually_runs(name, "success", 2);
        }
        assert_eq!(
            server.sample("new_success{job=\"changes\",job_name=\"changes\"}"),
            Some(1.0)
        );
        assert_eq!(server.job("stays"), before);
        server.end();
        let after = history(&sandbox, "goes").len();
        assert!(after <= runs + 1, "{runs} {after}");
    }
}

#[test]
fn a_run_outlives_its_job_file() {
    let sandbox = Sandbox::new();
    close(&sandbox);
    job(&sandbox, "goes", "", GATE);
    job(&sandbox, "other", "", "true");
    let server = OwnServer::start(&sandbox, "");
    let id = server.ask("goes");
    server.run_once(&id, "running");
    remove(&sandbox, "goes");
    server.reload();
    assert!(!has_series(&server, "goes"));
    server.is_refused(404, "goes");
    assert_eq!(server.run_once(&id, "running")["name"], "goes");
    open(&sandbox);
    let run = server.run_once(&id, "finished");
    assert_eq!(run["outcome"], "success");
    assert!(!has_series(&server, "goes"));
    eventually("the report is delivered", || {
        sandbox.value("goes", "batch_job_success") == Some(1.0)
    });
    assert_eq!(sandbox.history()[0]["run_id"], id.as_str());
    // It is known again when its file is back.
    job(&sandbox, "goes", "", "true");
    server.reload();
    assert_eq!(server.runs("goes", "success"), 1.0);
    assert_eq!(server.job("goes")["last_run"]["run_id"], id.as_str());
}

#[test]
fn a_run_that_goes_on_shows_no_series_of_the_old_file() {
    let sandbox = Sandbox::new();
    close(&sandbox);
    job(&sandbox, "changes", "prefix = 'old'", GATE);
    let server = OwnServer::start(&sandbox, "");
    let id = server.ask("changes");
    server.run_once(&id, "running");
    job(&sandbox, "changes", "prefix = 'new'", "true");
    server.reload();
    open(&sandbox);
    server.run_once(&id, "finished");
    assert_eq!(server.runs("changes", "success"), 1.0);
    server.run("changes");
    let success = |prefix| {
        server.sample(&format!(
            "{prefix}_success{{job=\"changes\",job_name=\"changes\"}}"
        ))
    };
    assert_eq!((success("old"), success("new")), (None, Some(1.0)));
}

#[test]
fn what_waits_goes_with_its_job_file() {
    let sandbox = Sandbox::new();
    close(&sandbox);
    job(&sandbox, "blocks", "", GATE);
    job(&sandbox, "goes", "overlap = 'queue'", "true");
    let server = OwnServer::start(&sandbox, "--concurrency 1");
    server.ask("blocks");
    // One waits for a slot, the other for that one.
    let ids = [server.ask("goes"), server.ask("goes")];
    assert_eq!(server.own("metricsjob_queued_runs"), 2.0);
    remove(&sandbox, "goes");
    server.reload();
    for id in &ids {
        let run = server.run_once(id, "finished");
        assert_eq!(run["outcome"], "skipped");
        assert_eq!(run["failure"], "its job file is gone");
    }
    assert_eq!(server.own("metricsjob_queued_runs"), 0.0);
    open(&sandbox);
    server.eventually_runs("blocks", "success", 1);
    server.end();
    let mut outcomes = sandbox.outcomes();
    outcomes.sort();
    assert_eq!(outcomes, ["skipped", "skipped", "success"]);
}

#[test]
fn a_run_that_waits_is_as_it_was_asked_for() {
    let sandbox = Sandbox::new();
    close(&sandbox);
    job(&sandbox, "blocks", "", GATE);
    job(&sandbox, "j", "", "exit 3");
    let server = OwnServer::start(&sandbox, "--concurrency 1");
    server.ask("blocks");
    let id = server.ask("j");
    job(&sandbox, "j", "", "true");
    server.reload();
    open(&sandbox);
    assert_eq!(server.run_once(&id, "finished")["exit_code"], 3);
    assert_eq!(server.run("j")["exit_code"], 0);
}

#[test]
fn a_bad_file_leaves_its_job_as_it_was() {
    for reload in WAYS {
        let sandbox = Sandbox::new();
        job(&sandbox, "j", "schedule = '* * * * * *'", "true");
        let server = OwnServer::start(&sandbox, "");
        assert_eq!(server.own("metricsjob_job_file_problems"), 0.0);
        sandbox.write("jobs/j.toml", "every = '1 hor'\ncommand = ['true']\n");
        sandbox.write("jobs/new.toml", "comand = ['true']\n");
        reload(&server);
        server.logs("msg=\"a job file could not be loaded\" err=\"jobs/j.toml:1:9: ");
        server.logs("jobs/new.toml:1:1: unknown key \\\"comand\\\"");
        server.logs("problems=2");
        assert_eq!(server.own("metricsjob_job_file_problems"), 2.0);
        let page = server.get("/");
        assert_eq!(page.status, 200);
        let page = page.body;
        assert!(
            page.contains("2 problems") && page.contains("jobs/j.toml:1:9"),
            "{page}"
        );
        let answer = server.reload();
        let problems = answer["problems"].as_array().unwrap();
        assert_eq!(problems.len(), 2, "{answer}");
        assert!(problems[0].as_str().unwrap().contains("1 hor"), "{answer}");

        assert_eq!(jobs(&server), ["j"]);
        assert_eq!(server.job("j")["schedule"], "* * * * * *");
        let so_far = server.runs("j", "success") as u32;
        server.eventually_runs("j", "success", so_far + 2);

        job(&sandbox, "j", "every = '1h'", "true");
        remove(&sandbox, "new");
        reload(&server);
        assert_eq!(server.own("metricsjob_job_file_problems"), 0.0);
        assert_eq!(server.reload()["problems"], json!([]));
        let page = server.get("/").body;
        assert!(!page.contains("jobs/j.toml:1:9"), "{page}");
    }
}

/// It may be on a file system that is not there for a while.
#[test]
fn a_jobs_directory_that_vanishes_takes_no_job_with_it() {
    let sandbox = Sandbox::new();
    job(&sandbox, "j", "schedule = '* * * * * *'", "true");
    let server = OwnServer::start(&sandbox, "--jobs-dir jobs");
    let (dir, away) = (sandbox.path().join("jobs"), sandbox.path().join("away"));
    fs::rename(&dir, &away).unwrap();
    let answer = server.json(500, "POST", "/-/reload");
    let why = answer["error"].as_str().unwrap();
    assert!(
        why.contains("could not read the jobs directory jobs"),
        "{why}"
    );
    server.signal(Signal::SIGHUP);
    eventually("both were logged", || {
        server
            .log()
            .matches("msg=\"job files could not be loaded\"")
            .count()
            == 2
    });
    let so_far = server.runs("j", "success") as u32;
    server.eventually_runs("j", "success", so_far + 2);
    assert_eq!(jobs(&server), ["j"]);
    fs::rename(&away, &dir).unwrap();
    server.reload();
    assert_eq!(jobs(&server), ["j"]);
}

#[test]
fn reloads_under_load_lose_and_double_nothing() {
    const JOBS: usize = 20;
    let sandbox = Sandbox::new();
    let names: Vec<String> = (0..JOBS).map(|number| format!("job{number}")).collect();
    for name in &names {
        let lines = "every = '100ms'\noverlap = 'queue'\ncommand = ['true']\n";
        sandbox.write(&format!("jobs/{name}.toml"), lines);
    }
    let server = OwnServer::start(&sandbox, "");
    // One answer is all at one moment: how many due times are left behind, and what became of them.
    let counts = || {
        let samples = server.samples("");
        let sum = |name: &str| -> f64 {
            let samples = samples.iter();
            let of_name = samples.filter(|(series, _)| series.split('{').next() == Some(name));
            of_name.map(|(_, value)| value).sum()
        };
        let due = sum("batch_job_next_run_timestamp_seconds") * 10.0;
        let known = [
            "batch_job_runs_total",
            "batch_job_running",
            "metricsjob_queued_runs",
            "metricsjob_missed_runs_total",
        ];
        (due.round(), known.into_iter().map(sum).sum::<f64>())
    };
    let (due, known) = counts();
    for reload in 0..50 {
        if reload % 2 == 0 {
            assert_eq!(server.reload()["problems"], json!([]));
        } else {
            server.signal(Signal::SIGHUP);
        }
        sleep(Duration::from_millis(50));
    }
    let difference = || {
        let (due_now, known_now) = counts();
        (due_now - due) - (known_now - known)
    };
    // What is being skipped is not counted yet.
    eventually(
        &format!("nothing is lost or doubled: {}", difference()),
        || difference() == 0.0,
    );

    for name in &names {
        sandbox.write(&format!("jobs/{name}.toml"), "command = ['true']\n");
    }
    server.reload();
    let patience = Duration::from_secs(120);
    eventually_within(patience, "all is done", || {
        server.own("metricsjob_queued_runs") + server.sum("batch_job_running") == 0.0
    });
    let runs = server.sum("batch_job_runs_total");
    let log = server.end();
    assert_no_errors(&log);
    let history = sandbox.history();
    let ids: BTreeSet<&str> = history.iter().map(id).collect();
    assert_eq!([history.len() as f64, ids.len() as f64], [runs, runs]);
    assert!(runs >= 50.0 * 0.05 * 10.0, "{runs}");
}
