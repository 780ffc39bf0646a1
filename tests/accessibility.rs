//! The pages of the gateway and of `serve`, with few and with many entries, in light and dark: checked by axe-core,
//! and walked through by keyboard.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use metricsjob::serve::page::{JobView, RunView};
use metricsjob_metrics::{Family, Group, Kind, Labels, Value as Sample};

use crate::common::{Chromium, FakeServer};
use crate::{gateway_page, gateway_page_match, serve_page};

/// Widths of a desktop's and a phone's window. Many groups differ from few in their number only, and take long.
const BOTH: [u32; 2] = [1280, 390];

/// Script of axe-core, which `scripts/test` installs.
fn axe() -> String {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/npm/node_modules");
    let path = modules.join("axe-core/axe.min.js");
    let script = fs::read_to_string(&path);
    script.unwrap_or_else(|error| panic!("{}: {error} (scripts/test installs it)", path.display()))
}

/// Serious and critical violations on the page that the browser shows: their rules, and where they are.
fn violations(browser: &mut Chromium, axe: &str) -> Value {
    // Its value would be all of axe.
    browser.evaluate(&format!("{axe};\n0"));
    browser.evaluate(
        "axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations
            .filter(({ impact }) => ['serious', 'critical'].includes(impact))
            .map(({ id, nodes }) => [id, ...nodes.map(({ html }) => html)]))",
    )
}

/// Groups in each condition, with each kind of metric.
fn few_groups() -> Vec<Group> {
    let group = gateway_page::group;
    let mut refused = group("import", "orders", 300.0);
    refused.push_failure_time = refused.push_time + 200.0;
    let mut never = group("typo", "x", 0.0);
    never.push_failure_time = never.push_time;
    (never.push_time, never.families) = (0.0, Vec::new());
    let mut kinds = gateway_page::fine(group("etl", "warehouse", 70.0));
    kinds
        .families
        .extend([Kind::Histogram, Kind::Summary].map(|kind| {
            let value = Sample::zero(kind);
            let labels = Labels::from([("step", "load")]);
            Family::new(
                format!("etl_{kind}_seconds"),
                "Steps.",
                kind,
                [(labels, value)],
            )
        }));
    let rows = ["customers", "orders"].map(|table| {
        let labels = Labels::from([("table", table)]);
        (labels, Sample::Number(1234.0))
    });
    let rows = Family::new("etl_rows", "Rows of a table.", Kind::Gauge, rows);
    kinds.families.insert(0, rows);
    vec![
        gateway_page::failed_job(group("backup", "customers", 4_000.0)),
        refused,
        never,
        gateway_page::late(group("backup", "orders", 90_000.0)),
        kinds,
        gateway_page::fine(group(gateway_page::SHARED, "customers", 20.0)),
        group("plain", "x", 5.0),
    ]
}

fn many_groups() -> Vec<Group> {
    let all = few_groups();
    all.iter().cycle().take(51).cloned().collect()
}

/// Jobs in each state.
fn few_jobs() -> Vec<JobView> {
    let run = serve_page::run;
    let mut flaky = serve_page::failed("flaky", "no space left on device");
    let outcome = |index| match index % 27 {
        0..11 => run("failure", 3, f64::from(index)),
        _ => run("success", 0, f64::from(index)),
    };
    flaky.recent = (0..27).map(outcome).collect::<Vec<RunView>>();
    flaky.last = flaky.recent.last().cloned();
    let mut running = serve_page::job("running", run("success", 0, 2.0));
    (running.running, running.queued) = (Some(flaky.recent[0].started_at), 2);
    running.is_demo = true;
    let mut skipped = serve_page::job("skipped", run("success", 0, 125.0));
    skipped.last = Some(run("skipped", 0, 0.0));
    skipped.timezone = Some("Europe/Berlin".into());
    let new = JobView {
        name: "new".into(),
        what: "true".into(),
        can_start: true,
        ..JobView::default()
    };
    vec![
        serve_page::failed("failed", "no space left"),
        flaky,
        new,
        running,
        skipped,
    ]
}

fn many_jobs() -> Vec<JobView> {
    let all = few_jobs();
    let named = |(index, job): (usize, &JobView)| JobView {
        name: format!("{}-{index}", job.name),
        ..job.clone()
    };
    all.iter().cycle().take(12).enumerate().map(named).collect()
}

/// The page at `url` has no violation, in light and dark, at each of the widths, closed, and once entries are open and
/// `show` has shown what comes and goes.
#[track_caller]
fn is_accessible(browser: &mut Chromium, url: &str, widths: &[u32], show: &str) {
    let axe = axe();
    for scheme in ["light", "dark"] {
        browser.prefer("prefers-color-scheme", scheme);
        for &width in widths {
            browser.resize(width, 900);
            browser.open(url);
            let context = format!("{scheme}, {width} wide");
            assert_eq!(violations(browser, &axe), json!([]), "{context}");
            browser.evaluate(
                "document.querySelectorAll('li:nth-child(-n+7) details, footer details')
                    .forEach(part => part.open = true)",
            );
            assert_eq!(violations(browser, &axe), json!([]), "{context}, open");
            browser.evaluate(show);
            assert_eq!(violations(browser, &axe), json!([]), "{context}, {show}");
        }
    }
    assert_eq!(browser.problems(), [""; 0]);
}

#[test]
fn the_page_of_the_gateway() {
    let ask = "document.querySelector('[data-delete]')?.click()";
    let mut browser = Chromium::start();
    for (groups, widths) in [
        (vec![], &BOTH[..]),
        (few_groups(), &BOTH),
        (many_groups(), &BOTH[..1]),
    ] {
        let (server, _) = gateway_page::serve(groups);
        is_accessible(&mut browser, &server.url(), widths, ask);
    }
}

