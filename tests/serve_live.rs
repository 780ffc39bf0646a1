//! What `/metrics` of `metricsjob serve` shows of a run while it goes on.

use serde_json::json;

use crate::common::own_server::{GATE, OwnServer, close, job, open};
use crate::common::{Sandbox, US, eventually};

/// A script that waits until there is a file of this name.
fn until(file: &str) -> String {
    format!("until [ -e {file} ]; do sleep 0.02; done\n")
}

/// Does as with [`until`].
fn go(sandbox: &Sandbox, file: &str) {
    sandbox.write(file, "");
}

#[track_caller]
fn none(server: &OwnServer, series: &str) {
    assert_eq!(server.sample(series), None, "{series}");
}

/// Each way to report metrics; the report at the end has the same.
#[test]
fn a_running_job_shows_what_it_has_reported() {
    let sandbox = Sandbox::new();
    close(&sandbox);
    let script = format!(
        "echo \"orders=1\"; {US} metric inc events_total 2 -l region=eu; echo 'rows{{table=\"a\"}} 3' >>$METRICSJOB_METRICS
        {}echo orders=2; {US} metric inc events_total 3 -l region=eu
        {}{GATE}",
        until("second"),
        until("third")
    );
    let rules = "[[metric]]\nname = 'orders'\ntype = 'gauge'\npattern = 'orders=(\\d+)'\n\
                 [[metric]]\nname = 'lines_total'\ntype = 'counter'\npattern = 'orders'\n";
    job(&sandbox, "live", "grouping = { db = 'x' }", &script);
    let file = sandbox.path().join("jobs/live.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}{rules}")).unwrap();
    let server = OwnServer::start(&sandbox, "");
    none(&server, r#"orders{db="x",job="live",job_name="live"}"#);
    let id = server.ask("live");
    let shows = |orders, events, lines| {
        server.shows(r#"orders{db="x",job="live",job_name="live"}"#, orders);
        server.shows(
            r#"events_total{db="x",job="live",job_name="live",region="eu"}"#,
            events,
        );
        server.shows(r#"lines_total{db="x",job="live",job_name="live"}"#, lines);
        server.shows(r#"rows{db="x",job="live",job_name="live",table="a"}"#, 3.0);
    };
    shows(1.0, 2.0, 1.0);
    assert_eq!(
        server.sample(r#"batch_job_running{db="x",job="live",job_name="live"}"#),
        Some(1.0)
    );
    // The runner's own metrics come with the end.
    none(
        &server,
        r#"batch_job_success{db="x",job="live",job_name="live"}"#,
    );
    go(&sandbox, "second");
    shows(2.0, 5.0, 2.0);
    let families = server.metrics();
    assert_eq!(families.matches("# TYPE events_total counter").count(), 1);
    go(&sandbox, "third");
    open(&sandbox);
    server.run_once(&id, "finished");
    shows(2.0, 5.0, 2.0);
    assert_eq!(
        server.sample(r#"batch_job_success{db="x",job="live",job_name="live"}"#),
        Some(1.0)
    );
}

/// Until a run reports a metric, the last run's stays, also where the job's method is PUT.
#[test]
fn the_last_run_stays_until_the_next_reports() {
    let sandbox = Sandbox::new();
    let script = format!(
        "n=$(cat n); {}{US} metric set a $n; {}{US} metric inc b_total $n; {}",
        until("begin"),
        until("middle"),
        until("end")
    );
    sandbox.write("n", "7");
    job(&sandbox, "live", "method = 'put'", &script);
    let files = ["begin", "middle", "end"];
    for file in files {
        go(&sandbox, file);
    }
    let server = OwnServer::start(&sandbox, "");
    server.run("live");
    let values = || {
        [
            r#"a{job="live",job_name="live"}"#,
            r#"b_total{job="live",job_name="live"}"#,
        ]
        .map(|s| server.sample(s))
    };
    assert_eq!(values(), [Some(7.0); 2]);

    for file in files {
        std::fs::remove_file(sandbox.path().join(file)).unwrap();
    }
    sandbox.write("n", "3");
    let id = server.ask("live");
    server.run_once(&id, "running");
    assert_eq!(values(), [Some(7.0); 2]);
    go(&sandbox, "begin");
    server.shows(r#"a{job="live",job_name="live"}"#, 3.0);
    assert_eq!(values(), [Some(3.0), Some(7.0)]);
    go(&sandbox, "middle");
    server.shows(r#"b_total{job="live",job_name="live"}"#, 3.0);
    go(&sandbox, "end");
    server.run_once(&id, "finished");
    assert_eq!(values(), [Some(3.0); 2]);
}

/// A counter that goes on over runs never falls: neither when a run begins, nor when one of several ends.
#[test]
fn cumulative_counters_never_fall() {
    let sandbox = Sandbox::new();
    let script =
        "n=$METRICSJOB_RUN_ID; echo done=1; until [ -e more.$n ]; do sleep 0.02; done; echo done=10
        until [ -e end.$n ]; do sleep 0.02; done";
    let rules = "overlap = 'allow'\n";
    job(&sandbox, "live", rules, script);
    let file = sandbox.path().join("jobs/live.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let rule = "[[metric]]\nname = 'done_total'\ntype = 'counter'\ncumulative = true\npattern = 'done=(\\d+)'\n";
    std::fs::write(&file, format!("{text}{rule}")).unwrap();
    let series = r#"done_total{job="live",job_name="live"}"#;
    let end = |id: &str| {
        go(&sandbox, &format!("more.{id}"));
        go(&sandbox, &format!("end.{id}"));
    };
    let server = OwnServer::start(&sandbox, "");
    let first = server.ask("live");
    end(&first);
    server.run_once(&first, "finished");
    server.shows(series, 11.0);

    let [a, b] = [server.ask("live"), server.ask("live")];
    server.shows(series, 13.0);
    go(&sandbox, &format!("more.{a}"));
    server.shows(series, 23.0);
    end(&b);
    server.run_once(&b, "finished");
    server.shows(series, 33.0);
    end(&a);
    server.run_once(&a, "finished");
    assert_eq!(server.sample(series), Some(33.0));

    // A server that is started anew goes on from there.
    server.end();
    let server = OwnServer::start(&sandbox, "");
    assert_eq!(server.sample(series), Some(33.0));
    let id = server.ask("live");
    server.shows(series, 34.0);
    end(&id);
    server.run_once(&id, "finished");
    assert_eq!(server.sample(series), Some(44.0));
}

/// Of several runs at once the one that began last is shown, and no older one after its end.
#[test]
fn of_overlapping_runs_the_newest_is_shown() {
    let sandbox = Sandbox::new();
    let script = "n=$METRICSJOB_RUN_ID; until [ -e set.$n ]; do sleep 0.02; done
        cat set.$n >>$METRICSJOB_METRICS; until [ -e end.$n ]; do sleep 0.02; done";
    job(&sandbox, "live", "overlap = 'allow'", script);
    let server = OwnServer::start(&sandbox, "");
    let series = r#"n{job="live",job_name="live"}"#;
    let set = |id: &str, value: u32| {
        sandbox.write("value", format!("n {value}\n"));
        let path = |name: &str| sandbox.path().join(name);
        std::fs::rename(path("value"), path(&format!("set.{id}"))).unwrap();
    };
    let first = server.ask("live");
    set(&first, 1);
    server.shows(series, 1.0);
    let second = server.ask("live");
    server.run_once(&second, "running");
    assert_eq!(server.sample(series), Some(1.0));
    set(&second, 2);
    server.shows(series, 2.0);
    go(&sandbox, &format!("end.{second}"));
    server.run_once(&second, "finished");
    assert_eq!(server.sample(series), Some(2.0));
    go(&sandbox, &format!("end.{first}"));
    server.run_once(&first, "finished");
    server.shows(series, 1.0);
}

/// Looking at a run changes nothing about its report: a file that it writes anew counts as it is at the end.
#[test]
fn the_report_is_what_is_there_at_the_end() {
    let sandbox = Sandbox::new();
    let script = format!(
        "echo 'a 1' >$METRICSJOB_METRICS; {}echo 'b 2' >$METRICSJOB_METRICS",
        until("second")
    );
    job(&sandbox, "live", "", &script);
    let server = OwnServer::start(&sandbox, "");
    let id = server.ask("live");
    server.shows(r#"a{job="live",job_name="live"}"#, 1.0);
    go(&sandbox, "second");
    server.run_once(&id, "finished");
    server.shows(r#"b{job="live",job_name="live"}"#, 2.0);
    none(&server, r#"a{job="live",job_name="live"}"#);
}

/// What no gateway would take of a running job is not shown either, nor what the runner says of the last run replaced.
#[test]
fn what_the_job_must_not_report_is_left_out() {
    let sandbox = Sandbox::new();
    close(&sandbox);
    let script = format!(
        "printf 'batch_job_success 0\nbatch_job_runs_total 9\ngood 1\nx{{job=\"a\"}} 1\n' >>$METRICSJOB_METRICS
        {GATE}"
    );
    job(&sandbox, "live", "", &script);
    open(&sandbox);
    let server = OwnServer::start(&sandbox, "");
    server.run("live");
    close(&sandbox);
    let id = server.ask("live");
    server.shows(r#"good{job="live",job_name="live"}"#, 1.0);
    assert_eq!(
        server.sample(r#"batch_job_success{job="live",job_name="live"}"#),
        Some(1.0)
    );
    assert!(!server.metrics().contains("\nx{"), "{}", server.metrics());
    open(&sandbox);
    server.run_once(&id, "finished");
    assert_eq!(server.runs("live", "success"), 2.0);
}

/// A built-in shows how far it is too, under the grouping key that the request asks for.
#[test]
fn a_built_in_shows_what_it_has_counted() {
    let sandbox = Sandbox::new();
    let params = "params = { iterations = 100000, interval = '1ms' }";
    let lines = format!("builtin = 'random'\nprefix = 'batch'\n{params}\n");
    sandbox.write("jobs/live.toml", lines);
    let server = OwnServer::start(&sandbox, "--grace=0s");
    server.ask_with("live", &json!({ "grouping": { "db": "y" } }));
    let series = r#"batch_count_total{db="y",job="live",job_name="live"}"#;
    let mut last = 0.0;
    for step in 1..=3 {
        eventually("it counts", || {
            let now = server.sample(series).unwrap_or_default();
            let has_risen = now > last;
            last = now;
            has_risen
        });
        assert!(last >= f64::from(step));
    }
    server.end();
}
