//! The gateway's page in a browser: deleting a group, the keyboard, ages, narrow screens.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metricsjob_gateway::page::{self, Condition, Page};
use metricsjob_metrics::{
    BucketSpan, Count, Family, Group, GroupingKey, Kind, Labels, LastRun, NativeBuckets,
    NativeHistogram, Value,
};
use metricsjob_state::store::HostClash;
use metricsjob_web::page::{List, Query};

use crate::common::curl::curl;
use crate::common::own_gateway::OwnGateway;
use crate::common::{Chromium, FakeServer, Sandbox};

const NOW: u64 = 1_790_000_000;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

pub fn group(job: &str, value: &str, age: f64) -> Group {
    Group {
        key: GroupingKey::new(job, [("db".into(), value.into())]).unwrap(),
        push_time: NOW as f64 - age,
        push_failure_time: 0.0,
        ttl: None,
        families: vec![Family::gauge("records", "Records.", 42.0)],
    }
}

/// The group with the report of a run that failed, and of others that succeeded before.
pub fn failed_job(group: Group) -> Group {
    reported(group, 0.0, 3.0, 1e10)
}

/// The group with the report of a run that succeeded, and of which another was due some time ago.
pub fn late(group: Group) -> Group {
    reported(group, 1.0, 0.0, NOW as f64 - 5_400.0)
}

/// The group with the report of a run that succeeded.
pub fn fine(group: Group) -> Group {
    reported(group, 1.0, 0.0, 1e10)
}

fn reported(mut group: Group, success: f64, exit_code: f64, deadline: f64) -> Group {
    let (now, ended_at) = (NOW as f64, group.push_time);
    let last_success = if success == 1.0 {
        ended_at
    } else {
        now - 90_000.0
    };
    // A success after the deadline would have met it.
    let last_success = f64::min(last_success, deadline - 1_800.0);
    let families = [
        (
            "deadline_timestamp_seconds",
            "When the next report is due.",
            deadline,
        ),
        ("duration_seconds", "How long the last run took.", 125.25),
        ("exit_code", "The exit code of the last run.", exit_code),
        (
            "last_completion_timestamp_seconds",
            "When the last run ended, well or not.",
            ended_at,
        ),
        (
            "last_success_timestamp_seconds",
            "When the last run that succeeded ended.",
            last_success,
        ),
        (
            "max_rss_bytes",
            "The most memory that a process of the last run had resident.",
            1.5e8,
        ),
        (
            "success",
            "Whether the last run succeeded (1) or not (0).",
            success,
        ),
    ];
    group.families.extend(
        families.map(|(name, help, value)| Family::gauge(format!("db_backup_{name}"), help, value)),
    );
    group.families.sort_by(|a, b| a.name.cmp(&b.name));
    group
}

/// What the server has, and how it answers a DELETE.
pub struct Content {
    groups: Vec<Group>,
    deletion: &'static str,
}

/// Serves the page with these groups.
pub fn serve(groups: Vec<Group>) -> (FakeServer, Arc<Mutex<Content>>) {
    let deletion = "202 Accepted";
    let content = Arc::new(Mutex::new(Content { groups, deletion }));
    let shared = Arc::clone(&content);
    let server = FakeServer::responding(move |request| {
        let content = shared.lock().unwrap();
        let (status, kind, body) = match request.line.split(' ').collect::<Vec<_>>()[..] {
            ["GET", "/", _] => (
                "200 OK",
                "text/html; charset=utf-8",
                render(&content.groups),
            ),
            ["GET", "/static/page.css", _] => ("200 OK", "text/css", page::style()),
            ["GET", "/static/page.js", _] => ("200 OK", "text/javascript", page::script()),
            ["GET", "/static/icon.svg", _] => ("200 OK", "image/svg+xml", page::ICON.to_owned()),
            ["DELETE", ..] => (content.deletion, "text/plain", "as told".to_owned()),
            _ => ("404 Not Found", "text/plain", String::new()),
        };
        let (length, policy) = (body.len(), page::CONTENT_SECURITY_POLICY);
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
             Content-Security-Policy: {policy}\r\nX-Content-Type-Options: nosniff\r\n\
             Connection: close\r\n\r\n{body}"
        )
    });
    (server, content)
}

/// Job of the groups that two hosts report to.
pub const SHARED: &str = "shared";

