//! Messages that are accepted can be sent again, in each format, and mean the same.

use metricsjob_metrics::text::{self, Limits};
use metricsjob_metrics::{Family, Names, NativeHistogram, Value, check, protobuf};

use super::stored::{self, series};

pub fn check(body: &[u8]) {
    let families = match protobuf::decode(body, &Limits::default()) {
        Ok(families) => families,
        Err(error) => {
            assert!(error.to_string().len() < 1000, "{error}");
            return;
        }
    };
    let encoded = protobuf::encode(&families);
    let again = protobuf::decode(&encoded, &Limits::default());
    // By their bytes, because a NaN equals nothing. What is sent in full may be too much at once:
    // absent fields are small.
    if let Ok(again) = again {
        assert_eq!(protobuf::encode(&again), encoded);
    }
    let one_by_one: Vec<u8> = families.iter().flat_map(protobuf::encode_family).collect();
    assert_eq!(one_by_one, encoded);

    // What a gateway takes has a text that can be read, and says the same.
    if check::check_families(&families).is_ok() {
        let encoded = text::encode(&families);
        let again = text::parse(encoded.as_bytes()).expect("what was checked");
        assert_eq!(again.len(), families.len());
        assert!(check::check_families(&again).is_ok());
        assert_eq!(series(&again), series(&families));
    }
    check_native_buckets(&families);
    stored::check(families.clone(), Names::Legacy);
    stored::check(families, Names::Utf8);
}

/// No more native buckets are shown than have a count, however many are promised.
fn check_native_buckets(families: &[Family]) {
    for metric in families.iter().flat_map(|family| &family.metrics) {
        let Value::Histogram {
            count,
            native: Some(native),
            ..
        } = &metric.value
        else {
            continue;
        };
        let shown: Vec<_> = native.buckets(*count).collect();
        let sides = [&native.negative, &native.positive];
        let counts = sides.map(|side| side.deltas.len().max(side.counts.len()));
        assert!(shown.len() <= 1 + counts[0] + counts[1]);
        // What is shown may be read again, and mostly can.
        let _ = NativeHistogram::of_buckets(&shown);
    }
}
