//! Random sequences of requests, from a seed that is shown.

use std::collections::BTreeMap;

use metricsjob_metrics::text;
use rand::seq::{IndexedRandom, IteratorRandom};
use rand::{Rng, RngExt};

use crate::common::campaign;

use super::pair::beside;
use super::request::{Request, delete, post, put, wipe};
use super::texts;

/// How many requests a sequence has, and how many sequences are normal.
const REQUESTS: usize = 100;
const ROUNDS: usize = 8;

#[test]
fn random_sequences() {
    let seed = campaign::seed();
    let mut answers: BTreeMap<u16, usize> = BTreeMap::new();
    beside(&[], |pair| {
        for round in 0..campaign::rounds(ROUNDS) {
            let mut random = campaign::random(seed, round);
            for at in 1..=REQUESTS {
                let status = pair.send(&any_request(&mut random));
                *answers.entry(status).or_default() += 1;
                if at % 10 == 0 {
                    pair.compare();
                }
            }
            pair.wipe();
        }
    });
    assert_mixed(&answers);
}

/// Asserts that of many answers neither kind is rare, or there would not be much to compare.
fn assert_mixed(answers: &BTreeMap<u16, usize>) {
    println!("{answers:?}");
    let all: usize = answers.values().sum();
    for status in [200, 400] {
        let number = answers.get(&status).copied().unwrap_or_default();
        assert!(number * 8 > all || all < 100, "{answers:?}");
    }
}

/// How many texts are normal.
const TEXTS: usize = 400;

#[test]
fn texts_with_changed_bytes() {
    let seed = campaign::seed();
    // Counts and times are known to differ.
    let differs = |text: &str| {
        ["_count", "_bucket", "push_"]
            .iter()
            .any(|it| text.contains(it))
    };
    let is_usable =
        |text: &&&str| text.is_ascii() && !differs(text) && text::parse(text.as_bytes()).is_ok();
    let texts: Vec<_> = texts::TEXTS.iter().filter(is_usable).collect();
    let mut random = campaign::random(seed, 0);
    let mut answers = BTreeMap::new();
    beside(&[], |pair| {
        for at in 1..=campaign::rounds(TEXTS) {
            let mut text = texts.choose(&mut random).unwrap().to_string();
            for _ in 0..random.random_range(1..3) {
                change_a_byte(&mut random, &mut text);
            }
            let of_type = |line: &str| line.contains("TYPE") && line.contains('\\');
            // Known to differ.
            if !text.lines().any(of_type) {
                let status = pair.send(&post("job/a", text));
                *answers.entry(status).or_default() += 1;
            }
            if at % 5 == 0 {
                pair.compare();
                pair.wipe();
            }
        }
    });
    assert_mixed(&answers);
}

const GROUPS: [&str; 7] = [
    "job/a",
    "job/a/x/1",
    "job/b/instance/i",
    "job/b/x/1/instance/",
    "job/d/x/",
    "job@base64/YS9i/y@base64/4pyT",
    "job/c/quantile/1",
];

/// The types that families mostly have, so that most pushes are taken.
const NAMES: [(&str, &str); 8] = [
    ("m", "summary"),
    ("n", "histogram"),
    ("g", "gauge"),
    ("c", "counter"),
    ("u", "untyped"),
    ("m_count", "counter"),
    ("n_bucket", "gauge"),
    ("push_time_seconds", "gauge"),
];

const LABELS: [&str; 7] = [
    "",
    "l=\"1\"",
    "l=\"2\"",
    "x=\"1\"",
    "instance=\"i\"",
    "job=\"q\",l=\"1\"",
    "x=\"\",l=\"3\"",
];

fn any_request(random: &mut impl Rng) -> Request {
    let group = GROUPS.choose(random).unwrap();
    match random.random_range(0..40) {
        0 => return wipe(),
        1..5 => return delete(group),
        _ => {}
    }
    let body = any_body(random);
    let push = if random.random_ratio(1, 2) {
        put(group, &body)
    } else {
        post(group, &body)
    };
    let push = if random.random_ratio(1, 15) {
        let length = random.random_range(0..=push.body.len());
        push.cut(length)
    } else {
        push
    };
    let push = if random.random_ratio(1, 3) && text::parse(&push.body).is_ok() {
        push.protobuf()
    } else {
        push
    };
    if random.random_ratio(1, 4) {
        push.gzip()
    } else {
        push
    }
}

pub fn any_body(random: &mut impl Rng) -> String {
    let mut body = String::new();
    let number = random.random_range(0..4);
    for (name, usual) in NAMES.into_iter().sample(random, number) {
        // The names that clash with others are rare.
        if name.contains('_') && random.random_ratio(3, 4) {
            continue;
        }
        let kinds = ["summary", "histogram", "counter", "gauge", "untyped"];
        let kind = if random.random_ratio(1, 15) {
            kinds.choose(random).unwrap()
        } else {
            usual
        };
        any_family(random, name, kind, &mut body);
    }
    if random.random_ratio(1, 20) {
        change_a_byte(random, &mut body);
    }
    body
}

fn any_family(random: &mut impl Rng, name: &str, kind: &str, out: &mut String) {
    if random.random_ratio(1, 2) {
        let help = random.random_range(0..3);
        out.push_str(&format!("# HELP {name} help {help}\n"));
    }
    if !random.random_ratio(1, 20) {
        out.push_str(&format!("# TYPE {name} {kind}\n"));
    }
    let number = random.random_range(1..3);
    let mut seen = Vec::new();
    for mut labels in LABELS.into_iter().sample(random, number) {
        if random.random_ratio(1, 20) {
            labels = LABELS.choose(random).unwrap();
        }
        // A bucket or quantile that stands twice is known to differ.
        if seen.contains(&labels) && matches!(kind, "summary" | "histogram") {
            continue;
        }
        seen.push(labels);
        let value = random.random_range(0..100);
        let time = if random.random_ratio(1, 40) { " 5" } else { "" };
        let comma = if labels.is_empty() { "" } else { "," };
        match kind {
            "summary" => out.push_str(&format!(
                "{name}{{quantile=\"0.5\"{comma}{labels}}} {value}\n\
                 {name}_sum{{{labels}}} 1\n\
                 {name}_count{{{labels}}} {value}{time}\n"
            )),
            "histogram" => {
                for le in ["1", "2.5", "+Inf"]
                    .into_iter()
                    .filter(|_| random.random_ratio(2, 3))
                {
                    out.push_str(&format!(
                        "{name}_bucket{{le=\"{le}\"{comma}{labels}}} {value}\n"
                    ));
                }
                out.push_str(&format!(
                    "{name}_sum{{{labels}}} 1{time}\n{name}_count{{{labels}}} {value}\n"
                ));
            }
            _ => out.push_str(&format!("{name}{{{labels}}} {value}{time}\n")),
        }
    }
}

/// Bytes that mean something in the text format.
const BYTES: [&str; 20] = [
    "\n", " ", "\t", "#", "\"", "\\", "{", "}", ",", "=", "_", "-", "+", ".", "0", "e", "l", "n",
    "t", "\r",
];

/// Makes one byte another one, or removes it, or puts one before it.
fn change_a_byte(random: &mut impl Rng, body: &mut String) {
    if let Some(at) = (0..body.len()).choose(random) {
        let byte = BYTES.choose(random).unwrap();
        match random.random_range(0..3) {
            0 => body.replace_range(at..=at, byte),
            1 => body.replace_range(at..=at, ""),
            _ => body.insert_str(at, byte),
        }
    }
}
