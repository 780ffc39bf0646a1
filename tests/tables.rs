//! Tables on terminals of 80 and 200 columns, plain and coloured. `script`, of util-linux, gives the program one.
//!
//! Dates are masked by as many characters; ages are far enough from the next unit that no machine is too slow for them.

use std::process::{Command, Stdio};
use std::time::SystemTime;

use insta::assert_snapshot;
use metricsjob_metrics::{GroupingKey, unix_seconds};
use regex_automata::meta::Regex;
use rusqlite::Connection;
use serde_json::{Value as Json, json};
use unicode_width::UnicodeWidthChar;

use crate::common::{FakeServer, Finished, Sandbox, US, environment, isolate, stamp};

const MINUTE: f64 = 60.0;
const HOUR: f64 = 60.0 * MINUTE;
const DAY: f64 = 24.0 * HOUR;

/// A little more than a whole number of units, so that the age stays the same while a test runs.
fn ago(age: f64) -> f64 {
    unix_seconds(SystemTime::now()) - age * 1.1
}

/// Runs the program on a terminal of this width.
fn on_terminal(sandbox: &Sandbox, columns: usize, line: &str) -> String {
    let command = format!("stty cols {columns} rows 50; exec {US} {line}");
    let mut script = Command::new("script");
    script
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .current_dir(sandbox.path())
        .env_clear()
        .envs(environment(sandbox.path()))
        .envs(sandbox.variables())
        .env("TERM", "xterm-256color")
        .stdin(Stdio::null());
    isolate(&mut script);
    let shown = Finished::from(script.output().unwrap());
    let shown = shown.code(0).stdout().replace("\r\n", "\n");
    for line in without_colours(&shown).lines() {
        let width: usize = line.chars().map(|c| c.width().unwrap()).sum();
        assert!(width <= columns, "{width} columns, not {columns}: {line:?}");
    }
    shown
}

fn replaced(text: &str, pattern: &str, by: &str) -> String {
    let pattern = Regex::new(pattern).unwrap();
    let (mut replaced, mut end) = (String::new(), 0);
    for found in pattern.find_iter(text) {
        replaced += &text[end..found.start()];
        replaced += by;
        end = found.end();
    }
    replaced + &text[end..]
}

fn without_colours(text: &str) -> String {
    replaced(text, "\u{1b}\\[[0-9;]*m", "")
}

/// The text with visible escapes and masked dates.
fn masked(text: &str) -> String {
    let text = text.replace('\u{1b}', "␛");
    let text = replaced(
        &text,
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d",
        "YYYY-MM-DD hh:mm:ss",
    );
    let text = replaced(&text, r"\b\d\d-\d\d \d\d:\d\d", "MM-DD hh:mm");
    let text = replaced(&text, r"\b20\d\d-\d\d-\d\d", "YYYY-MM-DD");
    // No ends of lines that an editor would take away.
    assert!(text.lines().all(|line| line.trim_end() == line), "{text:?}");
    text
}

/// Compares what `line` shows with the snapshots of `name`.
fn assert_tables(sandbox: &Sandbox, name: &str, line: &str) {
    for columns in [80, 200] {
        let coloured = on_terminal(sandbox, columns, line);
        let plain = on_terminal(sandbox, columns, &format!("{line} --color never"));
        assert_eq!(without_colours(&coloured), plain);
        assert!(coloured.contains('\u{1b}') && !plain.contains('\u{1b}'));
        assert_snapshot!(format!("{name}_{columns}_plain"), masked(&plain));
        assert_snapshot!(format!("{name}_{columns}_coloured"), masked(&coloured));
    }
}

/// A group as a Pushgateway's API shows it.
fn group(labels: Json, metrics: &[(&str, f64)], push_age: f64, failure_age: Option<f64>) -> Json {
    let family = |value: f64| json!({ "type": "GAUGE", "metrics": [{ "labels": {}, "value": value.to_string() }] });
    let failure = failure_age.map_or(0.0, ago);
    let mut group = json!({
        "labels": labels,
        "last_push_successful": failure_age.is_none(),
        "push_time_seconds": family(ago(push_age)),
        "push_failure_time_seconds": family(failure),
    });
    for (name, value) in metrics {
        group[*name] = family(*value);
    }
    group
}

