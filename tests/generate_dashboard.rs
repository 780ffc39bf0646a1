//! `generate dashboard`: what it prints, against Grafana's types and a real Prometheus.

#[cfg(feature = "real-servers")]
mod grafana;
#[cfg(feature = "real-servers")]
mod queries;
#[cfg(feature = "real-servers")]
mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value as Json;

use crate::common::Sandbox;

const NAMES: [&str; 4] = ["fleet", "job", "gateway", "http"];

/// The dashboard of this name.
fn dashboard(name: &str) -> Json {
    let run = Sandbox::new().run(&format!("generate dashboard {name}"));
    run.code(0).quiet_stderr().json()
}

/// All strings in it, with the path to each.
fn strings(json: &Json, path: &str, found: &mut Vec<(String, String)>) {
    match json {
        Json::String(text) => found.push((path.to_owned(), text.clone())),
        Json::Array(all) => {
            for (index, item) in all.iter().enumerate() {
                strings(item, &format!("{path}[{index}]"), found);
            }
        }
        Json::Object(all) => {
            for (key, item) in all {
                strings(item, &format!("{path}.{key}"), found);
            }
        }
        _ => {}
    }
}

fn all_strings(json: &Json) -> Vec<(String, String)> {
    let mut found = Vec::new();
    strings(json, "", &mut found);
    found
}

/// Names of the variables, in the order in which they get their values.
fn variables(dashboard: &Json) -> Vec<&str> {
    let list = dashboard["templating"]["list"].as_array().unwrap();
    list.iter()
        .map(|variable| variable["name"].as_str().unwrap())
        .collect()
}

/// Names that stand as `$name` or `${name}` in `text`, without Grafana's own.
fn used(text: &str) -> BTreeSet<&str> {
    let parts = text.split('$').skip(1);
    let names = parts.map(|part| {
        let part = part.strip_prefix('{').unwrap_or(part);
        let end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        &part[..end.unwrap_or(part.len())]
    });
    names
        .filter(|name| !name.is_empty() && !name.starts_with("__"))
        .collect()
}

#[test]
fn the_fleet_is_the_default() {
    let sandbox = Sandbox::new();
    let fleet = sandbox.run("generate dashboard fleet").code(0).stdout();
    sandbox.run("generate dashboard").code(0).out(&fleet);
    assert!(fleet.ends_with("}\n"), "{fleet}");
    sandbox
        .run("generate dashboard shop")
        .code(2)
        .err("invalid value 'shop' for '[DASHBOARD]'")
        .err("[possible values: fleet, job, gateway, http]");
}

/// The shipped files are what the command writes.
#[test]
fn the_shipped_dashboards_are_fresh() {
    let sandbox = Sandbox::new();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("monitoring/dashboards");
    for name in NAMES {
        let printed = sandbox.run(&format!("generate dashboard {name}"));
        let shipped = fs::read_to_string(directory.join(format!("{name}.json")));
        assert!(
            shipped.unwrap_or_default() == printed.code(0).stdout(),
            "write it anew: cargo run -- generate dashboard {name} >monitoring/dashboards/{name}.json"
        );
    }
    let files = fs::read_dir(&directory).unwrap().count();
    assert_eq!(files, NAMES.len(), "{directory:?} has others");
}

/// Each series is of the chosen gateway, or of none.
#[test]
fn two_gateways_do_not_double_what_jobs_report() {
    for name in ["fleet", "job"] {
        let dashboard = dashboard(name);
        assert!(variables(&dashboard).contains(&"replica"));
        let mut checked = 0;
        for (path, text) in all_strings(&dashboard) {
            if !path.ends_with(".expr") {
                continue;
            }
            let text = text.replace("${prefix}", "p").replace("${histogram}", "h");
            let mut outside = String::new();
            for (index, part) in text.split('{').enumerate() {
                let (matchers, after) = part.split_once('}').unwrap_or(("", part));
                let is_once = matchers.contains("gateway_replica=~\"|$replica\"");
                assert!(index == 0 || is_once, "{name}{path}: {text}");
                outside += &format!("{after} {{");
            }
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            for reported in ["batch_job_", "metricsjob_"] {
                for (at, _) in outside.match_indices(reported) {
                    let after = outside[at..].trim_start_matches(is_name);
                    assert!(after.starts_with(" {"), "{name}{path}: {text}");
                    checked += 1;
                }
            }
        }
        assert!(checked > 10, "{name}: {checked}");
    }
}

