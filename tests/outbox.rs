//! The outbox: what is not delivered is kept, delivered later, in order, and never over newer data.

use crate::common::{FakeServer, Sandbox, TestGateway};

on_each_gateway!(
    a_flush_delivers,
    the_next_push_delivers_too,
    the_newest_counts,
    posts_merge_family_by_family,
    a_put_drops_what_older_posts_brought,
    older_reports_never_overwrite_newer_ones,
    one_that_is_rejected_does_not_hold_up_the_others,
    a_rejected_one_is_not_delivered_over_newer_data,
    values_keep_their_time,
    a_deleted_group_does_not_come_back,
);

fn value(gateway: &TestGateway, series: &str) -> Option<f64> {
    gateway.value("j", series)
}

fn a_flush_delivers(gateway: &TestGateway) {
    gateway.push_down("--job j", "a 1\n");
    gateway.push_down("--job k", "k 1\n");
    let flush = gateway.run("outbox flush");
    flush.code(0).out("delivered 2 reports to ");
    assert_eq!(value(gateway, "a"), Some(1.0));
    assert_eq!(gateway.sandbox.outbox_len(), 0);
    gateway
        .run("outbox flush")
        .code(0)
        .out("nothing to deliver\n");
}

fn the_next_push_delivers_too(gateway: &TestGateway) {
    gateway.push_down("--job j", "a 1\n");
    gateway.push_down("--job j -g l=1", "a 2\n");
    let run = gateway.run("run backup --set duration=0s");
    run.code(0).out(", with 2 older reports\n");
    assert_eq!(value(gateway, "a"), Some(1.0));
    assert_eq!(gateway.sandbox.outbox_len(), 0);
    // The other ways to it.
    gateway.push_down("--job j", "a 3\n");
    gateway.push("--job k", "k 1\n").code(0);
    assert_eq!(value(gateway, "a"), Some(3.0));
    gateway.push_down("--job j", "a 4\n");
    gateway.sandbox.exec("", "true").code(0);
    assert_eq!(value(gateway, "a"), Some(4.0));
}

fn the_newest_counts(gateway: &TestGateway) {
    for value in 1..=3 {
        gateway.push_down("--job j --method put", &format!("a {value}\n"));
    }
    gateway.run("outbox flush").code(0);
    assert_eq!(value(gateway, "a"), Some(3.0));
}

fn posts_merge_family_by_family(gateway: &TestGateway) {
    gateway.push_down("--job j", "a{l=\"1\"} 1\na{l=\"2\"} 1\nb 1\n");
    gateway.push_down("--job j", "a 2\nc 2\n");
    gateway.run("outbox flush").code(0);
    let values = ["a", "b", "c"].map(|series| value(gateway, series));
    assert_eq!(values, [Some(2.0), Some(1.0), Some(2.0)]);
    assert_eq!(value(gateway, "a{l=\"1\"}"), None);
}

fn a_put_drops_what_older_posts_brought(gateway: &TestGateway) {
    gateway.push("--job j", "c 1\n").code(0);
    gateway.push_down("--job j", "a 1\n");
    gateway.push_down("--job j --method put", "b 2\n");
    gateway.push_down("--job j", "a 3\n");
    gateway.run("outbox flush").code(0);
    let values = ["a", "b", "c"].map(|series| value(gateway, series));
    assert_eq!(values, [Some(3.0), Some(2.0), None]);
}

fn older_reports_never_overwrite_newer_ones(gateway: &TestGateway) {
    gateway.push_down("--job j", "a 1\nb 1\n");
    gateway.push("--job j", "a 2\n").code(0);
    assert_eq!(gateway.sandbox.outbox_len(), 0);
    gateway.run("outbox flush").code(0);
    let values = ["a", "b"].map(|series| value(gateway, series));
    assert_eq!(values, [Some(2.0), Some(1.0)]);
}

fn one_that_is_rejected_does_not_hold_up_the_others(gateway: &TestGateway) {
    gateway
        .push("--job other", "# TYPE b counter\nb 1\n")
        .code(0);
    gateway.push_down("--job j", "a 1\n");
    gateway.push_down("--job j", "# TYPE b gauge\nb 2\n");
    gateway.push_down("--job j", "c 3\n");
    let flush = gateway.run("outbox flush");
    flush
        .code(69)
        .out("delivered 2 reports")
        .err("rejected 1 report");
    let values = ["a", "b", "c"].map(|series| value(gateway, series));
    assert_eq!(values, [Some(1.0), None, Some(3.0)]);
    let entries = gateway.sandbox.outbox();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["is_rejected"], true);
    let error = entries[0]["error"].as_str().unwrap();
    assert!(
        error.contains("inconsistent") || error.contains("refused"),
        "{error}"
    );
    // It stays until it is dropped, and is not tried again.
    gateway
        .run("outbox flush")
        .code(0)
        .out("nothing to deliver");
    gateway.push("--job j", "c 4\n").code(0);
    assert_eq!(gateway.sandbox.outbox().len(), 1);
    gateway
        .run("outbox drop --rejected")
        .code(0)
        .out("dropped 1 entry");
    assert_eq!(gateway.sandbox.outbox_len(), 0);
}

