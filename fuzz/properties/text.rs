//! Text that is accepted can be sent again, in each format, and means the same.

use std::collections::HashSet;

use metricsjob_metrics::text::input::{self, InputFormat};
use metricsjob_metrics::text::{self, Limits};
use metricsjob_metrics::{Family, Kind, Names, check, protobuf};

use super::stored;

pub fn check(body: &[u8]) {
    check_quoted(body);
    check_input(body);
    let limits = Limits {
        max_labels: 3,
        max_label_value_bytes: 10,
        max_name_bytes: 10,
        max_series: usize::MAX,
    };
    let within = text::parse_within(body, &limits);
    let families = match text::parse(body) {
        Ok(families) => families,
        Err(error) => {
            assert!(error.problem.len() < 1000, "{error}");
            assert!(within.is_err(), "{error}");
            return;
        }
    };
    let encoded = text::encode(&families);
    if let Ok(families) = within {
        assert_eq!(text::encode(&families), encoded);
    }
    let checked = check::check_families(&families);
    if collide(&families) {
        assert!(checked.is_err());
    } else {
        let again = text::parse(encoded.as_bytes()).expect("what was accepted");
        // By their text, because a NaN equals nothing.
        assert_eq!(text::encode(&again), encoded);
    }

    let encoded = protobuf::encode(&families);
    let from_protobuf = protobuf::decode(&encoded, &Limits::default());
    let from_protobuf = from_protobuf.expect("what text has");
    assert_eq!(protobuf::encode(&from_protobuf), encoded);
    assert!(text::openmetrics::encode(&families).ends_with("# EOF\n"));
    stored::check(families, Names::Legacy);
}

/// Text for `push`: what is accepted can be sent, and is what a gateway reads.
fn check_input(body: &[u8]) {
    for format in [InputFormat::Text, InputFormat::OpenMetrics] {
        let input = match input::read(body, format) {
            Ok(input) => input,
            Err(error) => {
                assert!(error.problem.len() < 1000, "{error}");
                continue;
            }
        };
        for line in input.remarks.lines() {
            assert!(line.len() < 2000, "{line}");
        }
        let encoded = text::encode(&input.families);
        if !collide(&input.families) {
            let again = text::parse(encoded.as_bytes()).expect("what was accepted");
            assert_eq!(text::encode(&again), encoded);
        }
        // A gateway may see ends of lines, and histograms without a count, in another way, and nothing else.
        let is_histogram = |family: &Family| family.kind == Kind::Histogram;
        if format == InputFormat::Text
            && !body.contains(&b'\r')
            && !input.families.iter().any(is_histogram)
            && let Ok(families) = text::parse(body)
        {
            assert_eq!(text::encode(&families), encoded);
        }
    }
}

/// With any UTF-8 as names, which stand in quotes.
fn check_quoted(body: &[u8]) {
    let parse = |text: &[u8]| text::parse_names(text, &Limits::default(), Names::Utf8);
    let families = match parse(body) {
        Ok(families) => families,
        Err(error) => {
            assert!(error.problem.len() < 1000, "{error}");
            return assert!(text::parse(body).is_err());
        }
    };
    let encoded = text::encode(&families);
    if let Ok(plain) = text::parse(body) {
        assert_eq!(text::encode(&plain), encoded);
    }
    if !collide(&families) {
        let again = parse(encoded.as_bytes()).expect("what was accepted");
        assert_eq!(text::encode(&again), encoded);
    }
    stored::check(families, Names::Utf8);
}

/// Whether lines of one family have the name of another, which was there before its type: text cannot
/// tell whose they are.
fn collide(families: &[Family]) -> bool {
    let names: HashSet<&str> = families.iter().map(|family| &*family.name).collect();
    let mut parts = families.iter().flat_map(|family| {
        let suffixes = family.kind.suffixes().iter();
        suffixes.map(move |suffix| format!("{}{suffix}", family.name))
    });
    parts.any(|name| names.contains(&*name))
}