fn gateway() -> FakeServer {
    let run = |success: f64, code: f64, age: f64, last_success: Option<f64>| {
        let mut metrics = vec![
            ("batch_job_success", success),
            ("batch_job_exit_code", code),
            ("batch_job_duration_seconds", 754.3),
            ("batch_job_start_timestamp_seconds", ago(age)),
            ("batch_job_last_completion_timestamp_seconds", ago(age)),
        ];
        let last_success =
            last_success.map(|age| ("batch_job_last_success_timestamp_seconds", ago(age)));
        metrics.extend(last_success);
        metrics
    };
    let late = ("batch_job_deadline_timestamp_seconds", ago(HOUR * 3.0));
    let with = |mut metrics: Vec<_>, more| {
        metrics.push(more);
        metrics
    };
    let groups = [
        group(
            json!({"job": "web_metrics"}),
            &[("requests", 7.0)],
            3.0 * MINUTE,
            None,
        ),
        group(
            json!({"job": "nightly_backup", "db": "customers", "site": "berlin", "tier": "gold"}),
            &run(1.0, 0.0, 5.0 * HOUR, Some(5.0 * HOUR)),
            5.0 * HOUR,
            None,
        ),
        group(
            json!({"job": "import_of_all_orders_of_all_shops", "shop": "a-very-long-name-of-a-shop"}),
            &with(run(0.0, 3.0, 3.0 * HOUR, Some(9.0 * DAY)), late),
            3.0 * HOUR,
            None,
        ),
        group(
            json!({"job": "夜間バックアップ", "地域": "東京"}),
            &run(0.0, 137.0, 4.0 * HOUR, None),
            4.0 * HOUR,
            None,
        ),
        group(
            json!({"job": "sync"}),
            &with(run(1.0, 0.0, 2.0 * DAY, Some(2.0 * DAY)), late),
            2.0 * DAY,
            None,
        ),
        group(
            json!({"job": "refused"}),
            &run(1.0, 0.0, 3.0 * DAY, Some(3.0 * DAY)),
            3.0 * DAY,
            Some(5.0 * MINUTE),
        ),
        group(
            json!({"job": "live"}),
            &[
                ("batch_job_running", 1.0),
                ("batch_job_start_timestamp_seconds", ago(8.0 * MINUTE)),
            ],
            2.0 * MINUTE,
            None,
        ),
    ];
    let body = json!({ "status": "success", "data": groups }).to_string();
    FakeServer::status("200 OK", &body)
}

#[test]
fn status() {
    let (gateway, sandbox) = (gateway(), Sandbox::new());
    assert_tables(
        &sandbox,
        "status",
        &format!("status --gateway {}", gateway.url()),
    );
}

/// A history with runs of many kinds.
fn history() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.exec("--job first --no-push", "true").code(0);
    let database = Connection::open(sandbox.state_db()).unwrap();
    database.execute("DELETE FROM runs", []).unwrap();
    let run = |name: &str,
               key: &[(&str, &str)],
               age: f64,
               outcome: &str,
               code: u8,
               duration: f64| {
        let labels = key
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()));
        let key = GroupingKey::new(name, labels).unwrap();
        let insert = "INSERT INTO runs (id, run_id, name, job, grouping_key, started_at, ended_at, duration, outcome,
            exit_code, failure, attempts, cpu_user, cpu_system, max_rss, metrics, tail)
            SELECT coalesce(max(id), 0) + 1, printf('%08x%08x', coalesce(max(id), 0) * 305419896 + 439041101, 7),
                ?1, ?1, ?2, ?3, ?3 + ?4, ?4, ?5, ?6, NULL, 2, 1.5, 0.25, 12582912, '', '' FROM runs";
        let key = serde_json::to_string(&key).unwrap();
        let values = rusqlite::params![name, key, ago(age), duration, outcome, code];
        database.execute(insert, values).unwrap();
    };
    run(
        "nightly_backup",
        &[("db", "customers"), ("site", "berlin")],
        400.0 * DAY,
        "success",
        0,
        80.0,
    );
    for age in (3..8).rev() {
        let age = f64::from(age);
        run("sync_orders", &[], age * DAY, "success", 0, age * 7.0);
    }
    run(
        "import_of_all_orders_of_all_shops",
        &[("shop", "a-very-long-name-of-a-shop")],
        9.0 * HOUR,
        "failure",
        3,
        4000.0,
    );
    run(
        "夜間バックアップ",
        &[("region", "東京")],
        8.0 * HOUR,
        "signal",
        137,
        0.2,
    );
    run("sync_orders", &[], 7.0 * HOUR, "timeout", 124, 600.0);
    run("sync_orders", &[], 6.0 * HOUR, "skipped", 0, 0.0);
    run(
        "nightly_backup",
        &[("db", "customers"), ("site", "berlin")],
        5.0 * HOUR,
        "success",
        0,
        90.5,
    );
    stamp(&database);
    sandbox
}

#[test]
fn runs() {
    assert_tables(&history(), "history", "history");
}

#[test]
fn durations() {
    assert_tables(&history(), "history_stats", "history --stats");
}