fn render(groups: &[Group]) -> String {
    let clash = HostClash {
        host: "web2".into(),
        host_before: "web1.of.a.data-center.with-a-long-name.example.org".into(),
        time_before: NOW as f64 - 7_500.0,
    };
    let shared = groups.iter().filter(|group| is_shared(group));
    let clashes: BTreeMap<_, _> = shared.map(|group| (&group.key, &clash)).collect();
    Page {
        groups,
        clashes: &clashes,
        list: List::new(
            &page::WORDS,
            &Query::default(),
            groups.len(),
            groups.len(),
            "",
        ),
        counts: groups.iter().map(condition).collect(),
        now: now(),
        status: &[("Version", "1".into())],
        ttl: None,
        problem: None,
        can_delete_found: false,
    }
    .render()
}

fn condition(group: &Group) -> Condition {
    Condition {
        is_refused: group.last_push_failed(),
        is_shared: is_shared(group),
        ..Condition::of_run(&LastRun::of(group), NOW as f64)
    }
}

fn is_shared(group: &Group) -> bool {
    group.key.job() == SHARED
}

fn deletions(server: &FakeServer) -> Vec<String> {
    let lines = server.requests().into_iter().map(|request| request.line);
    lines.filter(|line| line.starts_with("DELETE")).collect()
}

/// Opens the details of the first group and the dialog of its deletion.
const ASK: &str = "document.querySelector('details').open = true;
    document.querySelector('[data-delete]').click()";

const CONFIRM: &str = "document.querySelector('dialog [value=delete]').click()";

#[test]
fn a_group_is_deleted() {
    let odd = failed_job(group("back/up", "<b>\"\u{202e}", 5.0));
    let (server, content) = serve(vec![odd, late(group("other", "x", 5.0))]);
    let mut browser = Chromium::start();
    browser.open(&server.url());
    let heading = "document.querySelector('h2').innerText";
    assert_eq!(browser.evaluate(heading), "2 groups, 1 failed, 1 late");
    browser.evaluate(ASK);
    let key = r#"job="back/up",db="<b>\"\u{202e}""#;
    assert_eq!(
        browser.evaluate("document.querySelector('dialog[open] code').textContent"),
        key
    );
    assert!(deletions(&server).is_empty());

    browser.evaluate(CONFIRM);
    browser.wait_for("document.querySelectorAll('.group').length == 1");
    assert_eq!(
        deletions(&server),
        ["DELETE /metrics/job@base64/YmFjay91cA/db/%3Cb%3E%22%E2%80%AE HTTP/1.1"]
    );
    assert_eq!(browser.evaluate(heading), "1 group, 1 late");
    let said = browser.evaluate("document.querySelector('#said').textContent");
    assert_eq!(said, format!("Deleted: {key}"));
    assert_eq!(
        browser.evaluate("document.querySelector('dialog').open"),
        false
    );
    let focused = browser.evaluate("document.activeElement.innerText");
    assert!(focused.as_str().unwrap().starts_with("other"), "{focused}");

    content.lock().unwrap().groups.clear();
    browser.evaluate(ASK);
    browser.evaluate(CONFIRM);
    browser.wait_for("document.body.innerText.includes('No groups yet')");
    let example = format!("@- {}/metrics/job/some_job", server.url());
    // The script writes our URL there.
    browser.wait_for(&format!(
        "document.querySelector('pre').textContent.endsWith('{example}')"
    ));
    assert_eq!(browser.problems(), [""; 0]);
}

#[test]
fn a_refused_deletion_says_why() {
    let (server, content) = serve(vec![group("backup", "x", 5.0)]);
    let mut browser = Chromium::start();
    browser.open(&server.url());
    browser.evaluate(ASK);
    for (status, said) in [
        ("401 Unauthorized", "log in (401)"),
        ("403 Forbidden", "not allowed to delete groups here (403)"),
        ("405 Method Not Allowed", "does not allow deletion (405)"),
        ("500 Internal Server Error", "refused (500): as told"),
        ("302 Found\r\nLocation: /elsewhere", "could not be reached"),
    ] {
        content.lock().unwrap().deletion = status;
        browser.evaluate(CONFIRM);
        let shown = "document.querySelector('dialog[open] [role=alert]').textContent";
        browser.wait_for(&format!("{shown}.includes('{said}')"));
    }
    assert_eq!(
        browser.evaluate("document.querySelectorAll('.group').length"),
        1
    );
    // Of another try nothing is left.
    browser.press("Escape");
    browser.evaluate(ASK);
    assert_eq!(
        browser.evaluate("document.querySelector('[role=alert]').textContent"),
        ""
    );
}

