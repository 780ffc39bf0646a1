//! When Kubernetes starts a job, by the cron library of its controller, held against our own schedules.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, UNIX_EPOCH};

use jiff::Timestamp;
use metricsjob::generate::schedule::for_kubernetes;
use metricsjob::job::schedule::{ClockChanges, Schedule, Zone};
use rand::seq::IndexedRandom;
use serde_json::{Value as Json, json};

use crate::common::curl::finished;
use crate::common::{Sandbox, campaign};
use crate::schedules::{due, fields};

/// How many expressions there are normally.
const EXPRESSIONS: usize = 400;

/// How many times Kubernetes is asked for.
const TIMES: usize = 200;

/// Lord Howe's clock is changed by half an hour, which that library has no eye for.
const ZONES: [&str; 4] = ["UTC", "Asia/Kolkata", "Europe/Berlin", "America/New_York"];

const BEGINS: [&str; 3] = [
    "2027-03-12T17:03:04Z",
    "2027-10-29T17:03:04Z",
    "2028-02-27T01:02:03Z",
];

/// How far from a change of the clock the times of both are the same.
const NEAR: i64 = 4 * 3600;

/// How far ahead changes of the clock are looked at.
const AHEAD: i64 = 28 * 365 * 86_400;

struct Question {
    expression: String,
    zone: &'static str,
    after: i64,
}

impl Question {
    fn schedule(&self) -> Option<Schedule> {
        let zone: Zone = self.zone.parse().unwrap();
        Schedule::cron(&self.expression, zone).ok()
    }

    /// Returns true if a change of the clock strikes it, which the manifest says.
    fn is_struck(&self) -> bool {
        let Some(Schedule::Cron(cron)) = self.schedule() else {
            return false;
        };
        let now = UNIX_EPOCH + Duration::from_secs(self.after.unsigned_abs());
        let changes = ClockChanges::met_by(&cron, now);
        cron.is_at_particular_times() && (changes.skips || changes.repeats)
    }

    fn is_near_a_change(&self, time: i64) -> bool {
        let rules = jiff::tz::TimeZone::get(self.zone).unwrap();
        let before = Timestamp::from_second(time - NEAR).unwrap();
        let change = rules.following(before).next();
        change.is_some_and(|change| change.timestamp().as_second() <= time + NEAR)
    }
}

/// The program that asks the library, which is built once.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(build)
}

fn build() -> PathBuf {
    let build = Path::new(env!("CARGO_TARGET_TMPDIR")).join("go-next");
    let program = build.join("next");
    fs::create_dir_all(&build).unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/next.go");
    let mut go = Command::new("go");
    go.args(["build", "-o"])
        .arg(&program)
        .arg(source)
        .env("GOPATH", "/usr/share/gocode")
        .env("GO111MODULE", "off")
        .env("GOFLAGS", "")
        .env("GOCACHE", build.join("cache"));
    finished(&mut go).code(0);
    program
}

/// The times of Kubernetes for each question that it can be asked.
fn kubernetes(questions: &[Question]) -> Vec<(&Question, Vec<i64>)> {
    let mut asked = Vec::new();
    let mut lines = String::new();
    for question in questions {
        let Some(schedule) = question.schedule() else {
            continue;
        };
        if let Ok((fields, zone)) = for_kubernetes(&schedule) {
            let line = json!({
                "schedule": fields.join(" "),
                "zone": zone,
                "after": question.after,
                "count": TIMES,
            });
            lines += &format!("{line}\n");
            asked.push(question);
        }
    }
    let sandbox = Sandbox::new();
    let lines = fs::File::open(sandbox.write("questions", lines)).unwrap();
    let run = finished(Command::new(program()).stdin(lines));
    let answers = run.code(0).stdout();
    let answers = answers.lines().map(|line| {
        let times: Json = serde_json::from_str(line).unwrap();
        let times = times.as_array().unwrap().iter();
        times.map(|time| time.as_i64().unwrap()).collect::<Vec<_>>()
    });
    let answers: Vec<Vec<i64>> = answers.collect();
    assert_eq!(answers.len(), asked.len());
    asked.into_iter().zip(answers).collect()
}

/// Compares all times; where the manifest says that a change of the clock matters, those that are not near one.
fn compare(questions: &[Question]) -> usize {
    let mut compared = 0;
    for (question, mut theirs) in kubernetes(questions) {
        theirs.retain(|time| *time < question.after + AHEAD);
        let Some(last) = theirs.last().copied() else {
            continue;
        };
        let mut ours = due(&question.schedule().unwrap(), question.after, last);
        if question.is_struck() {
            ours.retain(|time| !question.is_near_a_change(*time));
            theirs.retain(|time| !question.is_near_a_change(*time));
        }
        let Question {
            expression, zone, ..
        } = question;
        assert_eq!(
            ours, theirs,
            "{expression} in {zone} from {}",
            question.after
        );
        compared += ours.len();
    }
    compared
}

fn begin(index: usize) -> i64 {
    let time: Timestamp = BEGINS[index % BEGINS.len()].parse().unwrap();
    time.as_second()
}

#[test]
fn chosen_schedules() {
    let expressions = [
        "0 0 13 * fri",
        "0 0 3,*/10 * mon",
        "0 0 * * fri-sun",
        "0 0 * * 7",
        "0 0 */1 * 5",
        "0 0 1-31 * 5",
        "0 0 29 2 *",
        "0 12 31 * *",
        "15 10 * jan,jul sun",
        "*/7 3-5 * * *",
        "0 0 */2 * *",
        "0 30 4 1,15 * 5",
        "@weekly",
        "@monthly",
        "@hourly",
    ];
    let questions: Vec<Question> = expressions
        .iter()
        .flat_map(|expression| (0..BEGINS.len() * 2).map(move |index| (expression, index)))
        .map(|(expression, index)| Question {
            expression: (*expression).to_owned(),
            zone: ZONES[index % 2],
            after: begin(index / 2),
        })
        .collect();
    assert_eq!(kubernetes(&questions).len(), questions.len());
    assert!(compare(&questions) > 10_000);
}

#[test]
fn random_schedules() {
    let seed = campaign::seed();
    let questions: Vec<Question> = (0..campaign::rounds(EXPRESSIONS))
        .map(|round| {
            let mut random = campaign::random(seed, round);
            Question {
                expression: fields(&mut random).join(" "),
                zone: ZONES.choose(&mut random).unwrap(),
                after: begin(round),
            }
        })
        .collect();
    println!("{} times", compare(&questions));
}

/// The notes are true.
#[test]
fn changes_of_the_clock() {
    let times = |expression: &str, after: &str| -> Vec<String> {
        let question = Question {
            expression: expression.to_owned(),
            zone: "Europe/Berlin",
            after: after.parse::<Timestamp>().unwrap().as_second(),
        };
        assert!(question.is_struck());
        let questions = [question];
        let (_, times) = kubernetes(&questions).remove(0);
        let times = times.into_iter().take(3);
        times
            .map(|time| Timestamp::from_second(time).unwrap().to_string())
            .collect()
    };
    // Skipped.
    assert_eq!(
        times("30 2 * * *", "2027-03-26T12:00:00Z"),
        [
            "2027-03-27T01:30:00Z",
            "2027-03-29T00:30:00Z",
            "2027-03-30T00:30:00Z"
        ]
    );
    // Repeated.
    assert_eq!(
        times("30 2 * * *", "2027-10-30T12:00:00Z"),
        [
            "2027-10-31T00:30:00Z",
            "2027-10-31T01:30:00Z",
            "2027-11-01T01:30:00Z"
        ]
    );
}
