//! Where `metricsjob serve` sends what it knows: reports of runs to gateways, its own metrics too, and both to its log.

use std::net::TcpListener;

use nix::sys::signal::Signal::SIGTERM;
use serde_json::{Value as Json, json};

use crate::common::own_server::{OwnServer, assert_no_errors, server_command, with_jobs};
use crate::common::{Port, Sandbox, Server, eventually, of_job};

/// With a label that the group of the server's own metrics has too.
const JOB: &str = "\
command = [\"sh\", \"-c\", 'echo \"rows 42\" >>\"$METRICSJOB_METRICS\"']
[grouping]
db = \"customers\"
instance = \"i\"
";

const QUICK: &str = "command = [\"true\"]\n";

const LONG: &str = "command = [\"sleep\", \"600\"]\n";

/// How many reports wait in the outbox. Of those that a gateway needs only once, one may be left.
const WAITING: &str = "metricsjob_outbox_entries{status=\"waiting\"}";

/// Waits until the gateway shows this series with this value.
#[track_caller]
fn shows(gateway: &Server, job: &str, series: &str, value: f64) {
    eventually(&format!("{series} {value} of {job}"), || {
        gateway.value(job, series) == Some(value)
    });
}

fn waiting(server: &OwnServer) -> f64 {
    server.sample(WAITING).unwrap()
}

#[test]
fn reports_arrive_at_the_gateway() {
    let gateway = Server::pushgateway(&[]);
    let option = format!("--gateway={}", gateway.url());
    let sandbox = with_jobs(&[("j", JOB)]);
    let server = OwnServer::start(&sandbox, &option);
    server.run("j");
    let runs = "batch_job_runs_total{db=\"customers\",instance=\"i\",outcome=\"success\"}";
    shows(&gateway, "j", runs, 1.0);
    let rows = "rows{db=\"customers\",instance=\"i\"}";
    shows(&gateway, "j", rows, 42.0);
    server.run_with("j", &json!({ "grouping": { "db": "orders" } }));
    let orders = "batch_job_success{db=\"orders\",instance=\"i\"}";
    shows(&gateway, "j", orders, 1.0);
    server.run("j");
    shows(&gateway, "j", runs, 2.0);
    server.shows(WAITING, 0.0);
    let log = server.log();
    assert_no_errors(&log);
}

#[test]
fn what_a_gateway_missed_comes_when_it_is_back() {
    let port = Port::reserve();
    let option = format!("--gateway=http://{}", port.address());
    let sandbox = with_jobs(&[("a", QUICK), ("b", QUICK)]);
    let server = OwnServer::start(&sandbox, &option);
    for job in ["a", "b", "a"] {
        server.run(job);
    }
    eventually("the reports wait", || waiting(&server) >= 2.0);
    server.logs("reports wait in the outbox");
    let gateway = Server::pushgateway_on(&port);
    // By itself: no run has to bring it.
    let runs = "batch_job_runs_total{outcome=\"success\"}";
    shows(&gateway, "a", runs, 2.0);
    shows(&gateway, "b", runs, 1.0);
    server.shows(WAITING, 0.0);
    server.logs("reports are delivered again");
}

/// Of the gateways one refuses connections, and another takes them and is silent for ever.
#[test]
fn a_gateway_that_is_down_delays_no_other() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_url = format!("http://{}", silent.local_addr().unwrap());
    let closed = Port::reserve();
    let gateway = Server::pushgateway(&[]);
    let urls = [
        silent_url,
        format!("http://{}", closed.address()),
        gateway.url(),
    ];
    let gateways = urls.map(|url| format!("--gateway={url}")).join(" ");
    // Longer than what is waited for here.
    let patience = "--push-deadline=10m --push-timeout=10m";
    let own = "--push-interval=200ms --push-instance=here";
    let sandbox = with_jobs(&[("a", QUICK)]);
    let server = OwnServer::start(&sandbox, &format!("{gateways} {patience} {own}"));
    let runs = "batch_job_runs_total{outcome=\"success\"}";
    let own = "batch_job_runs_total{exported_job=\"a\",instance=\"here\",job_name=\"a\",outcome=\"success\"}";
    for count in 1..=3 {
        server.run("a");
        shows(&gateway, "a", runs, f64::from(count));
        shows(&gateway, "metricsjob", own, f64::from(count));
    }
    assert!(waiting(&server) >= 2.0, "those of two gateways wait");
}

