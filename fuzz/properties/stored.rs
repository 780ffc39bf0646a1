//! What a gateway takes, it shows: each series once, in text and in messages that can be read.

use metricsjob::metrics::text::{self, Limits};
use metricsjob::metrics::{Family, GroupingKey, Method, check, protobuf};
use metricsjob::store::{Report, Store, exposition};

pub fn check(families: Vec<Family>) {
    let key = GroupingKey::new("j", [("a".into(), "\\\"\n".into())]).expect("a key");
    let mut store = Store::new();
    let report = Report::new(&key, families, &store.hasher());
    if let Err(rejection) = store.push(&key, Method::Put, report, 1.0).result {
        assert!(rejection.to_string().len() < 1000, "{rejection}");
        assert_eq!(store.series(), 0);
        return;
    }
    let snapshot = store.snapshot();
    let shown = exposition::text(&snapshot, &[]).concat();
    let shown = text::parse(shown.as_bytes()).expect("what was taken");
    assert_eq!(check::check_families(&shown), Ok(()));
    // The group's push times are two.
    assert_eq!(series(&shown), store.series() + 2);
    let messages = exposition::protobuf(&snapshot, &[]);
    let messages = protobuf::decode(&messages, &Limits::default()).expect("what was taken");
    assert_eq!(series(&messages), store.series() + 2);

    let _ = store.delete(&key);
    assert!(store.is_empty() && store.series() == 0 && store.bytes() == 0);
}

pub fn series(families: &[Family]) -> usize {
    families.iter().map(|family| family.metrics.len()).sum()
}
