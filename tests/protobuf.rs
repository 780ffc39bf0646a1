//! The protobuf format, in and out, beside what prost makes of the same schema.

use metricsjob_metrics::protobuf::{DecodeError, decode, encode, encode_family, exceeds_text};
use metricsjob_metrics::text::{self, Limits};
use metricsjob_metrics::{Family, Kind, Labels, Metric, Value};
use proptest::prelude::*;
use prost::Message;

use crate::common::client_model as schema;
use crate::common::families::{Format, families};

proptest! {
    #[test]
    fn families_come_back(families in families(Format::Protobuf)) {
        let encoded = encode(&families);
        let prost: Vec<_> = schema::decode(&encoded).unwrap();
        let again: Vec<u8> = prost.iter().flat_map(Message::encode_length_delimited_to_vec).collect();
        prop_assert_eq!(&again, &encoded);
        prop_assert_eq!(decode(&encoded, &Limits::default()), Ok(families.clone()));
        // Both formats say the same, except for what only one of them has.
        let parsed = text::parse(text::encode(&families).as_bytes()).unwrap();
        for (family, from_text) in families.iter().zip(parsed) {
            prop_assert_eq!(exceeds_text(family), family != &from_text);
        }
    }

    #[test]
    fn decoding_anything_ends_without_a_panic(bytes in any::<Vec<u8>>()) {
        let _ = decode(&bytes, &Limits::default());
    }

    #[test]
    fn what_was_changed_can_be_sent_again(
        families in families(Format::Protobuf),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = encode(&families);
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let Ok(families) = decode(&bytes, &Limits::default()) else {
            return Ok(());
        };
        // A NaN equals nothing, but its bytes.
        let encoded = encode(&families);
        let again = decode(&encoded, &Limits::default()).unwrap();
        prop_assert_eq!(encode(&again), encoded);
    }

    #[test]
    fn nothing_that_is_cut_off_is_read(families in families(Format::Protobuf), at in any::<prop::sample::Index>()) {
        let ends: Vec<usize> = families
            .iter()
            .scan(0, |end, family| {
                *end += encode_family(family).len();
                Some(*end)
            })
            .collect();
        let encoded = encode(&families);
        let at = at.index(encoded.len());
        let decoded = decode(&encoded[..at], &Limits::default());
        let is_whole = at == 0 || ends.contains(&at);
        prop_assert_eq!(decoded.is_ok(), is_whole);
    }
}

fn read(bytes: &[u8]) -> Result<Vec<Family>, DecodeError> {
    decode(bytes, &Limits::default())
}

fn message(name: &str) -> schema::MetricFamily {
    schema::MetricFamily {
        name: Some(name.into()),
        ..Default::default()
    }
}

fn counter(value: f64) -> schema::Metric {
    let value = Some(value);
    schema::Metric {
        counter: Some(schema::Number { value }),
        ..Default::default()
    }
}

fn label(name: &str, value: &str) -> schema::LabelPair {
    schema::LabelPair {
        name: Some(name.into()),
        value: Some(value.into()),
    }
}

#[test]
fn without_a_type_it_is_a_counter() {
    let mut family = message("m_total");
    family.metric.push(counter(3.0));
    let read = read(&family.encode_length_delimited_to_vec()).unwrap();
    assert_eq!(text::encode(&read), "# TYPE m_total counter\nm_total 3\n");
}

#[test]
fn of_a_name_the_last_family_counts() {
    let mut bytes = Vec::new();
    for (name, value) in [("a", 1.0), ("b", 2.0), ("a", 3.0), ("", 0.0)] {
        let mut family = message(name);
        if !name.is_empty() {
            family.metric.push(counter(value));
        }
        bytes.extend(family.encode_length_delimited_to_vec());
    }
    let read = read(&bytes).unwrap();
    let values: Vec<_> = read
        .iter()
        .map(|family| (&*family.name, &family.metrics[0].value))
        .collect();
    assert_eq!(
        values,
        [("a", &Value::Number(3.0)), ("b", &Value::Number(2.0))]
    );
}