fn a_rejected_one_is_not_delivered_over_newer_data(gateway: &TestGateway) {
    gateway
        .push("--job other", "# TYPE a counter\na 1\n")
        .code(0);
    for group in ["-g l=1", "-g l=2"] {
        let pushed = gateway.push(&format!("--job j {group}"), "# TYPE a gauge\na 1\n");
        pushed.code(69);
    }
    gateway.run("delete --job other").code(0);
    gateway
        .push("--job j -g l=1", "# TYPE a gauge\na 2\n")
        .code(0);
    let entries = gateway.sandbox.outbox();
    let overtaken: Vec<_> = entries.iter().map(|entry| &entry["is_overtaken"]).collect();
    assert_eq!(overtaken, [true, false]);
    gateway
        .run("outbox flush --rejected")
        .code(0)
        .out("delivered 1 report to ");
    let a = |l: &str| value(gateway, &format!("a{{l=\"{l}\"}}"));
    assert_eq!((a("1"), a("2")), (Some(2.0), Some(1.0)));
}

fn values_keep_their_time(gateway: &TestGateway) {
    let down = "http://127.0.0.1:1";
    gateway
        .run(&format!("run backup --set duration=0s --gateway {down}"))
        .code(0);
    let completed = gateway.sandbox.history()[0]["completion_timestamp_seconds"].clone();
    gateway.sandbox.redirect_outbox(down, &gateway.name());
    std::thread::sleep(std::time::Duration::from_millis(20));
    gateway.run("outbox flush").code(0);
    let reported = gateway
        .backup("last_completion_timestamp_seconds", "")
        .unwrap();
    // A Pushgateway writes times with fewer digits.
    assert!(
        (reported - completed.as_f64().unwrap()).abs() < 1e-3,
        "{reported} {completed}"
    );
    let pushed = gateway.value("db_backup", "push_time_seconds").unwrap();
    assert!(pushed > reported + 0.01);
}

fn a_deleted_group_does_not_come_back(gateway: &TestGateway) {
    gateway.push_down("--job j", "a 1\n");
    gateway
        .run("delete --job j")
        .code(0)
        .out(", and a report in the outbox for it\n");
    gateway
        .run("outbox flush")
        .code(0)
        .out("nothing to deliver");
    assert_eq!(value(gateway, "a"), None);
}

#[test]
fn list_and_show() {
    let sandbox = Sandbox::new();
    sandbox
        .run("outbox list")
        .code(0)
        .out("the outbox is empty");
    let line = "push --job j -g l=x --method put --gateway http://u:s3cret@127.0.0.1:1";
    sandbox.run_with_input(line, "a 1\n").code(69);
    let list = sandbox.run("outbox list");
    let text = list.code(0).stdout();
    let row = text.lines().nth(1).unwrap();
    for part in [
        "1   http://127.0.0.1:1",
        "l=x",
        "put",
        "waiting",
        "connection refused",
    ] {
        assert!(row.contains(part), "no {part} in {text}");
    }
    assert!(!text.contains("s3cret"));
    let show = sandbox.run("outbox show 1");
    show.code(0)
        .out("PUT http://127.0.0.1:1/metrics/job/j/l/x\n")
        .out("\na 1\n");
    let json = sandbox.run("outbox show 1 --output json").code(0).json();
    assert_eq!(json["families"][0]["name"], "a");
    sandbox
        .run("outbox show 9")
        .code(1)
        .err("the outbox has no entry 9");
}