#[test]
fn each_panel_has_a_place_of_its_own() {
    for name in NAMES {
        let dashboard = dashboard(name);
        let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
        for panel in dashboard["panels"].as_array().unwrap() {
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{name}: {panel}");
            let [x, y, width, height] =
                ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
            assert!(x + width <= 24, "{name}: {panel}");
            for column in x..x + width {
                for line in y..y + height {
                    assert!(cells.insert((column, line)), "{name}: {panel}");
                }
            }
        }
        let count = |kind: &str| {
            let panels = dashboard["panels"].as_array().unwrap();
            panels.iter().filter(|panel| panel["type"] == kind).count()
        };
        assert!(count("row") >= 5 && ids.len() > 20, "{name}: {ids:?}");
    }
}

/// Queries that contain no unfilled place and no variable that is not there.
#[test]
fn variables_are_defined_before_they_are_used() {
    for name in NAMES {
        let dashboard = dashboard(name);
        let known = variables(&dashboard);
        for (path, text) in all_strings(&dashboard) {
            // Numbers after it are groups of a regular expression.
            for used in used(&text) {
                assert!(known.contains(&used), "{name}{path}: ${used} in {text}");
            }
            assert!(!text.contains('@'), "{name}{path}: {text}");
        }
        for (index, variable) in dashboard["templating"]["list"]
            .as_array()
            .unwrap()
            .iter()
            .enumerate()
        {
            for used in used(variable["query"]["query"].as_str().unwrap_or_default()) {
                assert!(known[..index].contains(&used), "{name}: {variable}");
            }
        }
        let unused = known.iter().filter(|known| {
            let is_used = |(_, text): &(String, String)| used(text).contains(*known);
            // Grafana adds the filters to all queries by itself.
            **known != "filters" && !all_strings(&dashboard).iter().any(is_used)
        });
        assert_eq!(unused.collect::<Vec<_>>(), Vec::<&&str>::new(), "{name}");
    }
}

/// A link opens one of our dashboards, which has the variables that the link sets.
#[test]
fn rows_lead_to_their_job() {
    let all = NAMES.map(dashboard);
    for name in ["fleet", "job", "gateway", "http"] {
        let mut links = 0;
        for (path, text) in all_strings(&dashboard(name)) {
            let Some(target) = text.strip_prefix("/d/") else {
                continue;
            };
            links += 1;
            let (uid, query) = target.split_once('?').unwrap();
            let opened = all.iter().find(|dashboard| dashboard["uid"] == uid);
            let opened = opened.unwrap_or_else(|| panic!("{name}{path}: no {uid}"));
            let set: Vec<&str> = query
                .split('&')
                .filter_map(|pair| pair.strip_prefix("var-")?.split('=').next())
                .collect();
            assert_eq!(set, ["datasource", "job"], "{text}");
            for variable in set {
                assert!(variables(opened).contains(&variable), "{text}");
            }
        }
        assert_eq!(links > 0, name == "fleet", "{name}: {links}");
    }
}

/// Grafana's types, as generated from its schema for Python.
#[cfg(feature = "real-servers")]
#[test]
fn grafana_knows_every_field() {
    use std::process::Command;

    use crate::common::curl::finished;

    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/dashboards/bin/python");
    assert!(
        python.exists(),
        "scripts/test installs grafana-foundation-sdk: {python:?}"
    );
    let check = |document: &Json| {
        let sandbox = Sandbox::new();
        let file = sandbox.write("dashboard.json", document.to_string());
        let mut command = Command::new(&python);
        command
            .arg(root.join("tests/clients/dashboard.py"))
            .stdin(fs::File::open(file).unwrap());
        finished(&mut command)
    };
    for name in NAMES {
        check(&dashboard(name)).code(0).quiet();
    }
    // The check finds what is wrong.
    let mut broken = dashboard("fleet");
    broken["panels"][1]["titel"] = "Groups".into();
    broken["panels"][1]["options"]["graphMode"] = "pie".into();
    broken["panels"][2]["gridPos"]["w"] = "4".into();
    check(&broken)
        .code(0)
        .out("dashboard.panels[1].titel: there is no such field")
        .out("'pie' is no")
        .out("'4' is no");
}
