//! What metricsjob tells a gateway about its own deliveries.

use crate::common::{FakeServer, Sandbox};

fn sandbox() -> Sandbox {
    Sandbox::new().variable("METRICSJOB_SELF_METRICS", "true")
}

/// The bodies that went to the group of the job `metricsjob`.
fn reports(server: &FakeServer) -> Vec<String> {
    let requests = server.requests().into_iter();
    let own = requests.filter(|request| {
        request
            .line
            .starts_with("PUT /metrics/job/metricsjob/instance/")
    });
    own.map(|request| request.body).collect()
}

#[test]
fn they_follow_the_first_delivery_and_then_one_a_minute() {
    let (server, sandbox) = (FakeServer::status("200 OK", ""), sandbox());
    for _ in 0..3 {
        sandbox
            .exec(&format!("--gateway {}", server.url()), "true")
            .code(0)
            .quiet();
    }
    assert_eq!((server.requests().len(), reports(&server).len()), (4, 1));
    let report = &reports(&server)[0];
    for line in [
        "metricsjob_outbox_entries{status=\"waiting\"} 0\n",
        "metricsjob_push_attempts_total{result=\"delivered\"} 1\n",
        "metricsjob_push_attempts_total{result=\"failed\"} 0\n",
        "metricsjob_push_duration_seconds_count 1\n",
    ] {
        assert!(report.contains(line), "no {line} in {report}");
    }
    // A clock that was put back does not silence them, nor does an hour gone by.
    for shift in ["+", "-"] {
        let database = rusqlite::Connection::open(sandbox.state_db()).unwrap();
        let shift = format!("UPDATE push_stats_reports SET reported_at = reported_at {shift} 3600");
        database.execute(&shift, []).unwrap();
        let before = reports(&server).len();
        sandbox
            .exec(&format!("--gateway {}", server.url()), "true")
            .code(0);
        assert_eq!(reports(&server).len(), before + 1);
    }
}

#[test]
fn after_a_failure_they_come_at_once() {
    let server = FakeServer::statuses(&["200 OK", "200 OK", "503 Later", "200 OK"]);
    let sandbox = sandbox();
    let options = format!("--job j --push-retry-window 0s --gateway {}", server.url());
    sandbox.exec(&options, "true").code(0);
    sandbox.exec(&options, "true").code(0).err("503");
    assert_eq!(reports(&server).len(), 1);
    sandbox.exec(&options, "true").code(0).quiet();
    let report = &reports(&server)[1];
    for line in [
        "metricsjob_outbox_entries{status=\"waiting\"} 0\n",
        "metricsjob_push_attempts_total{result=\"delivered\"} 2\n",
        "metricsjob_push_attempts_total{result=\"failed\"} 1\n",
        "metricsjob_push_duration_seconds_count 3\n",
    ] {
        assert!(report.contains(line), "no {line} in {report}");
    }
}

#[test]
fn without_being_asked_for_they_stay_here() {
    let server = FakeServer::status("200 OK", "");
    let options = format!("--gateway {}", server.url());
    Sandbox::new().exec(&options, "true").code(0);
    let line = format!("push --job j {options}");
    Sandbox::new().run_with_input(&line, "a 1\n").code(0);
    assert_eq!(server.requests().len(), 2);
    let off = format!("--self-metrics=false {options}");
    sandbox().exec(&off, "true").code(0);
    assert_eq!(server.requests().len(), 3);
    Sandbox::new()
        .exec(&format!("--self-metrics {options}"), "true")
        .code(0);
    assert_eq!(server.requests().len(), 5);
}

/// Whoever may push nothing but its own group is not bothered.
#[test]
fn nobody_is_told_when_they_are_refused() {
    let server = FakeServer::statuses(&["200 OK", "403 Forbidden"]);
    let sandbox = sandbox();
    sandbox
        .exec(&format!("--gateway {}", server.url()), "true")
        .code(0)
        .quiet();
    assert_eq!((server.requests().len(), sandbox.outbox_len()), (2, 0));
}

#[test]
fn the_embedded_gateway_gets_none() {
    let sandbox = sandbox();
    sandbox.exec("--job j", "true").code(0);
    assert!(
        sandbox
            .samples()
            .keys()
            .all(|series| !series.contains("metricsjob"))
    );
}

#[cfg(feature = "real-servers")]
#[test]
fn a_pushgateway_shows_them() {
    use crate::common::Server;

    let server = Server::pushgateway(&[]);
    sandbox()
        .exec(&format!("--gateway {}", server.url()), "true")
        .code(0);
    let page = server.get("/metrics");
    assert!(page.contains("metricsjob_push_attempts_total{"), "{page}");
    assert!(
        page.contains("job=\"metricsjob\",result=\"delivered\",user=\""),
        "{page}"
    );
    assert!(!page.contains("state_dir"), "{page}");
}