#[test]
fn drop_is_exact() {
    let sandbox = Sandbox::new();
    sandbox.run("outbox drop 1").code(1).err("no entry 1");
    sandbox
        .run("outbox drop --all")
        .code(0)
        .out("dropped 0 entries");
    for job in ["i", "j", "k"] {
        let line = format!("push --job {job} --gateway 127.0.0.1:1");
        sandbox.run_with_input(&line, "a 1\n").code(69);
    }
    sandbox.run("outbox drop 1 9").code(1).err("no entry 9");
    assert_eq!(sandbox.outbox_len(), 3);
    sandbox
        .run("outbox drop 1 3")
        .code(0)
        .out("dropped 2 entries");
    assert_eq!(sandbox.outbox()[0]["job"], "j");
    sandbox
        .run("outbox drop --rejected")
        .code(0)
        .out("dropped 0 entries");
    sandbox
        .run("outbox drop --all")
        .code(0)
        .out("dropped 1 entry");
    sandbox.run("outbox drop").code(2);
    assert_eq!(sandbox.outbox_len(), 0);
}

/// A job that runs every minute does not fill it while its gateway is down.
#[test]
fn what_is_replaced_is_not_kept() {
    let sandbox = Sandbox::new();
    for _ in 0..3 {
        sandbox
            .exec("--job j --gateway 127.0.0.1:1", "true")
            .code(0);
        sandbox
            .exec("--job j --method put --gateway 127.0.0.1:1", "true")
            .code(0);
    }
    let entries = sandbox.outbox();
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!(entries[0]["id"], 6);
}

#[test]
fn it_is_bounded() {
    let sandbox = Sandbox::new().variable("METRICSJOB_OUTBOX_LIMIT", "2");
    let rejecting = FakeServer::status("400 Bad Request", "no");
    let push = |gateway: &str, job: &str| {
        let line = format!("push --job {job} --gateway {gateway} --push-retry-window 0s");
        sandbox.run_with_input(&line, "a 1\n")
    };
    push(&rejecting.url(), "r").code(69);
    push("127.0.0.1:1", "i").code(69);
    let warning = "the outbox is full: the oldest entry was dropped (raise --outbox-limit";
    // The rejected one goes first, then the oldest.
    push("127.0.0.1:1", "j").code(69).err(warning);
    push("127.0.0.1:1", "k").code(69).err(warning);
    let jobs: Vec<_> = sandbox
        .outbox()
        .iter()
        .map(|entry| entry["job"].clone())
        .collect();
    assert_eq!(jobs, ["j", "k"]);
    sandbox.run("push --job l --outbox-limit 0").code(2);
}

#[test]
fn a_flush_names_its_gateways() {
    let (a, b) = (
        FakeServer::status("200 OK", ""),
        FakeServer::status("200 OK", ""),
    );
    let sandbox = Sandbox::new();
    for (job, server) in [("i", &a), ("j", &b)] {
        let line = format!("push --job {job} --gateway 127.0.0.1:1");
        sandbox.run_with_input(&line, "m 1\n").code(69);
        sandbox.redirect_outbox("http://127.0.0.1:1", &server.url());
    }
    sandbox
        .run(&format!("outbox flush --gateway {}", a.url()))
        .code(0);
    assert_eq!((a.requests().len(), b.requests().len()), (1, 0));
    let flush = sandbox.run("outbox flush --output json").code(0).json();
    assert_eq!(flush[0]["gateway"], b.url());
    assert_eq!(flush[0]["delivered"], 1);
}

/// The head of the queue may be what a gateway cannot take.
#[test]
fn one_group_that_fails_does_not_hold_up_the_others() {
    let server = FakeServer::statuses(&["500 No", "200 OK"]);
    let sandbox = Sandbox::new();
    for job in ["i", "j"] {
        let line = format!("push --job {job} --gateway 127.0.0.1:1");
        sandbox.run_with_input(&line, "m 1\n").code(69);
    }
    sandbox.redirect_outbox("http://127.0.0.1:1", &server.url());
    let flush = sandbox.run("outbox flush --push-retry-window 0s");
    flush
        .code(69)
        .out("delivered 1 report to ")
        .err("error: 1 report still waits for ")
        .err("500");
    assert_eq!(sandbox.outbox()[0]["job"], "i");
}

#[test]
fn a_gateway_that_is_down_is_asked_once() {
    let sandbox = Sandbox::new();
    for job in ["i", "j", "k"] {
        let line = format!("push --job {job} --gateway 127.0.0.1:1 --push-retry-window 0s");
        sandbox.run_with_input(&line, "m 1\n").code(69);
    }
    sandbox
        .run("outbox flush --push-retry-window 0s")
        .code(69)
        .err("3 reports still wait");
    let attempts: Vec<_> = sandbox
        .outbox()
        .iter()
        .map(|entry| entry["attempts"].clone())
        .collect();
    assert_eq!(attempts, [2, 1, 1]);
}

