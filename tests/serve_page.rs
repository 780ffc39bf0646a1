//! The page of `serve` in a browser: running a job, keeping up, the keyboard, narrow screens, dark mode.

use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use nix::sys::signal::Signal;

use metricsjob::serve::page::{self, Failure, JobView, Page, RunView};
use metricsjob_web::page::{List, Query};

use crate::common::own_server::{OwnServer, with_jobs};
use crate::common::{Chromium, FakeServer, Sandbox};
use crate::gateway_page::has_contrast;

const NOW: u64 = 1_790_000_000;

pub fn run(outcome: &str, exit_code: u8, duration: f64) -> RunView {
    RunView {
        id: "r0".into(),
        outcome: outcome.into(),
        exit_code,
        started_at: NOW as f64 - 150.0,
        duration,
    }
}

pub fn job(name: &str, last: RunView) -> JobView {
    JobView {
        name: name.into(),
        description: format!("What {name} is for"),
        what: "/opt/bin/do-it --now".into(),
        schedule: Some("*/5 * * * *".into()),
        next_run: Some(NOW as f64 + 270.0),
        recent: vec![last.clone()],
        last: Some(last),
        can_start: true,
        ..JobView::default()
    }
}

pub fn failed(name: &str, tail: &str) -> JobView {
    let run = run("failure", 3, 1.5);
    JobView {
        last_failure: Some(Failure {
            run: run.clone(),
            failure: None,
            tail: vec![tail.into()],
        }),
        ..job(name, run)
    }
}

/// What the server has, and how it answers.
pub struct Content {
    jobs: Vec<JobView>,
    now: u64,
    /// To what begins a run.
    start: (&'static str, &'static str),
    /// To what asks for a run.
    run: (&'static str, &'static str),
    /// To what asks for the page.
    page: &'static str,
}