#[test]
fn the_keyboard_suffices() {
    let (server, _) = serve(vec![group("backup", "x", 5.0), group("other", "x", 5.0)]);
    let mut browser = Chromium::start();
    browser.open(&server.url());
    browser.evaluate("document.querySelector('.group summary').focus()");
    browser.press("Enter");
    assert_eq!(
        browser.evaluate("document.querySelector('.group details').open"),
        true
    );
    let focused = |browser: &mut Chromium| browser.evaluate("document.activeElement.textContent");
    let reach = |browser: &mut Chromium, text: &str| {
        for _ in 0..5 {
            browser.press("Tab");
            if focused(browser) == text {
                return;
            }
        }
        panic!("{text} is not reached, but {}", focused(browser));
    };
    reach(&mut browser, "Delete group…");
    browser.press("Enter");
    // An Enter too much deletes nothing.
    assert_eq!(focused(&mut browser), "Cancel");
    browser.press("Enter");
    assert_eq!(focused(&mut browser), "Delete group…");
    browser.press("Enter");
    browser.press("Escape");
    assert_eq!(
        browser.evaluate("document.querySelector('dialog').open"),
        false
    );
    assert_eq!(focused(&mut browser), "Delete group…");
    assert!(deletions(&server).is_empty());

    browser.press("Enter");
    reach(&mut browser, "Delete group");
    browser.press("Enter");
    browser.wait_for("document.querySelectorAll('.group').length == 1");
    assert_eq!(
        deletions(&server),
        ["DELETE /metrics/job/backup/db/x HTTP/1.1"]
    );
}

#[test]
fn ages_keep_counting() {
    // In the middle of a unit, so that a slow browser does not matter.
    let ages = [
        150.0, 5_430.0, 9_000.0, 300_000.0, 1e9, -330.0, -9_000.0, -4e8,
    ];
    let groups = ages.map(|age| group("j", &age.to_string(), age));
    let (server, _) = serve(groups.into());
    let mut browser = Chromium::start();
    browser.open(&server.url());
    let shown = "[...document.querySelectorAll('time')].map(time => time.textContent)";
    let written = browser.evaluate(shown);
    browser
        .evaluate("document.querySelectorAll('time').forEach(time => time.firstChild.data = '?')");
    browser.wait_for("!document.querySelector('main').textContent.includes('?')");
    assert_eq!(browser.evaluate(shown), written);
    assert_eq!(written[0], "2 minutes ago");

    let (server, _) = serve(vec![group("j", "x", 5.0)]);
    browser.open(&server.url());
    browser.wait_for("document.querySelector('time').textContent > '5 seconds ago'");
}

/// A float histogram whose native buckets have bounds with many digits.
fn fine_histogram() -> Value {
    let side = NativeBuckets {
        spans: vec![BucketSpan {
            offset: -250_001,
            length: 2,
        }],
        counts: vec![1.0 / 3.0, 1e300],
        ..NativeBuckets::default()
    };
    let native = NativeHistogram {
        schema: Some(8),
        negative: side.clone(),
        positive: side,
        ..NativeHistogram::default()
    };
    Value::Histogram {
        count: Count::Float(2.0 / 3.0),
        sum: 0.0,
        buckets: Vec::new(),
        native: Some(Box::new(native)),
    }
}

#[test]
fn narrow_screens_scroll_in_one_direction() {
    let long = "x".repeat(500);
    let mut wide = group(&long, &long, 5.0);
    wide.families = vec![
        Family::gauge("a".repeat(300), long.clone(), -1.234_567_890_123e-300),
        Family::gauge("size_bytes", "Size.", 1e20),
        Family::new(
            "h",
            "",
            Kind::Histogram,
            [(Labels::new(), fine_histogram())],
        ),
    ];
    wide.families[1].metrics[0].labels.insert("table", &long);
    wide.push_failure_time = NOW as f64;
    let (server, _) = serve(vec![wide]);
    let mut browser = Chromium::start();
    browser.resize(360, 800);
    browser.open(&server.url());
    browser.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)");
    let hidden = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
    assert_eq!(browser.evaluate(hidden), 0);
    browser.evaluate(ASK);
    assert_eq!(browser.evaluate(hidden), 0);
    assert_eq!(browser.problems(), [""; 0]);
}

