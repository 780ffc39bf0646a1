//! Property tests of what goes over the wire: text and paths come back as they were.

use metricsjob::metrics::{
    Bucket, Family, GroupingKey, Kind, Labels, Metric, Quantile, Value, text,
};
use metricsjob::push::path::group_path;
use proptest::prelude::*;

fn number() -> impl Strategy<Value = f64> {
    // A NaN equals nothing, itself included; `tests/push.rs` has it.
    any::<f64>().prop_filter("a number", |number| !number.is_nan())
}

fn labels() -> impl Strategy<Value = Labels> {
    prop::collection::btree_map("[a-z_][a-zA-Z0-9_]{0,5}", any::<String>(), 0..4).prop_map(
        |mut labels| {
            // What the text format keeps for itself.
            for reserved in ["le", "quantile", "__name__"] {
                labels.remove(reserved);
            }
            labels.into_iter().collect()
        },
    )
}

/// Counts, which the format writes as numbers, so exact up to 2^53.
fn count() -> impl Strategy<Value = u64> {
    0..=9_007_199_254_740_992_u64
}

fn value(kind: Kind) -> BoxedStrategy<Value> {
    match kind {
        Kind::Counter | Kind::Gauge | Kind::Untyped => number().prop_map(Value::Number).boxed(),
        Kind::Summary => (
            count(),
            number(),
            prop::collection::vec((number(), number()), 0..3),
        )
            .prop_map(|(count, sum, quantiles)| Value::Summary {
                count,
                sum,
                quantiles: quantiles
                    .into_iter()
                    .map(|(quantile, value)| Quantile { quantile, value })
                    .collect(),
            })
            .boxed(),
        Kind::Histogram => (
            count(),
            number(),
            prop::collection::vec((-1e300..1e300, count()), 0..3),
        )
            .prop_map(|(count, sum, buckets)| {
                let buckets = buckets.into_iter().chain([(f64::INFINITY, count)]);
                Value::Histogram {
                    count,
                    sum,
                    buckets: buckets
                        .map(|(upper_bound, count)| Bucket { upper_bound, count })
                        .collect(),
                }
            })
            .boxed(),
    }
}

fn family(index: usize) -> impl Strategy<Value = Family> {
    prop::sample::select(Kind::ALL.to_vec()).prop_flat_map(move |kind| {
        let metrics = prop::collection::btree_map(labels(), value(kind), 1..4);
        (any::<String>(), metrics).prop_map(move |(help, metrics)| Family {
            name: format!("family_{index}:x"),
            // Blanks at the beginning are the separator's.
            help: help.trim_start_matches([' ', '\t']).to_owned(),
            kind,
            metrics: metrics
                .into_iter()
                .map(|(labels, value)| Metric {
                    labels,
                    value,
                    timestamp_ms: None,
                })
                .collect(),
        })
    })
}

proptest! {
    #[test]
    fn families_come_back_from_text(families in (family(0), family(1), family(2))) {
        let families = Vec::from(<[Family; 3]>::from(families));
        let encoded = text::encode(&families);
        let parsed = text::parse(encoded.as_bytes());
        prop_assert_eq!(parsed.as_ref(), Ok(&families), "{}", encoded);
    }

    #[test]
    fn parsing_anything_ends_without_a_panic(bytes in any::<Vec<u8>>()) {
        let _ = text::parse(&bytes);
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
