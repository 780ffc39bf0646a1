//! Our own secrets, where a job writes them: in nothing that is kept or shown.

use std::fs;

use crate::common::own_server::{OwnServer, job};
use crate::common::{FakeServer, Sandbox};

const TOKEN: &str = "s3cret-t0ken";
const PASSWORD: &str = "pa55-w0rd";

#[track_caller]
fn hides(what: &str, text: &str) {
    for secret in [TOKEN, PASSWORD] {
        assert!(!text.contains(secret), "{what} shows {secret}:\n{text}");
    }
}

#[track_caller]
fn state_hides(sandbox: &Sandbox) {
    let dir = sandbox.state_db().parent().unwrap().to_owned();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            hides(
                "the state",
                &String::from_utf8_lossy(&fs::read(path).unwrap()),
            );
        }
    }
}

/// Their environment is what it was, and what they write to our streams too; the rest shows nothing.
#[test]
fn exec_and_run() {
    let server = FakeServer::status("200 OK", "");
    let url = format!("http://u:{PASSWORD}@{}", server.address());
    let sandbox = Sandbox::new()
        .variable("METRICSJOB_BEARER_TOKEN", TOKEN)
        .variable("METRICSJOB_GATEWAY", &url);
    let script = "\
        env | grep METRICSJOB_ >&2
        printf '%065530d%s\\n' 0 $METRICSJOB_BEARER_TOKEN >&2
        echo \"m{l=\\\"$METRICSJOB_BEARER_TOKEN\\\"} 7\" >> $METRICSJOB_METRICS
        echo \"# HELP m $METRICSJOB_GATEWAY\" >> $METRICSJOB_METRICS
        echo \"bad $METRICSJOB_BEARER_TOKEN\" >> $METRICSJOB_METRICS
        exit 3";
    let run = sandbox.exec("--job j --tail 9 --output json", script);
    run.code(3);
    let result = run.result_line();
    hides("the result", &result);
    for kept in [
        "METRICSJOB_BEARER_TOKEN=***",
        "METRICSJOB_GATEWAY=http://u:***@",
    ] {
        assert!(result.contains(kept), "{result}");
    }
    for passed_on in [format!("TOKEN={TOKEN}"), format!("GATEWAY={url}")] {
        run.err(&passed_on);
    }
    let warnings = run
        .stderr()
        .lines()
        .filter(|line| line.starts_with("warning"))
        .collect::<String>();
    assert!(warnings.contains("***"), "{warnings}");
    hides("a warning", &warnings);
    let history = sandbox.run("history --output json").stdout();
    assert!(history.contains("TOKEN=***"), "{history}");
    hides("the history", &history);
    hides("the report", &server.requests()[0].body);
    state_hides(&sandbox);
}

#[test]
fn one_that_is_too_short_stays() {
    let sandbox = Sandbox::new().variable("METRICSJOB_BASIC_AUTH", "me:abc");
    let run = sandbox.exec("--job j --tail 9 --output json", "echo abcdef >&2; exit 3");
    let tail = run.code(3).result()["tail"].to_string();
    assert!(tail.contains("abcdef"), "{tail}");
}

#[test]
fn serve_hands_them_to_no_job() {
    let server = FakeServer::status("200 OK", "");
    let url = format!("http://u:{PASSWORD}@{} embedded", server.address());
    let sandbox = Sandbox::new()
        .variable("METRICSJOB_BASIC_AUTH", format!("me:{TOKEN}"))
        .variable("METRICSJOB_GATEWAY", &url);
    job(&sandbox, "env", "", "env > environment");
    job(
        &sandbox,
        "own",
        "env = { METRICSJOB_BASIC_AUTH = \"me:other\" }",
        "env > own",
    );
    // In no command, which the API shows as it is written.
    sandbox.write("secrets", format!("one {TOKEN}, other {PASSWORD}\n"));
    job(
        &sandbox,
        "writes",
        "",
        "cat secrets; cat secrets >&2; exit 3",
    );
    let served = OwnServer::start(&sandbox, "");
    for name in ["env", "own", "writes"] {
        served.run(name);
    }
    let read = |name: &str| fs::read_to_string(sandbox.path().join(name)).unwrap();
    let environment = read("environment");
    hides("the environment", &environment);
    assert!(
        !environment.contains("METRICSJOB_BASIC_AUTH"),
        "{environment}"
    );
    let gateway = format!("METRICSJOB_GATEWAY=http://{} embedded\n", server.address());
    assert!(environment.contains(&gateway), "{environment}");
    assert!(read("own").contains("METRICSJOB_BASIC_AUTH=me:other\n"));
    for path in ["/api/v1/jobs", "/api/v1/runs?job=writes", "/", "/metrics"] {
        let answer = served.get(path);
        hides(path, &answer.body);
    }
    let page = served.get("/").body;
    assert!(page.contains("one ***, other ***"), "{page}");
    let log = served.end();
    let lines = log.matches("one ***, other ***").count();
    assert_eq!(lines, 2, "{log}");
    hides("the log", &log);
    state_hides(&sandbox);
}

/// Each password in a list is one, also where another gateway is used.
#[test]
fn of_gateways_with_commas_between_them() {
    let gateways = "http://u:hunter1111@127.0.0.1:1,http://u:hunter2222@127.0.0.1:1";
    let sandbox = Sandbox::new().variable("METRICSJOB_GATEWAY", gateways);
    let script = "echo hunter1111 hunter2222 >&2";
    sandbox.exec("--gateway embedded --tail 1", script).code(0);
    assert_eq!(sandbox.history()[0]["tail"][0], "*** ***");
}
