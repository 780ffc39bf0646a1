//! Schedules of job files, held against cronsim, which is modelled on Debian's cron.
//!
//! `scripts/test` installs it under `target`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use metricsjob::job::schedule::{Schedule, Zone};
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};
use serde_json::{Value as Json, json};

use crate::common::campaign;

/// How many expressions there are normally.
const EXPRESSIONS: usize = 400;

/// Berlin and New York change their clocks on different days, Sydney has summer in January. Troll's
/// clock is put forward by two hours, Lord Howe's by half an hour.
const ZONES: [&str; 7] = [
    "UTC",
    "Asia/Kolkata",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Sydney",
    "Australia/Lord_Howe",
    "Antarctica/Troll",
];

/// Those that do not change their clocks.
const STEADY: usize = 2;

/// In seconds.
const DAY: i64 = 86_400;
const YEAR: i64 = 366 * DAY;

/// An expression and the times for which both are asked.
struct Question {
    expression: String,
    zone: &'static str,
    /// Seconds since the Unix epoch; the times after the first are asked for, up to the second.
    windows: Vec<(i64, i64)>,
}

#[test]
fn random_schedules_are_due_when_cronsim_says() {
    let seed = campaign::seed();
    let questions: Vec<Question> = (0..campaign::rounds(EXPRESSIONS))
        .map(|round| question(&mut campaign::random(seed, round)))
        .collect();
    let answers = cronsim(&questions);
    let (mut different, mut times) = (String::new(), 0);
    for (question, answer) in questions.iter().zip(&answers) {
        let ours = ours(question);
        times += ours.iter().flatten().map(Vec::len).sum::<usize>();
        if json!(ours) != *answer {
            let Question {
                expression, zone, ..
            } = question;
            let first = first_difference(&json!(ours), answer);
            writeln!(different, "{expression} in {zone}: {first}").unwrap();
        }
    }
    println!("{} expressions, {times} times", questions.len());
    assert_eq!(different, "", "seed {seed}");
}

fn question(random: &mut impl Rng) -> Question {
    let fields = fields(random);
    let often = |field: &String| field.contains(['*', '-', ',']);
    let (zones, is_frequent) = match &*fields {
        // cronsim has cron's rules for a particular time only for what Debian's cron can read.
        [second, minute, hour, _, _, _] if !minute.starts_with('*') && !hour.starts_with('*') => {
            (&ZONES[..STEADY], often(second) || often(minute))
        }
        [.., minute, _, _, _, _] => (&ZONES[..], often(minute)),
        _ => unreachable!(),
    };
    let zone = *zones.choose(random).unwrap();
    let begin = random.random_range(50 * YEAR..68 * YEAR);
    let length = if is_frequent || zone == "Australia/Lord_Howe" {
        2 * DAY
    } else {
        YEAR
    };
    let rules = TimeZone::get(zone).unwrap();
    let changes = rules.following(Timestamp::from_second(begin).unwrap());
    let mut windows: Vec<_> = changes
        .map(|change| change.timestamp().as_second())
        .map(|at| (at - 4 * 3600, at + 4 * 3600))
        .take(2)
        .collect();
    windows.push((begin, begin + length));
    Question {
        expression: fields.join(" "),
        zone,
        windows,
    }
}

/// The fields of a random expression, in one of six cases with seconds.
pub fn fields(random: &mut impl Rng) -> Vec<String> {
    let mut fields = Vec::new();
    if random.random_ratio(1, 6) {
        fields.push(field(random, 0, 59, &[]));
    }
    fields.push(field(random, 0, 59, &[]));
    // Those that clocks are changed in are of more interest.
    let hours = ["*", "*/2", "0-23", "0,2", "1", "1-3", "2", "2-4", "3"];
    fields.push(if random.random_ratio(1, 2) {
        (*hours.choose(random).unwrap()).to_owned()
    } else {
        field(random, 0, 23, &[])
    });
    fields.push(day(random, 1, 31, &[]));
    fields.push(day(random, 1, 12, &["jan", "FEB", "Mar", "oct", "nov"]));
    fields.push(day(random, 0, 7, &["sun", "Mon", "sat"]));
    fields
}