#[test]
fn text_has_contrast_in_light_and_dark() {
    let mut failed = failed_job(group("failed", "x", 5.0));
    failed.push_failure_time = NOW as f64;
    let (late, fine) = (late(group("l", "x", 5.0)), fine(group("f", "x", 5.0)));
    let (server, _) = serve(vec![failed, late, fine, group("backup", "x", 5.0)]);
    let mut browser = Chromium::start();
    has_contrast(&mut browser, &server.url(), |browser| {
        browser.evaluate(ASK);
    });
}

/// All texts of a page have contrast, in light and dark, once `show` has shown what comes and goes.
#[track_caller]
pub fn has_contrast(browser: &mut Chromium, url: &str, show: impl Fn(&mut Chromium)) {
    let mut grounds = Vec::new();
    for scheme in ["light", "dark"] {
        browser.prefer("prefers-color-scheme", scheme);
        browser.open(url);
        browser.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)");
        show(browser);
        let low = browser.evaluate(LOW_CONTRAST);
        assert_eq!(low, serde_json::json!([]), "{scheme}");
        grounds.push(browser.evaluate("getComputedStyle(document.body).backgroundColor"));
    }
    assert_ne!(grounds[0], grounds[1]);
}

/// The texts whose contrast to what is behind them is below 4.5, the least that WCAG 2.2 allows on
/// level AA (success criterion 1.4.3); contrast as it defines it.
const LOW_CONTRAST: &str = "(() => {
    const numbers = color => color.match(/[\\d.]+/g).map(Number);
    const luminance = color => numbers(color).slice(0, 3)
        .map(part => part / 255)
        .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
        .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
    const behind = element => {
        const color = getComputedStyle(element).backgroundColor;
        return numbers(color)[3] === 0 ? behind(element.parentElement) : color;
    };
    const contrast = element => {
        const pair = [getComputedStyle(element).color, behind(element)].map(luminance);
        return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    };
    return [...document.body.querySelectorAll('*')]
        .filter(element => [...element.childNodes].some(node => node.data?.trim()))
        .filter(element => contrast(element) < 4.5)
        .map(element => element.outerHTML);
})()";

/// A push to the real gateway.
fn push(gateway: &str, path: &str, text: &str) {
    let url = format!("{gateway}/metrics/{path}");
    curl(&["-f", "--data-binary", text, &url]).code(0);
}

#[test]
fn the_real_gateway_lists_searches_and_deletes() {
    for prefix in ["", "/behind/proxy"] {
        let gateway = OwnGateway::alone(&["--web.route-prefix", prefix]);
        let url = format!("{}{prefix}", gateway.url());
        push(&url, "job/backup/db@base64/YS9i", "records 42\n");
        push(&url, "job/other", "records 43\n");
        let mut browser = Chromium::start();
        let groups = "document.querySelectorAll('.group').length";
        browser.open(&format!("{url}/?search=other"));
        assert_eq!(browser.evaluate(groups), 1);
        browser.open(&format!("{url}/"));
        assert_eq!(browser.evaluate(groups), 2);
        browser.evaluate(
            "document.querySelector('#search').value = 'backup';
             document.querySelector('#search').form.requestSubmit()",
        );
        browser.wait_for("location.search.includes('backup')");
        browser.wait_for(&format!(
            "document.readyState == 'complete' && {groups} == 1"
        ));
        let metrics = || curl(&["-f", &format!("{url}/metrics")]).code(0).stdout();
        browser.evaluate(ASK);
        assert!(metrics().contains("job=\"backup\""));
        browser.evaluate(CONFIRM);
        browser.wait_for(&format!("{groups} == 0"));
        let left = metrics();
        assert!(!left.contains("job=\"backup\""), "{left}");
        assert!(left.contains("job=\"other\""), "{left}");
        assert_eq!(browser.problems(), [""; 0]);
    }
}

