//! Property tests of what goes over the wire: text and paths come back as they were.

use metricsjob_metrics::path::group_path;
use metricsjob_metrics::text::Limits;
use metricsjob_metrics::{GroupingKey, text};
use proptest::prelude::*;

use crate::common::families::{Format, families, labels};

proptest! {
    #[test]
    fn families_come_back_from_text(families in families(Format::Text)) {
        let encoded = text::encode(&families);
        let parsed = text::parse(encoded.as_bytes());
        prop_assert_eq!(parsed.as_ref(), Ok(&families), "{}", encoded);
    }

    #[test]
    fn parsing_anything_ends_without_a_panic(bytes in any::<Vec<u8>>()) {
        let _ = text::parse(&bytes);
    }

    #[test]
    fn what_is_within_limits_is_parsed_as_without(
        families in families(Format::Text),
        max_labels in 0..5_usize,
        max_label_value_bytes in 0..40_usize,
        max_name_bytes in 0..15_usize,
    ) {
        let limits = Limits { max_labels, max_label_value_bytes, max_name_bytes, max_series: usize::MAX };
        let metrics = || families.iter().flat_map(|family| &family.metrics);
        let is_within = families.iter().all(|family| family.name.len() <= max_name_bytes)
            && metrics().all(|metric| {
                metric.labels.len() <= max_labels
                    && metric.labels.keys().all(|name| name.len() <= max_name_bytes)
                    && metric.labels.values().all(|value| value.len() <= max_label_value_bytes)
            });
        let parsed = text::parse_within(text::encode(&families).as_bytes(), &limits);
        prop_assert_eq!(parsed.ok(), is_within.then_some(families));
    }

    #[test]
    fn parsing_nearly_text_ends_without_a_panic(
        pieces in prop::collection::vec(
            prop::sample::select(vec![
                "# HELP ", "# TYPE ", "a", "a_count", "a_bucket", "{", "}", "le", "quantile", "=", "\"", "\\", "n",
                ",", " ", "\t", "\n", "1", "NaN", "-Inf", "histogram", "summary", "gauge", "\r", "é", "#",
            ]),
            0..40,
        )
    ) {
        let text = pieces.concat();
        if let Ok(families) = text::parse(text.as_bytes()) {
            // What was accepted can be sent, and means the same.
            let encoded = text::encode(&families);
            let again = text::parse(encoded.as_bytes());
            prop_assert_eq!(again.map(|f| text::encode(&f)), Ok(encoded), "{:?}", text);
        }
    }

    /// A router splits the path at `/` and decodes what is between, as the Pushgateway's does.
    #[test]
    fn keys_come_back_from_paths(
        job in any::<String>().prop_filter("not empty", |job| !job.is_empty()),
        labels in labels().prop_filter("no job", |labels| {
            !labels.keys().any(|name| name == "job" || name.starts_with("__"))
        }),
    ) {
        let key = GroupingKey::new(job, labels).unwrap();
        let path = group_path(&key);
        let components: Vec<&str> = path.strip_prefix("/metrics/").unwrap().split('/').collect();
        let mut found: Vec<(String, String)> = Vec::new();
        for pair in components.chunks(2) {
            let [name, value] = pair else { panic!("odd: {path}") };
            let decoded = match name.strip_suffix("@base64") {
                Some(_) => {
                    use base64::Engine;
                    let value = value.trim_end_matches('=');
                    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(value).unwrap();
                    String::from_utf8(bytes).unwrap()
                }
                None => percent_encoding::percent_decode_str(value).decode_utf8().unwrap().into_owned(),
            };
            prop_assert!(name.ends_with("@base64") || !decoded.contains('/'));
            found.push((name.trim_end_matches("@base64").to_owned(), decoded));
        }
        prop_assert_eq!(found.remove(0), ("job".to_owned(), key.job().to_owned()));
        let again = GroupingKey::new(key.job(), found).unwrap();
        prop_assert_eq!(again, key);
    }
}