const STARTED: (&str, &str) = ("202 Accepted", r#"{"run_id":"r 1"}"#);

/// Serves the page with these jobs.
pub fn serve(jobs: Vec<JobView>) -> (FakeServer, Arc<Mutex<Content>>) {
    let content = Arc::new(Mutex::new(Content {
        jobs,
        now: NOW,
        start: STARTED,
        run: ("200 OK", r#"{"status":"queued"}"#),
        page: "200 OK",
    }));
    let shared = Arc::clone(&content);
    let server = FakeServer::responding(move |request| {
        let content = shared.lock().unwrap();
        let json = |(status, body): (&'static str, &'static str)| {
            (status, "application/json", body.to_owned())
        };
        let (status, kind, body) = match request.line.split(' ').collect::<Vec<_>>()[..] {
            ["GET", "/", _] => (content.page, "text/html; charset=utf-8", render(&content)),
            ["GET", "/static/page.css", _] => ("200 OK", "text/css", page::style()),
            ["GET", "/static/page.js", _] => ("200 OK", "text/javascript", page::script()),
            ["GET", "/static/icon.svg", _] => ("200 OK", "image/svg+xml", page::ICON.to_owned()),
            ["POST", ..] => json(content.start),
            ["GET", path, _] if path.starts_with("/api/v1/runs/") => json(content.run),
            _ => ("404 Not Found", "text/plain", String::new()),
        };
        let (length, policy) = (body.len(), page::CONTENT_SECURITY_POLICY);
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
             Content-Security-Policy: {policy}\r\nX-Content-Type-Options: nosniff\r\n\
             Cache-Control: no-store\r\nConnection: close\r\n\r\n{body}"
        )
    });
    (server, content)
}

fn render(content: &Content) -> String {
    let count = content.jobs.len();
    Page {
        jobs: &content.jobs,
        list: List::new(&page::WORDS, &Query::default(), count, count, ""),
        failed: content.jobs.iter().filter(|job| job.last_failed()).count(),
        running: content
            .jobs
            .iter()
            .filter(|job| job.running.is_some())
            .count(),
        now: UNIX_EPOCH + Duration::from_secs(content.now),
        can_start: true,
        is_ending: false,
        problems: &["jobs/broken.toml:1:1: what is wrong".into()],
        status: &[("version", "1".into())],
    }
    .render()
}

/// What has come at the server, but for the page and its files.
fn calls(server: &FakeServer) -> Vec<String> {
    let lines = server.requests().into_iter().map(|request| request.line);
    lines.filter(|line| line.contains("/api/")).collect()
}

const START: &str = "document.querySelector('[data-start]').click()";

fn said(text: &str) -> String {
    format!("document.querySelector('#said').textContent.includes('{text}')")
}

#[test]
fn a_run_is_begun_and_followed() {
    let (server, content) = serve(vec![job("back up/ü", run("success", 0, 2.0))]);
    let mut browser = Chromium::start();
    browser.open(&server.url());
    browser.evaluate(START);
    browser.wait_for(&said("back up/ü: queued"));
    content.lock().unwrap().run.1 = r#"{"status":"running"}"#;
    browser.wait_for(&said("back up/ü: running"));
    {
        let mut content = content.lock().unwrap();
        content.run.1 = r#"{"status":"finished","outcome":"failure"}"#;
        content.jobs[0] = failed("back up/ü", "no space left");
    }
    browser.wait_for(&said("back up/ü: failure"));
    browser.wait_for(
        "document.querySelector('.job .state').textContent == 'Failure (exit code 3)'
         && document.querySelector('pre').textContent == 'no space left'",
    );
    let calls = calls(&server);
    assert_eq!(
        calls[0],
        "POST /api/v1/jobs/back%20up%2F%C3%BC/runs HTTP/1.1"
    );
    assert_eq!(calls[1], "GET /api/v1/runs/r%201 HTTP/1.1");
    let mut requests = server.requests().into_iter();
    let start = requests.find(|request| request.line.starts_with("POST"));
    let start = start.unwrap();
    assert_eq!(start.body, "{}");
    let kind = "content-type: application/json".to_owned();
    assert!(start.headers.contains(&kind), "{:?}", start.headers);
    assert_eq!(browser.problems(), [""; 0]);
}

#[test]
fn a_run_that_is_refused_says_why() {
    let (server, content) = serve(vec![job("backup", run("success", 0, 2.0))]);
    let mut browser = Chromium::start();
    browser.open(&server.url());
    for (status, body, reason) in [
        (
            "409 Conflict",
            r#"{"error":"too many wait"}"#,
            "too many wait",
        ),
        ("403 Forbidden", r#"{"error":"<b>no"}"#, "<b>no"),
        ("400 Bad Request", "not JSON", "the server refused (400)"),
        ("401 Unauthorized", "", "log in (401)"),
        (
            "302 Found\r\nLocation: /elsewhere",
            "",
            "could not be reached",
        ),
        ("202 Accepted", "{}", "the server refused (202)"),
    ] {
        content.lock().unwrap().start = (status, body);
        browser.evaluate(START);
        browser.wait_for(&said(reason));
    }
    browser.evaluate("document.querySelector('[data-close]').click()");
    assert_eq!(
        browser.evaluate("document.querySelector('#said').textContent"),
        ""
    );
}

#[test]
fn what_is_new_comes_without_disturbing() {
    let (server, content) = serve(vec![
        failed("a", "first\nsecond"),
        job("b", run("success", 0, 2.0)),
    ]);
    let mut browser = Chromium::start();
    browser.open(&server.url());
    browser.evaluate(
        "document.querySelector('.failure').open = true;
         document.querySelectorAll('[data-start]')[1].focus();
         getSelection().selectAllChildren(document.querySelectorAll('.description')[1]);
         window.before = document.querySelectorAll('.job')[1]",
    );
    {
        let mut content = content.lock().unwrap();
        content.jobs[0].last = Some(run("timeout", 124, 9.0));
        content.jobs[1].running = Some(NOW as f64 - 30.0);
        content.jobs[1].queued = 2;
        content.jobs[1].last = Some(run("skipped", 0, 0.0));
        let new = job("aa", run("success", 0, 1.0));
        content.jobs.insert(1, new);
        content.now += 150;
    }
    browser.wait_for("document.querySelectorAll('.job').length == 3");
    let state = "[...document.querySelectorAll('.job .state')].map(state => state.textContent)";
    assert_eq!(
        browser.evaluate(state),
        serde_json::json!(["Timeout", "Success", "Running 2 queued Success Skipped"])
    );
    assert_eq!(
        browser.evaluate(
            "[document.querySelector('.failure').open,
              document.activeElement === document.querySelectorAll('[data-start]')[2],
              getSelection().toString(),
              window.before === document.querySelectorAll('.job')[2],
              document.querySelector('h2.summary data').textContent]"
        ),
        serde_json::json!([true, true, "What b is for", true, "3"])
    );
    // Times that came later count too.
    let next = "document.querySelectorAll('time[data-due]')[1].textContent";
    browser.wait_for(&format!("{next}.startsWith('in 11')"));
    content.lock().unwrap().jobs.remove(0);
    browser.wait_for("document.querySelectorAll('.job').length == 2");
    assert_eq!(
        browser.evaluate("document.querySelectorAll('.failure').length"),
        0
    );
    assert_eq!(browser.problems(), [""; 0]);
}

#[test]
fn a_server_that_is_gone_is_told_of() {
    let (server, content) = serve(vec![job("backup", run("success", 0, 2.0))]);
    let mut browser = Chromium::start();
    browser.open(&server.url());
    let lost =
        |text: &str| format!("document.querySelector('#lost').textContent.includes('{text}')");
    content.lock().unwrap().page = "503 Service Unavailable";
    browser.wait_for(&lost("(503)"));
    content.lock().unwrap().page = "401 Unauthorized";
    browser.wait_for(&lost("log in (401)"));
    assert_eq!(
        browser.evaluate("document.querySelectorAll('.job').length"),
        1
    );
    content.lock().unwrap().page = "200 OK";
    browser.wait_for("document.querySelector('#lost').textContent == ''");
}

#[test]
fn the_keyboard_suffices_and_the_focus_stays() {
    let (server, _) = serve(vec![failed("backup", "no space left")]);
    let mut browser = Chromium::start();
    browser.open(&server.url());
    let focused = |browser: &mut Chromium| browser.evaluate("document.activeElement.textContent");
    let reach = |browser: &mut Chromium, text: &str| {
        for _ in 0..12 {
            browser.press("Tab");
            if focused(browser).as_str().unwrap().starts_with(text) {
                return;
            }
        }
        panic!("{text} is not reached, but {}", focused(browser));
    };
    reach(&mut browser, "Run now");
    browser.press("Enter");
    browser.wait_for(&said("backup: queued"));
    assert_eq!(focused(&mut browser), "Run now");
    reach(&mut browser, "Last failure");
    browser.press("Enter");
    assert_eq!(
        browser.evaluate("document.querySelector('.failure').open"),
        true
    );
    reach(&mut browser, "no space left");
    reach(&mut browser, "Close");
    browser.press("Enter");
    assert_eq!(focused(&mut browser), "Run now");
}

#[test]
fn narrow_screens_scroll_in_one_direction() {
    let long = "x".repeat(500);
    let mut wide = failed(&long, &long);
    wide.description = long.clone();
    wide.what = format!("{} {long}", "w".repeat(90));
    wide.schedule = Some(long.clone());
    wide.timezone = Some(long.clone());
    wide.is_demo = true;
    wide.running = Some(NOW as f64);
    wide.queued = 1_000_000;
    wide.recent = vec![run("failure", 1, f64::MAX); 30];
    let (server, _) = serve(vec![wide]);
    let mut browser = Chromium::start();
    for width in [320, 360] {
        browser.resize(width, 800);
        browser.open(&server.url());
        browser.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)");
        let hidden = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
        assert_eq!(browser.evaluate(hidden), 0);
        browser.evaluate(START);
        browser.wait_for(&said(": queued"));
        assert_eq!(browser.evaluate(hidden), 0);
    }
    assert_eq!(browser.problems(), [""; 0]);
}