#[test]
fn the_servers_own_metrics_are_pushed() {
    let gateway = Server::pushgateway(&[]);
    let option = format!("--gateway={}", gateway.url());
    let sandbox = with_jobs(&[("j", JOB), ("quick", QUICK)]);
    let mut command = server_command(&sandbox, &format!("{option} --push-interval=1s"));
    command.arg("--push-instance=here or there");
    let server = OwnServer::start_command(command);
    server.run("j");
    server.run("quick");
    let group = "instance=\"here or there\",job=\"metricsjob\"";
    let here = "instance=\"here or there\"";
    let of_quick = format!(
        "batch_job_runs_total{{exported_job=\"quick\",{here},job_name=\"quick\",outcome=\"success\"}}"
    );
    shows(&gateway, "metricsjob", &of_quick, 1.0);
    let rows = format!(
        "rows{{db=\"customers\",exported_instance=\"i\",exported_job=\"j\",{here},job_name=\"j\"}}"
    );
    shows(&gateway, "metricsjob", &rows, 42.0);
    let samples = gateway.samples();
    for start in [
        "metricsjob_build_info{instance=\"here or there\",job=\"metricsjob\",revision=",
        &format!(
            "batch_job_run_duration_seconds_count{{exported_job=\"quick\",{group},job_name=\"quick\"}}"
        ),
        &format!("process_open_fds{{{group}}}"),
        &format!("metricsjob_uptime_seconds{{{group}}}"),
        &format!("system_memory_usage_bytes{{{group}}}"),
        &format!("http_requests_in_flight{{{group}}}"),
        // The reports of the jobs are beside it.
        "batch_job_success{instance=\"\",job=\"quick\"}",
        "rows{db=\"customers\",instance=\"i\",job=\"j\"}",
    ] {
        assert!(
            samples.keys().any(|series| series.starts_with(start)),
            "no {start}: {samples:#?}"
        );
    }
    let failure = format!("push_failure_time_seconds{{{group}}}");
    assert_eq!(samples.get(&failure), Some(&0.0));
    // Again and again.
    let uptime = format!("metricsjob_uptime_seconds{{{group}}}");
    let before = samples[&uptime];
    eventually("it is pushed again", || gateway.samples()[&uptime] > before);
    let log = server.end();
    assert!(!log.contains("could not"), "{log}");
}

#[test]
fn the_last_push_has_all_that_the_end_brought() {
    let gateway = Server::pushgateway(&[]);
    let options = format!(
        "--gateway={} --push-interval=1h --push-instance=here --grace=0s --log-window=1h",
        gateway.url()
    );
    let sandbox = with_jobs(&[("quick", QUICK), ("long", LONG)]);
    let server = OwnServer::start(&sandbox, &options);
    server.run("quick");
    server.ask("long");
    server.shows("batch_job_running{job=\"long\",job_name=\"long\"}", 1.0);
    let own = |series: &str| series.contains("job=\"metricsjob\"");
    assert!(!gateway.samples().keys().any(|series| own(series)));
    let log = server.end();
    let samples = gateway.samples();
    let own = "metricsjob";
    for (job, series, value) in [
        (
            own,
            "batch_job_runs_total{exported_job=\"quick\",instance=\"here\",job_name=\"quick\",outcome=\"success\"}",
            1.0,
        ),
        (
            own,
            "batch_job_runs_total{exported_job=\"long\",instance=\"here\",job_name=\"long\",outcome=\"signal\"}",
            1.0,
        ),
        (
            own,
            "batch_job_running{exported_job=\"long\",instance=\"here\",job_name=\"long\"}",
            0.0,
        ),
        ("long", "batch_job_runs_total{outcome=\"signal\"}", 1.0),
        (
            own,
            "metricsjob_outbox_entries{instance=\"here\",status=\"waiting\"}",
            0.0,
        ),
    ] {
        let found = samples.get(&of_job(job, series));
        assert_eq!(found, Some(&value), "{series}: {samples:#?}\n{log}");
    }
    // So has the last window.
    let windows = windows(&log);
    assert_eq!(windows.len(), 1, "{windows:?}");
    assert!(windows[0].contains(" runs=2 "), "{windows:?}");
}