#[test]
fn labels_are_sorted() {
    let mut family = message("m");
    let mut metric = counter(1.0);
    metric.label = vec![label("b", "2"), label("a", "1"), label("c", "")];
    family.metric.push(metric);
    let read = read(&family.encode_length_delimited_to_vec()).unwrap();
    let expected = Metric {
        labels: Labels::from([("a", "1"), ("b", "2"), ("c", "")]),
        value: Value::Number(1.0),
        timestamp_ms: None,
    };
    assert_eq!(read[0].metrics, [expected]);
}

#[test]
fn packed_numbers_are_read_too() {
    let bytes = [
        b"\x19".as_slice(),
        b"\x0a\x01h\x18\x04",        // name, type HISTOGRAM
        b"\x22\x12\x3a\x10",         // metric, histogram
        b"\x6a\x04\x02\x01\x80\x01", // positive deltas 1, -1, 64
        b"\x72\x08",
        &1.5_f64.to_le_bytes(), // a positive count
    ];
    let families = read(&bytes.concat()).unwrap();
    let Value::Histogram {
        native: Some(native),
        ..
    } = &families[0].metrics[0].value
    else {
        panic!("{families:?}");
    };
    assert_eq!(native.positive.deltas, [1, -1, 64]);
    assert_eq!(native.positive.counts, [1.5]);
    assert!(exceeds_text(&families[0]));
    assert_eq!(
        text::encode(&families),
        "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 0\nh_sum 0\nh_count 0\n"
    );
}

#[test]
fn no_report_is_inconsistent() {
    let problem =
        |family: &schema::MetricFamily| match read(&family.encode_length_delimited_to_vec()) {
            Err(DecodeError::Inconsistent { problem }) => problem,
            other => panic!("{other:?}"),
        };
    let mut family = message("m");
    family.metric.push(counter(1.0));
    family.r#type = Some(1);
    assert_eq!(
        problem(&family),
        "m is a gauge, but a series of it has no such value"
    );
    family.r#type = None;
    family.metric[0].label = vec![label("b", "1"), label("a", ""), label("b", "2")];
    assert_eq!(problem(&family), "m has a series with the label b twice");
    family.metric[0].label.clear();
    // Its label is a = \xff.
    let bytes = b"\x0f\x0a\x01m\x22\x0a\x0a\x06\x0a\x01a\x12\x01\xff\x1a\x00";
    let error = read(bytes);
    assert!(
        matches!(&error, Err(DecodeError::Inconsistent { problem }) if problem.ends_with("is not UTF-8")),
        "{error:?}"
    );
    // What is no protobuf behind it is the worse problem.
    family.r#type = Some(1);
    let mut bytes = family.encode_length_delimited_to_vec();
    let end = bytes.len();
    bytes.extend(b"\x05\x0a");
    let error = read(&bytes);
    assert!(
        matches!(error, Err(DecodeError::Syntax { at, .. }) if at == end),
        "{error:?}"
    );
}