#[test]
fn text_has_contrast_in_light_and_dark() {
    let mut running = job("running", run("success", 0, 2.0));
    running.running = Some(NOW as f64);
    running.queued = 1;
    running.is_demo = true;
    let mut skipped = job("skipped", run("skipped", 0, 0.0));
    skipped.timezone = Some("Europe/Berlin".into());
    let (server, _) = serve(vec![failed("failed", "no space left"), running, skipped]);
    let mut browser = Chromium::start();
    has_contrast(&mut browser, &server.url(), |browser| {
        browser.evaluate(START);
        browser.wait_for(&said("failed: queued"));
    });
}

#[test]
fn nothing_moves_for_those_who_do_not_want_it() {
    let mut running = job("running", run("success", 0, 2.0));
    running.running = Some(NOW as f64);
    let (server, _) = serve(vec![running]);
    let mut browser = Chromium::start();
    let mut animations = Vec::new();
    for wish in ["no-preference", "reduce"] {
        browser.prefer("prefers-reduced-motion", wish);
        browser.open(&server.url());
        animations.push(browser.evaluate("document.getAnimations().length"));
    }
    assert_eq!(animations, [1, 0]);
}

#[test]
fn the_real_server_lists_and_runs_jobs() {
    let sandbox = with_jobs(&[
        (
            "good",
            "description = \"Does well\"\ncommand = [\"sleep\", \"0.2\"]\n",
        ),
        (
            "bad",
            "tail = 5\ncommand = [\"sh\", \"-c\", \"echo '<b>no space' >&2; exit 3\"]\n",
        ),
    ]);
    let server = OwnServer::start(&sandbox, "");
    let mut browser = Chromium::start();
    browser.open(&format!("{}/", server.url()));
    assert_eq!(browser.evaluate(SHOWN), "bad good");
    let card = |name: &str| format!("document.querySelector('.job[data-key={name}]')");
    for (name, state) in [("good", "Success"), ("bad", "Failure (exit code 3)")] {
        let card = card(name);
        browser.evaluate(&format!("{card}.querySelector('[data-start]').click()"));
        browser.wait_for(&format!(
            "{card}.querySelector('.state').textContent == '{state}'"
        ));
        browser.wait_for(&format!("{card}.querySelectorAll('rect').length == 1"));
    }
    browser.wait_for(&said("bad: failure"));
    assert_eq!(
        browser.evaluate(&format!("{}.querySelector('pre').textContent", card("bad"))),
        "<b>no space"
    );
    let count = "document.querySelectorAll('.job').length";
    for (query, jobs) in [("?failed=1", 1), ("?search=does+WELL", 1), ("?page=9", 2)] {
        browser.open(&format!("{}/{query}", server.url()));
        assert_eq!(browser.evaluate(count), jobs, "{query}");
    }
    assert_eq!(browser.problems(), [""; 0]);
}