#[test]
fn the_page_of_the_gateway_with_a_selector() {
    let gateway = gateway_page_match::gateway(&[gateway_page_match::ADMIN]);
    let mut browser = Chromium::start();
    // The preview has come once its groups are listed.
    let ask = "document.querySelector('[data-delete-found]')?.click();
        new Promise(resolve => setInterval(() => {
            if (document.querySelector('#deletions-keys li, main [role=alert]')) { resolve(0) }
        }, 10))";
    for search in ["{job=\"ci\"}", "{job=ci}"] {
        let url = gateway_page_match::found(&gateway, search);
        is_accessible(&mut browser, &url, &BOTH, ask);
    }
}

#[test]
fn the_page_of_serve() {
    let start = "document.querySelector('[data-start]')?.click()";
    let mut browser = Chromium::start();
    for jobs in [vec![], few_jobs(), many_jobs()] {
        let (server, _) = serve_page::serve(jobs);
        is_accessible(&mut browser, &server.url(), &BOTH, start);
    }
}

#[test]
fn a_violation_is_reported() {
    let page = "<!doctype html><html lang=en><title>t</title><main>\
                <h1>Title</h1><img src=x><p style='color: #999; background: #fff'>pale</p></main>";
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{page}",
        page.len()
    );
    let server = FakeServer::responding(move |_| answer.clone());
    let mut browser = Chromium::start();
    browser.open(&server.url());
    let found = violations(&mut browser, &axe());
    let found = found.as_array().unwrap();
    let rules: Vec<&str> = found
        .iter()
        .map(|violation| violation[0].as_str().unwrap())
        .collect();
    assert_eq!(rules, ["color-contrast", "image-alt"]);
}

/// Goes through the page by Tab, to its end. Each element that takes the focus is seen to have it, within the
/// window and under nothing else, and they come in the order of the page. Returns their texts.
#[track_caller]
fn walk(browser: &mut Chromium) -> Vec<String> {
    let mut texts = Vec::new();
    browser.evaluate("window.stops = []");
    for _ in 0..200 {
        browser.press("Tab");
        let stop = browser.evaluate(
            "(() => {
                const focused = document.activeElement;
                if (focused === document.body || window.stops[0] === focused) {
                    return null;
                }
                const before = window.stops.at(-1);
                window.stops.push(focused);
                const { left, right, top, bottom } = focused.getBoundingClientRect();
                const middle = [(left + right) / 2, Math.min((top + bottom) / 2, innerHeight - 1)];
                const at = document.elementFromPoint(...middle);
                const { outlineStyle, outlineWidth } = getComputedStyle(focused);
                return {
                    text: focused.ariaLabel ?? (focused.textContent || focused.id || focused.name),
                    isMarked: outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2,
                    isInside: top >= 0 && top < innerHeight && left >= 0 && right <= innerWidth,
                    isSeen: at !== null && (focused.contains(at) || at.contains(focused)),
                    isNext: !before || Boolean(before.compareDocumentPosition(focused)
                        & Node.DOCUMENT_POSITION_FOLLOWING),
                };
            })()",
        );
        if stop.is_null() {
            return texts;
        }
        for is_so in ["isMarked", "isInside", "isSeen", "isNext"] {
            assert_eq!(stop[is_so], true, "{is_so}: {stop}");
        }
        texts.push(stop["text"].as_str().unwrap().trim().to_owned());
    }
    panic!("the focus does not leave the page: {texts:?}");
}

/// Presses Enter on the first link, which skips what is before `heading`.
#[track_caller]
fn skips(browser: &mut Chromium, url: &str, heading: &str) {
    browser.open(url);
    browser.press("Tab");
    browser.press("Enter");
    browser.wait_for(&format!(
        "document.activeElement.textContent === '{heading}'"
    ));
}

#[test]
fn the_page_of_the_gateway_by_keyboard() {
    let (server, _) = gateway_page::serve(few_groups());
    let mut browser = Chromium::start();
    for width in [1280, 390] {
        browser.resize(width, 700);
        browser.open(&server.url());
        browser.evaluate("document.querySelector('.group details').open = true");
        let stops = walk(&mut browser);
        let starts = [
            "Skip to the groups",
            "metricsjob gateway",
            "Metrics",
            "API",
            "search",
            "Search",
            "failed",
            "backup",
            "Copy push URL",
            "Delete group…",
            "import",
            "typo",
            "backup",
            "etl",
            gateway_page::SHARED,
            "plain",
            "Status",
        ];
        assert_eq!(stops.len(), starts.len(), "{stops:?}");
        for (stop, start) in stops.iter().zip(starts) {
            assert!(stop.starts_with(start), "{stop} instead of {start}");
        }
    }
    let heading = "7 groups, 1 failed, 1 late, 1 shared by hosts, 2 with a failed push";
    skips(&mut browser, &server.url(), heading);
}

#[test]
fn the_page_of_serve_by_keyboard() {
    let mut browser = Chromium::start();
    for jobs in [few_jobs(), many_jobs()] {
        let count = jobs.len();
        let (server, _) = serve_page::serve(jobs);
        for width in [1280, 390] {
            browser.resize(width, 700);
            browser.open(&server.url());
            let stops = walk(&mut browser);
            let buttons = stops.iter().filter(|stop| stop.starts_with("Run now: "));
            assert_eq!(buttons.count(), count, "{stops:?}");
            assert!(stops.last().unwrap().starts_with("Status"), "{stops:?}");
        }
        let heading = browser.evaluate("document.querySelector('h2.summary').textContent");
        skips(&mut browser, &server.url(), heading.as_str().unwrap());
    }
}
