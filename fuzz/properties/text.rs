//! Text that is accepted can be sent again, in each format, and means the same.

use metricsjob::metrics::text::{self, Limits};
use metricsjob::metrics::{check, protobuf};

pub fn check(body: &[u8]) {
    let limits = Limits {
        max_labels: 3,
        max_label_value_bytes: 10,
        max_name_bytes: 10,
    };
    let within = text::parse_within(body, &limits);
    let strict = text::parse_strictly(body);
    let families = match text::parse(body) {
        Ok(families) => families,
        Err(error) => {
            assert!(error.problem.len() < 1000, "{error}");
            assert!(within.is_err() && strict.is_err(), "{error}");
            return;
        }
    };
    let encoded = text::encode(&families);
    let again = text::parse(encoded.as_bytes()).expect("what was accepted");
    // By their text, because a NaN equals nothing.
    assert_eq!(text::encode(&again), encoded);
    for families in [within, strict].into_iter().flatten() {
        assert_eq!(text::encode(&families), encoded);
    }

    let encoded = protobuf::encode(&again);
    let from_protobuf = protobuf::decode(&encoded, &Limits::default());
    // Two families of one name are one in text.
    let from_protobuf = from_protobuf.expect("what text has");
    assert_eq!(protobuf::encode(&from_protobuf), encoded);
    let _ = check::check_families(&families);
    assert!(text::openmetrics::encode(&families).ends_with("# EOF\n"));
}