/// The outbox may hold reports for a gateway that a secret is not for.
#[test]
fn secrets_are_for_gateways_that_are_named() {
    let server = FakeServer::status("200 OK", "");
    let sandbox = Sandbox::new().variable("METRICSJOB_BEARER_TOKEN", "s3cret-token");
    sandbox
        .run_with_input("push --job j --gateway 127.0.0.1:1", "m 1\n")
        .code(69);
    sandbox.redirect_outbox("http://127.0.0.1:1", &server.url());
    sandbox
        .run("outbox flush")
        .code(2)
        .err("METRICSJOB_BEARER_TOKEN is for a gateway: name it with --gateway");
    assert!(server.requests().is_empty());
    sandbox
        .run(&format!("outbox flush --gateway {}", server.url()))
        .code(0);
    let header = "authorization: Bearer s3cret-token".to_owned();
    assert!(server.requests()[0].headers.contains(&header));
}

/// Rejected ones count too, and one that its process is about to deliver is not dropped.
#[test]
fn a_gateway_of_an_older_version_does_not_hold_up_the_others() {
    let server = FakeServer::status("200 OK", "");
    let sandbox = Sandbox::new();
    let down = "http://127.0.0.1:1";
    for (job, gateway) in [("a", "http://http/u:s3cret@h"), ("b", &*server.url())] {
        let line = format!("push --job {job} --gateway {down} --push-retry-window 0s");
        sandbox.run_with_input(&line, "m 1\n").code(69);
        sandbox.redirect_outbox(down, gateway);
    }
    let flush = sandbox.run("outbox flush");
    flush
        .code(69)
        .err("warning: gateway \"http://***@h\" has an @");
    assert!(!flush.stderr().contains("s3cret"), "{}", flush.stderr());
    let id = sandbox.outbox()[0]["id"].clone();
    for line in [
        "outbox list".into(),
        "outbox list --output json".into(),
        format!("outbox show {id}"),
        format!("outbox show {id} --output json"),
    ] {
        let shown = sandbox.run(&line);
        let stdout = shown.code(0).stdout();
        assert!(
            stdout.contains("h") && !stdout.contains("s3cret"),
            "{stdout}"
        );
    }
    assert_eq!((server.requests().len(), sandbox.outbox_len()), (1, 1));
}

#[test]
fn what_is_rejected_fills_it_too() {
    let server = FakeServer::status("400 Bad Request", "no");
    let sandbox = Sandbox::new();
    for job in ["i", "j", "k"] {
        let line = format!(
            "push --job {job} --outbox-limit 2 --gateway {}",
            server.url()
        );
        sandbox.run_with_input(&line, "m 1\n").code(69);
    }
    let jobs: Vec<_> = sandbox
        .outbox()
        .iter()
        .map(|entry| entry["job"].clone())
        .collect();
    assert_eq!(jobs, ["j", "k"]);
    // Two gateways, and room for one.
    let sandbox = Sandbox::new();
    let options = "--job l --outbox-limit 1 --gateway 127.0.0.1:1 --gateway 127.0.0.1:2";
    let run = sandbox.exec(options, "true");
    run.code(0).err("the outbox is full");
    assert_eq!(sandbox.outbox_len(), 1);
}

/// A password that is missing is not the report's fault.
#[test]
fn without_the_right_password_reports_wait() {
    let server = FakeServer::statuses(&["401 Unauthorized", "403 Forbidden", "200 OK"]);
    let sandbox = Sandbox::new();
    let push = |job: &str| {
        let line = format!("push --job {job} --gateway {}", server.url());
        sandbox.run_with_input(&line, "m 1\n")
    };
    push("i").code(69).err("401");
    sandbox.run("outbox flush").code(69).err("403");
    assert_eq!(sandbox.outbox()[0]["is_rejected"], false);
    push("j").code(0);
    assert_eq!(sandbox.outbox_len(), 0);
}

/// Whatever a gateway sends as an answer, no more of it is read than an error shows.
#[test]
fn an_answer_without_end() {
    for status in ["200 OK", "400 Bad Request", "500 Internal Server Error"] {
        let server = FakeServer::endless(status);
        let sandbox = Sandbox::new();
        let options = format!("--gateway {} --push-retry-window 0s", server.url());
        let exec = sandbox.exec(&format!("--job j {options}"), "true");
        exec.code(0);
        let flush = sandbox.run(&format!("outbox flush {options}"));
        assert!(flush.stderr().len() < 4000, "{}", flush.stderr());
        // The system takes some more than we read.
        let each = server.sent() / server.requests().len();
        assert!(each < 16 << 20, "{each} bytes of each answer were read");
    }
}