/// The names of the jobs that the page shows.
const SHOWN: &str =
    "[...document.querySelectorAll('.job h3')].map(name => name.textContent).join(' ')";

#[test]
fn jobs_that_no_file_names_are_not_shown() {
    let sandbox = with_jobs(&[
        ("quick", "command = [\"true\"]\n"),
        ("random", "builtin = \"random\"\n"),
    ]);
    let server = OwnServer::start(&sandbox, "");
    let mut browser = Chromium::start();
    browser.open(&format!("{}/", server.url()));
    assert_eq!(browser.evaluate(SHOWN), "quick random");
    assert_eq!(
        browser.evaluate("document.querySelector('h2.summary').innerText"),
        "2 jobs"
    );
    // The API has them.
    let jobs = server.get("/api/v1/jobs").body;
    assert!(jobs.contains("\"backup\""), "{jobs}");

    let server = OwnServer::start(&Sandbox::new(), "--demo");
    browser.open(&format!("{}/", server.url()));
    let shown = browser.evaluate(SHOWN);
    let shown = shown.as_str().unwrap();
    assert!(
        shown.starts_with("demo-") && !shown.contains("backup"),
        "{shown}"
    );
}

#[test]
fn other_machines_may_look_and_not_start() {
    let sandbox = with_jobs(&[("quick", "command = [\"true\"]\n")]);
    let mut browser = Chromium::start();
    for (options, may) in [
        ("--web.listen-address=0.0.0.0:0", false),
        (
            "--web.listen-address=0.0.0.0:0 --web.enable-lifecycle",
            true,
        ),
        ("", true),
    ] {
        let server = OwnServer::start(&sandbox, options);
        let origin = server.url();
        browser.open(&format!("{origin}/"));
        assert_eq!(browser.evaluate(SHOWN), "quick");
        let buttons = "document.querySelectorAll('[data-key=quick] [data-start]').length";
        assert_eq!(browser.evaluate(buttons), i32::from(may), "{options}");
        // What a script of the page could send.
        let start =
            "fetch('/api/v1/jobs/quick/runs', { method: 'POST' }).then(answer => answer.status)";
        let status = browser.evaluate(start);
        assert_eq!(status, if may { 202 } else { 403 }, "{options}");
        // Pages of other sites may not, whoever else may.
        let path = "/api/v1/jobs/quick/runs";
        let elsewhere = [("Origin", "http://evil.example")];
        let refused = server.exchange("POST", path, &elsewhere, "");
        assert_eq!(refused.status, 403, "{options}");
    }
}

