//! The gateway's page: a search by a selector, and the deletion of all groups that it selects.

use std::path::PathBuf;

use url::form_urlencoded;

use crate::common::Chromium;
use crate::common::own_gateway::OwnGateway;

/// A gateway with the groups `ci` of three branches, and one more.
pub fn gateway(flags: &[&str]) -> OwnGateway {
    let gateway = OwnGateway::alone(flags);
    for group in [
        "ci/branch@base64/ZmVhdHVyZS9h",
        "ci/branch/%3Cb%3E%22",
        "ci/branch/main",
        "backup",
    ] {
        gateway.put(&format!("/metrics/job/{group}"), "m 1\n");
    }
    gateway
}

pub const ADMIN: &str = "--web.enable-admin-api";

/// URL of the page with this search.
pub fn found(gateway: &OwnGateway, search: &str) -> String {
    let search: String = form_urlencoded::byte_serialize(search.as_bytes()).collect();
    format!("{}/?search={search}", gateway.url())
}

const ASK: &str = "document.querySelector('[data-delete-found]').click()";
const BUTTON: &str = "document.querySelector('#deletions [value=delete]')";
const TEXT: &str = "document.querySelector('#deletions-text').textContent";

fn groups(browser: &mut Chromium) -> u64 {
    let count = browser.evaluate("document.querySelectorAll('.group').length");
    count.as_u64().unwrap()
}

#[test]
fn a_search_by_a_selector() {
    let gateway = gateway(&[]);
    let mut browser = Chromium::start();
    for (search, count) in [
        ("{job=\"ci\"}", 3),
        (" {job=\"ci\",branch=~\"f.*/.*\"} ", 1),
        ("{branch='<b>\"'}", 1),
        ("{job=\"other\"}", 0),
        // Words are still words.
        ("ci", 3),
    ] {
        browser.open(&found(&gateway, search));
        assert_eq!(groups(&mut browser), count, "{search}");
        // The admin API is off.
        assert_eq!(
            browser.evaluate("document.querySelector('[data-delete-found]')"),
            serde_json::Value::Null
        );
    }
    browser.open(&found(&gateway, "{job=<b>}"));
    assert_eq!(groups(&mut browser), 0);
    let problem = browser.evaluate("document.querySelector('main [role=alert]').textContent");
    let expected = "selector \"{job=<b>}\", character 6: expected a value in quotes, as in {job=\"ci\"}, found '<'";
    assert_eq!(problem, expected);
    assert_eq!(browser.problems(), [""; 0]);
}

#[test]
fn all_that_was_found_is_deleted_after_a_preview() {
    let gateway = gateway(&[ADMIN]);
    let mut browser = Chromium::start();
    for search in ["ci", "", "{job=\"other\"}", "{job=ci}"] {
        browser.open(&found(&gateway, search));
        let is_offered = browser.evaluate("document.querySelector('[data-delete-found]') !== null");
        assert_eq!(is_offered, false, "{search}");
    }
    browser.open(&format!("{}&failed=1", found(&gateway, "{job=\"ci\"}")));
    assert_eq!(
        browser.evaluate("document.querySelector('[data-delete-found]') !== null"),
        false
    );

    browser.open(&found(&gateway, "{job=\"ci\",branch!=\"main\"}"));
    browser.evaluate(ASK);
    browser.wait_for(&format!(
        "{TEXT}.startsWith('2 groups with all metrics pushed to them.')"
    ));
    let keys = "[...document.querySelectorAll('#deletions-keys li')].map(key => key.textContent)";
    let shown = browser.evaluate(keys);
    assert_eq!(shown[0], r#"job="ci", branch="<b>\"""#);
    assert_eq!(shown[1], r#"job="ci", branch="feature/a""#);
    assert_eq!(
        browser.evaluate(&format!("{BUTTON}.textContent")),
        "Delete 2 groups"
    );
    // An Enter too much deletes nothing.
    assert_eq!(
        browser.evaluate("document.activeElement.textContent"),
        "Cancel"
    );
    screenshots(&mut browser, "page-delete-found");

    let older = "const age = document.querySelector('#deletions select'); age.value = '7d'; \
                 age.dispatchEvent(new Event('change'))";
    browser.evaluate(&format!("{{ {older} }}"));
    browser.wait_for(&format!(
        "{TEXT} === 'None of them was last pushed so long ago.'"
    ));
    assert_eq!(browser.evaluate(&format!("{BUTTON}.disabled")), true);
    browser.press("Escape");
    assert_eq!(gateway.samples("m{").len(), 4);

    browser.evaluate(ASK);
    browser.wait_for(&format!("!{BUTTON}.disabled"));
    browser.evaluate(&format!("{BUTTON}.click()"));
    browser.wait_for("document.querySelector('#said').textContent === 'Deleted: 2 groups'");
    assert_eq!(groups(&mut browser), 0);
    assert_eq!(gateway.samples("m{").len(), 2);
    assert_eq!(browser.problems(), [""; 0]);
}

#[test]
fn a_refused_deletion_says_why() {
    let mut gateway = gateway(&[ADMIN]);
    let mut browser = Chromium::start();
    browser.open(&found(&gateway, "{job=\"ci\"}"));
    browser.evaluate(ASK);
    browser.wait_for(&format!("!{BUTTON}.disabled"));
    gateway.kill();
    browser.evaluate(&format!("{BUTTON}.click()"));
    let failure = "document.querySelector('#deletions .failure').textContent";
    browser.wait_for(&format!(
        "{failure} === 'The gateway could not be reached.'"
    ));
    assert_eq!(
        browser.evaluate("document.querySelector('#deletions').open"),
        true
    );
}

/// Shows what the browser does in a desktop's and a phone's window, for people.
fn screenshots(browser: &mut Chromium, name: &str) {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    for (device, width) in [("desktop", 1280), ("phone", 390)] {
        browser.resize(width, 844);
        browser.screenshot(&dir.join(format!("{name}-{device}.png")));
    }
}
