//! Messages that are accepted can be sent again, in each format, and mean the same.

use metricsjob::metrics::text::{self, Limits};
use metricsjob::metrics::{Names, check, protobuf};

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
    stored::check(families.clone(), Names::Legacy);
    stored::check(families, Names::Utf8);
}