#[test]
fn refusals() {
    let problem = |bytes: &[u8]| match read(bytes) {
        Err(error @ DecodeError::Syntax { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    };
    let mut family = message("m");
    for (number, expected) in [
        (
            5,
            "the message at byte 0 is refused: m is a gauge histogram, and those cannot be pushed",
        ),
        (
            6,
            "the message at byte 0 is refused: m has the type 6, which is unknown",
        ),
    ] {
        family.r#type = Some(number);
        assert_eq!(problem(&family.encode_length_delimited_to_vec()), expected);
    }
    assert_eq!(
        problem(b"\x03\x0a\x01\xff"),
        "the message at byte 0 is refused: the name \"\u{fffd}\" is not UTF-8"
    );
    assert_eq!(
        problem(b"\x03\x0a\x01m\x04\x0a\x01"),
        "the message at byte 4 is refused: 4 bytes should follow, and 2 do"
    );
    assert!(problem(b"m 1\n").starts_with("the message at byte 0 is refused"));
}

#[test]
fn limits() {
    let limits = Limits {
        max_labels: 1,
        max_label_value_bytes: 3,
        max_name_bytes: 4,
        max_series: usize::MAX,
    };
    let mut family = message("name");
    let mut metric = counter(1.0);
    metric.label = vec![label("a", "123")];
    family.metric.push(metric);
    assert!(decode(&family.encode_length_delimited_to_vec(), &limits).is_ok());
    let problem = |change: &dyn Fn(&mut schema::MetricFamily)| {
        let mut family = family.clone();
        change(&mut family);
        match decode(&family.encode_length_delimited_to_vec(), &limits) {
            Err(DecodeError::Syntax { at: 0, problem }) => problem,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        problem(&|family| family.metric[0].label.push(label("b", ""))),
        "a series of name has 2 labels or more, and the limit is 1"
    );
    assert_eq!(
        problem(&|family| family.metric[0].label[0] = label("a", &"x".repeat(1_000_000))),
        "the value of label a has 1000000 bytes, and the limit is 3"
    );
    assert_eq!(
        problem(&|family| family.metric[0].label[0] = label("abcde", "")),
        "the name abcde has 5 bytes, and the limit is 4"
    );
    assert_eq!(
        problem(&|family| family.name = Some("x".repeat(100))),
        format!(
            "the name {}… has 100 bytes, and the limit is 4",
            "x".repeat(60)
        )
    );
}

/// Small messages that would make large structs.
#[test]
fn what_is_small_stays_small() {
    let small: [&[u8]; 6] = [
        b"\x02\x08\x00",                                  // a family
        b"\x05\x0a\x01m\x22\x00",                         // a family with a series
        b"\x0b\x0a\x01h\x18\x04\x22\x04\x3a\x02\x28\x00", // a native histogram
        b"\x22\x02\x1a\x00",                              // a series
        b"\x0a\x00",                                      // a label
        b"\x1a\x00",                                      // a bucket
    ];
    let length = |bytes: &[u8]| {
        let mut length = Vec::new();
        prost::encode_length_delimiter(bytes.len(), &mut length).unwrap();
        [length, bytes.to_vec()].concat()
    };
    let tagged = |tag: u8, bytes: &[u8]| [vec![tag], length(bytes)].concat();
    for (index, piece) in small.into_iter().enumerate() {
        let many = piece.repeat(300_000);
        let bytes = match index {
            0..3 => many,
            3 => length(&many),
            4 => length(&tagged(0x22, &many)),
            _ => length(&[&b"\x18\x04"[..], &tagged(0x22, &tagged(0x3a, &many))].concat()),
        };
        let refused = read(&bytes);
        if index == 1 {
            // All of them have one name, and so one place.
            assert!(
                matches!(refused, Err(DecodeError::Syntax { .. })),
                "{refused:?}"
            );
            continue;
        }
        let problem = refused.expect_err("too much").to_string();
        assert!(
            problem.ends_with("all would take more than 12 times its size in memory"),
            "{index}: {problem}"
        );
    }
}

/// What clients send takes less than the limit.
#[test]
fn a_hundred_thousand_families() {
    let families: Vec<Family> = (0..100_000)
        .map(|n| Family::gauge(format!("m{n}"), "", 1.0))
        .collect();
    assert_eq!(read(&encode(&families)), Ok(families));
}

#[test]
fn a_hundred_thousand_series() {
    let mut family = Family::gauge("m", "", 1.0);
    family.kind = Kind::Counter;
    family.metrics = (0..100_000)
        .map(|n| Metric {
            labels: Labels::from([("n", n.to_string())]),
            value: Value::Number(1.0),
            timestamp_ms: None,
        })
        .collect();
    assert_eq!(read(&encode(&[family.clone()])), Ok(vec![family]));
}