/// The lines of the log that are windows.
fn windows(log: &str) -> Vec<String> {
    let lines = log.lines();
    lines
        .filter(|line| line.contains("msg=metrics ") || line.contains("\"msg\":\"metrics\""))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_log_has_what_happened_lately() {
    let gateway = Server::pushgateway(&[]);
    let options = format!(
        "--gateway={} --log-window=1h --log.format=json",
        gateway.url()
    );
    let flaky = "retries = 2\nbackoff = \"1ms\"\n\
                 command = [\"sh\", \"-c\", \"echo >>tries; test $(wc -l <tries) -eq 2\"]\n";
    let bad = "command = [\"false\"]\n";
    let count = r#"command = ["sh", "-c", """
        echo '# TYPE rows_total counter' >>"$METRICSJOB_METRICS"
        echo 'rows_total{t="a"} 3' >>"$METRICSJOB_METRICS"
        echo 'rows_total{t="b"} 4' >>"$METRICSJOB_METRICS"
        """]"#;
    let sandbox = with_jobs(&[
        ("quick", QUICK),
        ("flaky", flaky),
        ("bad", bad),
        ("count", count),
    ]);
    let server = OwnServer::start(&sandbox, &options);
    for job in ["quick", "quick", "flaky", "bad", "count"] {
        server.run(job);
    }
    server.shows(WAITING, 0.0);
    let windows = windows(&server.end());
    let [window] = &windows[..] else {
        panic!("{windows:?}")
    };
    let window: Json = serde_json::from_str(window).unwrap();
    assert_eq!(window["level"], "info");
    assert_eq!(window["runs"], 5);
    assert_eq!(window["retries"], 1);
    assert_eq!(window["pushes_sent"], 5);
    assert_eq!(window["pushes_failed"], 0);
    let expected = json!({
        "bad": { "failure": 1 }, "count": { "success": 1 }, "flaky": { "success": 1 },
        "quick": { "success": 2 },
    });
    assert_eq!(window["runs_by_job_and_outcome"], expected);
    // The jobs' own counters, over all of their series and runs.
    assert_eq!(window["counters"], json!({ "count": { "rows_total": 7 } }));
    assert_eq!(window["errors"], json!({ "failure": 1 }));
    let quantiles = ["p50", "p95", "p99"].map(|quantile| {
        let seconds = &window[&format!("run_duration_{quantile}_seconds")];
        seconds.as_f64().unwrap()
    });
    assert!(quantiles[0] > 0.0 && quantiles.is_sorted(), "{quantiles:?}");
    assert!(window["window_seconds"].as_f64().unwrap() >= quantiles[0]);
}

/// A server with these variables, split at blanks, where a job has run.
#[track_caller]
fn after_a_run(options: &str, variables: &str) -> (Sandbox, OwnServer) {
    let mut sandbox = with_jobs(&[("quick", QUICK)]);
    for variable in variables.split_whitespace() {
        let (name, value) = variable.split_once('=').unwrap();
        sandbox = sandbox.variable(name, value);
    }
    let server = OwnServer::start(&sandbox, options);
    server.run("quick");
    (sandbox, server)
}

#[test]
fn windows_follow_each_other() {
    for (options, variables) in [
        ("--log-window=1s", ""),
        ("--log-window=1", "ENABLE_METRICS=false"),
        ("", "METRICS_INTERVAL_SECONDS=1"),
        ("", "METRICS_INTERVAL_SECONDS=0.5 ENABLE_METRICS=yes"),
    ] {
        let (_sandbox, server) = after_a_run(options, variables);
        eventually("three windows", || windows(&server.log()).len() >= 3);
        let windows = windows(&server.log());
        // Each run is in one of them.
        let with_run = windows.iter().filter(|line| line.contains(" runs=1 "));
        assert_eq!(with_run.count(), 1, "{windows:?}");
        let empty = windows.iter().find(|line| line.contains(" runs=0 "));
        let empty = empty.unwrap();
        assert!(!empty.contains("NaN"), "{empty}");
    }
}

#[test]
fn no_windows() {
    for (options, variables) in [
        ("--log-window=0", ""),
        ("--log-window=0s", "METRICS_INTERVAL_SECONDS=1"),
        ("", "METRICS_INTERVAL_SECONDS=0"),
        ("", "METRICS_INTERVAL_SECONDS=1 ENABLE_METRICS=false"),
    ] {
        let (_sandbox, server) = after_a_run(options, variables);
        // There would be one at the end.
        let windows = windows(&server.end());
        assert_eq!(windows, [""; 0], "{options} {variables}");
    }
}

#[test]
fn windows_that_make_no_sense_are_refused() {
    for (flags, name, value) in [
        ("", "METRICS_INTERVAL_SECONDS", "often"),
        ("", "METRICS_INTERVAL_SECONDS", "-1"),
        ("", "METRICS_INTERVAL_SECONDS", "NaN"),
        ("", "ENABLE_METRICS", "maybe"),
        ("--log-window=often", "A", ""),
        ("--log-window=-1", "A", ""),
        ("--push-interval=0s", "A", ""),
    ] {
        let sandbox = Sandbox::new().variable(name, value);
        let line = format!("serve --web.listen-address=127.0.0.1:0 {flags}");
        let refused = sandbox.run(&line);
        refused.code(2);
        let about = if flags.is_empty() { name } else { &flags[..12] };
        refused.err(about);
    }
}

/// A second signal waits for no gateway.
#[test]
fn a_second_signal_ends_it_at_once() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let options = format!(
        "--gateway=http://{} --push-deadline=10m --push-timeout=10m --push-interval=1h --grace=10m",
        silent.local_addr().unwrap()
    );
    let sandbox = with_jobs(&[("quick", QUICK), ("long", LONG)]);
    let server = OwnServer::start(&sandbox, &options);
    server.run("quick");
    server.ask("long");
    server.shows("batch_job_running{job=\"long\",job_name=\"long\"}", 1.0);
    server.signal(SIGTERM);
    server.logs("msg=ending");
    server.signal(SIGTERM);
    let ended = std::thread::spawn(|| server.ended());
    eventually("the server has ended", || ended.is_finished());
    ended.join().unwrap();
    assert_eq!(sandbox.outbox().len(), 2);
}
