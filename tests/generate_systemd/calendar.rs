//! When systemd's timers elapse, held against our own schedules.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::fmt::strtime;
use metricsjob::generate::systemd::{Calendar, calendar};
use metricsjob::job::schedule::{Schedule, Zone};
use rand::seq::IndexedRandom;

use crate::common::campaign;
use crate::common::curl::finished;
use crate::schedules::{due, fields};

/// How many expressions there are normally.
const EXPRESSIONS: usize = 150;

/// How many times systemd is asked for.
const ITERATIONS: usize = 60;

/// One without changes of the clock, and some that have them at other times and by other amounts.
const ZONES: [&str; 5] = [
    "UTC",
    "Asia/Kolkata",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
];

/// Before the clock is put forward, before it is put back, and in a leap year.
const BEGINS: [&str; 3] = [
    "2027-03-12T17:03:04Z",
    "2027-10-29T17:03:04Z",
    "2028-02-27T01:02:03Z",
];

fn seconds(time: &str) -> i64 {
    time.parse::<Timestamp>().unwrap().as_second()
}

fn time(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap())
}

/// The times after `after` at which a timer with `expressions` elapses, up to the last that systemd was asked for.
fn elapses(expressions: &[String], after: i64) -> (Vec<i64>, i64) {
    let (mut all, mut until) = (BTreeSet::new(), i64::MAX);
    for expression in expressions {
        let run = finished(
            Command::new("systemd-analyze")
                .arg("calendar")
                .arg(format!("--iterations={ITERATIONS}"))
                .arg(format!("--base-time=@{after}"))
                .arg(expression)
                .env("TZ", "UTC")
                .env("LC_ALL", "C"),
        );
        let text = run.code(0).stdout();
        let shown = text.lines().filter_map(|line| {
            let (name, value) = line.trim().split_once(": ")?;
            let is_time = name == "Next elapse" || name.starts_with("Iter. #");
            (is_time && value != "never").then(|| {
                let time = strtime::parse("%a %Y-%m-%d %H:%M:%S UTC", value).unwrap();
                time.to_datetime()
                    .unwrap()
                    .to_zoned(jiff::tz::TimeZone::UTC)
                    .unwrap()
            })
        });
        let times: Vec<i64> = shown.map(|time| time.timestamp().as_second()).collect();
        // One of two may be for days that never come, such as a 30 February.
        if text.contains("Next elapse: never\n") {
            continue;
        }
        until = until.min(*times.last().unwrap());
        all.extend(times);
    }
    assert!(!all.is_empty(), "{expressions:?}");
    (all.range(..=until).copied().collect(), until)
}

fn translated(expression: &str, zone: &str, now: i64) -> (Schedule, Calendar) {
    let zone: Zone = zone.parse().unwrap();
    let schedule = Schedule::cron(expression, zone).unwrap();
    let calendar = calendar(&schedule, time(now)).unwrap();
    (schedule, calendar)
}

/// Compares the times of an expression, unless a note says that they differ; returns how many there were.
fn compare(expression: &str, zone: &str, begin: i64) -> usize {
    let (schedule, calendar) = translated(expression, zone, begin);
    if calendar.note.is_some() {
        return 0;
    }
    let (theirs, until) = elapses(&calendar.expressions, begin);
    let ours = due(&schedule, begin, until);
    assert_eq!(
        ours, theirs,
        "{expression} in {zone} from {begin}: {:?}",
        calendar.expressions
    );
    ours.len()
}

#[test]
fn chosen_schedules() {
    for expression in [
        "0 0 13 * fri",
        "30 4 1,15 * 5",
        "0 0 29 2 *",
        "0 12 31 * *",
        "0 0 */2 * mon",
        "0 0 1-7 * */7",
        "15 10 * jan,jul sun",
        "*/7 3-5 * * *",
        "0 2 * * *",
        "30 * * * *",
        "*/20 * * * * *",
        "10-50/20 5 23 * * 1-5",
        "@weekly",
        "@monthly",
        "@yearly",
    ] {
        for zone in ["UTC", "Asia/Kolkata"] {
            for begin in BEGINS {
                assert_ne!(compare(expression, zone, seconds(begin)), 0, "{expression}");
            }
        }
    }
}

#[test]
fn random_schedules() {
    let seed = campaign::seed();
    let (mut times, mut noted) = (0, 0);
    for round in 0..campaign::rounds(EXPRESSIONS) {
        let mut random = campaign::random(seed, round);
        let expression = fields(&mut random).join(" ");
        let zone = ZONES.choose(&mut random).unwrap();
        let begin = seconds(BEGINS.choose(&mut random).unwrap());
        if Schedule::cron(&expression, Zone::utc()).is_err() {
            continue;
        }
        let compared = compare(&expression, zone, begin);
        times += compared;
        noted += usize::from(compared == 0);
    }
    println!("{times} times, {noted} expressions with a note");
    assert!(times > 0);
}

#[test]
fn intervals() {
    for interval in ["20s", "1m", "15m", "1h", "8h", "1day", "7days"] {
        let schedule = Schedule::every(humantime::parse_duration(interval).unwrap()).unwrap();
        for begin in BEGINS.map(seconds) {
            let calendar = calendar(&schedule, time(begin)).unwrap();
            let (theirs, until) = elapses(&calendar.expressions, begin);
            assert_eq!(due(&schedule, begin, until), theirs, "{interval}");
        }
    }
}

/// The notes are true, and are there where something differs.
#[test]
fn changes_of_the_clock() {
    // (expression, begin, only ours, note)
    for (expression, begin, only_ours, note) in [
        // Half past two is skipped; our run takes place right after the change.
        (
            "30 2 * * *",
            "2027-03-27T12:00:00Z",
            Some("2027-03-28T01:00:00Z"),
            "put forward",
        ),
        // In the first pass of the repeated hour for both.
        ("30 2 * * *", "2027-10-30T12:00:00Z", None, "put forward"),
        // Each hour, but no star.
        (
            "30 0-23 * * *",
            "2027-03-27T12:00:00Z",
            Some("2027-03-28T01:00:00Z"),
            "put forward",
        ),
        ("30 0-23 * * *", "2027-10-30T12:00:00Z", None, "put forward"),
        // A star goes by what the clock shows.
        (
            "30 */2 * * *",
            "2027-10-30T12:00:00Z",
            Some("2027-10-31T01:30:00Z"),
            "put back",
        ),
        ("30 */2 * * *", "2027-03-27T12:00:00Z", None, "put back"),
    ] {
        let begin = seconds(begin);
        let (schedule, calendar) = translated(expression, "Europe/Berlin", begin);
        assert!(calendar.note.unwrap().contains(note), "{expression}");
        let (theirs, until) = elapses(&calendar.expressions, begin);
        let mut ours = due(&schedule, begin, until);
        let only_ours = only_ours.map(seconds);
        if let Some(time) = only_ours {
            assert!(ours.contains(&time), "{expression}: {ours:?}");
        }
        ours.retain(|time| Some(*time) != only_ours);
        assert_eq!(ours, theirs, "{expression} from {begin}");
    }
    // Other times of the same zone differ nowhere.
    for begin in ["2027-03-27T12:00:00Z", "2027-10-30T12:00:00Z"] {
        for expression in [
            "30 4 * * *",
            "*/5 *,3 13 * 5",
            "30 12 * * *",
            "30 * * * *",
            "0 4-23 * * *",
        ] {
            assert_ne!(compare(expression, "Europe/Berlin", seconds(begin)), 0);
        }
    }
}