#[test]
fn what_the_real_server_has_comes_by_itself() {
    let sandbox = with_jobs(&[
        (
            "often",
            "every = \"1s\"\ncommand = [\"sh\", \"-c\", \"echo >>starts; test $(wc -l <starts) -ne 2\"]\n",
        ),
        ("broken", "command = 7\n"),
    ]);
    let server = OwnServer::start(&sandbox, "");
    let mut browser = Chromium::start();
    browser.open(&format!("{}/", server.url()));
    let notice = "document.querySelector('.notice')?.textContent ?? ''";
    let shown = browser.evaluate(notice);
    let shown = shown.as_str().unwrap();
    assert!(
        shown.contains("1 problem") && shown.contains("broken.toml"),
        "{shown}"
    );
    let card = "document.querySelector('.job[data-key=often]')";
    browser.evaluate(&format!("window.before = {card}"));
    browser.wait_for("document.querySelectorAll('rect').length >= 3");
    browser.wait_for("document.querySelector('.failure') !== null");
    assert_eq!(browser.evaluate(&format!("{card} === window.before")), true);
    // Times to come count down meanwhile.
    browser.wait_for("document.querySelector('time[data-due]') !== null");
    // Job files are read again.
    sandbox.write("jobs/broken.toml", "command = [\"true\"]\n");
    server.signal(Signal::SIGHUP);
    browser.wait_for(&format!("({notice}) === ''"));
    browser.wait_for(&format!("{SHOWN} === 'broken often'"));
    assert_eq!(browser.problems(), [""; 0]);
}

#[test]
fn many_jobs_are_turned_over_and_searched() {
    let jobs: Vec<(String, String)> = (0..120)
        .map(|n| {
            (
                format!("job-{n:03}"),
                format!(
                    "description = \"Number {n} of {}\"\ncommand = [\"true\"]\n",
                    n % 7
                ),
            )
        })
        .collect();
    let sandbox = with_jobs(&jobs);
    let server = OwnServer::start(&sandbox, "");
    let mut browser = Chromium::start();
    browser.open(&format!("{}/", server.url()));
    let count = "document.querySelectorAll('.job').length";
    assert_eq!(browser.evaluate(count), 50);
    let next = "document.querySelector('.pages a[rel=next]').click()";
    browser.evaluate(next);
    // The links to turn over come behind the jobs.
    let is_whole = "document.readyState !== 'loading'";
    let is_first = "document.querySelector('.job h3').textContent === 'job-050'";
    browser.wait_for(&format!("{is_whole} && {is_first}"));
    browser.evaluate(next);
    browser.wait_for(&format!("{count} === 20"));
    browser.open(&format!("{}/?search=number+118", server.url()));
    assert_eq!(browser.evaluate(SHOWN), "job-118");
    assert_eq!(browser.problems(), [""; 0]);
}

#[test]
fn it_says_when_the_server_has_gone() {
    let sandbox = with_jobs(&[("quick", "command = [\"true\"]\n")]);
    let server = OwnServer::start(&sandbox, "");
    let mut browser = Chromium::start();
    browser.open(&format!("{}/", server.url()));
    drop(server);
    browser.wait_for("document.querySelector('#lost').textContent !== ''");
    assert_eq!(browser.evaluate(SHOWN), "quick");
}