#[test]
fn the_real_gateway_shows_what_failed_first() {
    let gateway = OwnGateway::alone(&[]);
    let url = gateway.url();
    let run = |success, due| {
        format!(
            "b_last_completion_timestamp_seconds 1.7e9\nb_success {success}\nb_exit_code 7\n\
             b_deadline_timestamp_seconds {due}\nb_size{{t=\"}} \"}} 5\n"
        )
    };
    push(&url, "job/a", &run(1, "1e11"));
    push(&url, "job/b", &run(1, "1.7e9"));
    push(&url, "job/c", &run(0, "1e11"));
    push(&url, "job/d", "records 1\n");
    let wrong = format!("{url}/metrics/job/d");
    curl(&["--data-binary", "records 1 1\n", &wrong]).code(0);
    let mut browser = Chromium::start();
    let jobs = "[...document.querySelectorAll('.group h3')].map(job => job.textContent).join(' ')";
    let heading = "document.querySelector('h2').innerText";
    let all = "4 groups, 1 failed, 1 late, 1 with a failed push";
    for (query, shown) in [
        ("", "c d b a"),
        ("?failed=1", "c d"),
        ("?failed=1&search=job=c", "c"),
        ("?search=b_", "c b a"),
    ] {
        browser.open(&format!("{url}/{query}"));
        assert_eq!(browser.evaluate(jobs), shown, "{query}");
        assert_eq!(browser.evaluate(heading), all, "{query}");
    }
    browser.open(&format!("{url}/"));
    let badges = "[...document.querySelectorAll('.badge')].map(badge => badge.innerText)";
    let badges = browser.evaluate(badges);
    let badges: Vec<&str> = badges
        .as_array()
        .unwrap()
        .iter()
        .map(|text| text.as_str().unwrap())
        .collect();
    let starts = [
        "Failed (exit code 7)",
        "Last push failed",
        "Late: due",
        "Success",
    ];
    assert_eq!(badges.len(), starts.len(), "{badges:?}");
    for (badge, start) in badges.into_iter().zip(starts) {
        assert!(badge.starts_with(start), "{badge}");
    }
    assert_eq!(browser.problems(), [""; 0]);
}

#[test]
fn numbers_stay_on_one_line() {
    let (server, _) = serve(vec![failed_job(group("backup", "x", 5.0))]);
    let mut browser = Chromium::start();
    for width in [320, 1280] {
        browser.resize(width, 800);
        browser.open(&server.url());
        browser.evaluate("document.querySelector('details').open = true");
        // The rows of text that a number takes.
        let lines =
            "[...document.querySelectorAll('.raw')].map(number => number.getClientRects().length)";
        assert_eq!(
            browser.evaluate(lines),
            serde_json::json!(vec![1; 8]),
            "{width}"
        );
        assert_eq!(
            browser.evaluate("document.querySelectorAll('table').length"),
            1
        );
    }
}

#[test]
fn the_real_gateway_with_users() {
    let sandbox = Sandbox::new();
    let config = sandbox.write("web.yml", crate::gateway_clients::USERS);
    let gateway = OwnGateway::alone(&["--web.config.file", config.to_str().unwrap()]);
    let user = crate::gateway_clients::USER;
    let url = format!("http://{user}@{}", gateway.address());
    push(&url, "job/backup", "records 42\n");
    push(&url, "job/other", "records 42\n");
    let mut browser = Chromium::start();
    browser.open(&format!("{url}/"));
    browser.evaluate(ASK);
    browser.evaluate(CONFIRM);
    browser.wait_for("document.querySelectorAll('.group').length == 1");
    let left = curl(&["-f", &format!("{url}/metrics")]).code(0).stdout();
    assert!(!left.contains("job=\"backup\""), "{left}");
}

#[test]
fn the_real_gateway_shows_hostile_strings() {
    let gateway = OwnGateway::alone(&[]);
    let text = "# HELP x </p><script>window.hacked = 1</script>\n# TYPE x gauge\n\
                x{a=\"'\\\"><img src=x onerror=window.hacked=1>\"} 1\n";
    // "><img src=x onerror=window.hacked=1>
    let job = "%22%3E%3Cimg%20src=x%20onerror=window.hacked=1%3E";
    push(&gateway.url(), &format!("job/{job}"), text);
    let mut browser = Chromium::start();
    browser.open(&format!("{}/?search={job}", gateway.url()));
    browser.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)");
    browser.evaluate(ASK);
    for shown in ["<script>window.hacked = 1</script>", "<img src=x onerror"] {
        browser.wait_for(&format!(
            "document.querySelector('.group').innerText.includes('{shown}')"
        ));
    }
    assert_eq!(browser.evaluate("document.images.length"), 0);
    assert_eq!(browser.evaluate("typeof window.hacked"), "undefined");
    assert_eq!(browser.problems(), [""; 0]);
}