fn day(random: &mut impl Rng, min: u8, max: u8, names: &[&str]) -> String {
    if random.random_ratio(1, 2) {
        "*".to_owned()
    } else {
        field(random, min, max, names)
    }
}

fn field(random: &mut impl Rng, min: u8, max: u8, names: &[&str]) -> String {
    let elements = *[1, 1, 1, 2, 3].choose(random).unwrap();
    let elements: Vec<String> = (0..elements)
        .map(|_| element(random, min, max, names))
        .collect();
    elements.join(",")
}

fn element(random: &mut impl Rng, min: u8, max: u8, names: &[&str]) -> String {
    let (a, b) = (
        random.random_range(min..=max),
        random.random_range(min..=max),
    );
    let range = format!("{}-{}", a.min(b), a.max(b));
    match random.random_range(0..8) {
        0 => "*".to_owned(),
        1 => format!("*/{}", random.random_range(1..=max)),
        2 => range,
        // A range of one value is a single value for cronsim, and a step with it begins a range.
        3 if a != b => format!("{range}/{}", random.random_range(1..=max)),
        4 if !names.is_empty() => names.choose(random).unwrap().to_string(),
        _ => a.to_string(),
    }
}

fn ours(question: &Question) -> Option<Vec<Vec<i64>>> {
    let zone: Zone = question.zone.parse().unwrap();
    let schedule = Schedule::cron(&question.expression, zone).ok()?;
    let windows = question.windows.iter();
    Some(
        windows
            .map(|(after, until)| due(&schedule, *after, *until))
            .collect(),
    )
}

/// The times after `after` at which `schedule` is due, up to `until`, in seconds since the Unix epoch.
pub fn due(schedule: &Schedule, after: i64, until: i64) -> Vec<i64> {
    let time = |seconds: i64| UNIX_EPOCH + Duration::from_secs(seconds as u64);
    let mut times = Vec::new();
    let mut next: Option<SystemTime> = schedule.next_after(time(after));
    while let Some(due) = next.filter(|due| *due <= time(until)) {
        times.push(due.duration_since(UNIX_EPOCH).unwrap().as_secs() as i64);
        next = schedule.next_after(due);
    }
    times
}

fn cronsim(questions: &[Question]) -> Vec<Json> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/cronsim/bin/python");
    assert!(python.exists(), "scripts/test installs cronsim: {python:?}");
    let mut child = Command::new(python)
        .arg(root.join("tests/schedules/occurrences.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: String = questions
        .iter()
        .map(|question| {
            let Question {
                expression,
                zone,
                windows,
            } = question;
            format!(
                "{}\n",
                json!({ "expression": expression, "zone": zone, "windows": windows })
            )
        })
        .collect();
    let mut stdin = child.stdin.take().unwrap();
    let writer = thread::spawn(move || stdin.write_all(lines.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    let answers = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<Json> = answers
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), questions.len());
    answers
}

/// The first time that only one of them has.
fn first_difference(ours: &Json, theirs: &Json) -> String {
    let times = |answer: &Json| -> Vec<i64> {
        let windows = answer.as_array().into_iter().flatten();
        windows
            .flat_map(|window| window.as_array().unwrap())
            .map(|time| time.as_i64().unwrap())
            .collect()
    };
    if ours.is_null() || theirs.is_null() {
        return format!(
            "we take it: {}, cronsim: {}",
            !ours.is_null(),
            !theirs.is_null()
        );
    }
    let (ours, theirs) = (times(ours), times(theirs));
    let shown = |times: &[i64], others: &[i64]| {
        let only = times.iter().find(|time| !others.contains(time));
        only.map(|time| Timestamp::from_second(*time).unwrap().to_string())
    };
    format!(
        "only ours {:?}, only cronsim's {:?}",
        shown(&ours, &theirs),
        shown(&theirs, &ours)
    )
}