#[test]
fn jobs() {
    let sandbox = Sandbox::new().variable("TZ", "UTC");
    let job = |name: &str, text: &str| sandbox.write(&format!("all/{name}.toml"), text);
    job("short", "command = ['true']\n");
    job(
        "import_of_all_orders_of_all_shops",
        "description = 'Import the orders of yesterday from each shop into the warehouse'\n\
         command = ['/opt/import/bin/import', '--all', '--from', 'yesterday', '--to', 'warehouse']\n\
         schedule = '30 2 * * mon-fri'\ntimezone = 'Europe/Berlin'\n",
    );
    job(
        "夜間バックアップ",
        "description = '毎晩データベースをバックアップする'\nbuiltin = 'backup'\nevery = '1h 30m'\n",
    );
    assert_tables(&sandbox, "list", "list --jobs-dir all");
}

/// An outbox with entries that wait, were rejected, or were overtaken.
fn outbox() -> Sandbox {
    let sandbox = Sandbox::new();
    for group in [
        "sync",
        "nightly_backup -g db=customers -g site=berlin",
        "import_of_all_orders_of_all_shops -g shop=a-very-long-name-of-a-shop",
        "夜間バックアップ -g region=東京",
    ] {
        let line = format!("push --job {group} --gateway 127.0.0.1:1");
        sandbox.run_with_input(&line, "m 1\n").code(69);
    }
    let database = Connection::open(sandbox.state_db()).unwrap();
    for (id, age, rejected, overtaken, error) in [
        (1, 5.0 * MINUTE, 0, 0, ""),
        (
            2,
            3.0 * HOUR,
            0,
            0,
            "could not connect to http://pushgateway.example:9091/metrics/job/nightly_backup: timed out",
        ),
        (
            3,
            4.0 * DAY,
            1,
            0,
            "http://pushgateway.example:9091 answered 400 Bad Request: pushed metrics are invalid",
        ),
        (
            4,
            5.0 * DAY,
            1,
            1,
            "http://pushgateway.example:9091 answered 400 Bad Request: 矛盾する",
        ),
    ] {
        let update = "UPDATE outbox SET gateway = 'http://pushgateway.example:9091', produced_at = ?2, is_rejected = ?3,
            is_overtaken = ?4, error = ?5, attempts = 12 WHERE id = ?1";
        let values = (id, ago(age), rejected, overtaken, error);
        assert_eq!(database.execute(update, values).unwrap(), 1);
    }
    stamp(&database);
    sandbox
}

#[test]
fn entries_of_the_outbox() {
    assert_tables(&outbox(), "outbox", "outbox list");
}

/// Whoever searches the output finds everything, and watch(1) shows rows that are not wrapped.
#[test]
fn only_columns_narrows_what_is_not_a_terminal() {
    let sandbox = history();
    let full = sandbox.run("history").code(0).stdout();
    for part in [
        "a-very-long-name-of-a-shop",
        "import_of_all_orders_of_all_shops",
        "ATTEMPTS",
        "8h ago",
    ] {
        assert!(full.contains(part), "no {part}: {full}");
    }
    let width = |columns: &str| {
        let mut command = sandbox.command(["history"]);
        let run = Finished::from(command.env("COLUMNS", columns).output().unwrap());
        let text = run.code(0).stdout();
        let width = |line: &str| line.chars().map(|c| c.width().unwrap()).sum::<usize>();
        text.lines().map(width).max().unwrap()
    };
    assert!((70..=80).contains(&width("80")));
    assert!((30..=40).contains(&width("40")));
    let unlimited = width("1000");
    for none in ["", "0", "-1", "wide"] {
        assert_eq!(width(none), unlimited, "{none:?}");
    }
}

#[test]
fn no_terminal_is_too_narrow() {
    let (history, outbox) = (history(), outbox());
    for columns in [1, 7, 20, 33, 50, 120] {
        on_terminal(&history, columns, "history");
        on_terminal(&history, columns, "history --stats");
        on_terminal(&outbox, columns, "outbox list");
    }
}

#[test]
fn colours_are_where_they_are_wanted() {
    let sandbox = history();
    let is_coloured = |line: &str| sandbox.run(line).code(0).stdout().contains('\u{1b}');
    assert!(!is_coloured("history"));
    assert!(!is_coloured("history --color auto"));
    assert!(is_coloured("history --color always"));
    assert!(is_coloured("--color=always history"));
    sandbox
        .run("history --color maybe")
        .code(2)
        .err("[possible values: auto, always, never]");
    let error = sandbox.run("--color always run nothing");
    error.code(2).err("\u{1b}[1m\u{1b}[31merror:");
    // What a command is given is its own.
    sandbox.run("exec -- echo --color").code(0).out("--color\n");
    // An option says more than a variable.
    let mut command = sandbox.command(["history", "--color", "always"]);
    let run = Finished::from(command.env("NO_COLOR", "1").output().unwrap());
    run.code(0).out("\u{1b}[32msuccess");
}
