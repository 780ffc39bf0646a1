//! What a gateway takes, it shows: each series once, in text and in messages that can be read.

use metricsjob_metrics::aggregation::Aggregation;
use metricsjob_metrics::escaping::Escaping;
use metricsjob_metrics::text::{self, Limits};
use metricsjob_metrics::{Family, GroupingKey, Method, Names, check, protobuf};
use metricsjob_state::store::{RenderedPush, Store, exposition};

pub fn check(families: Vec<Family>, names: Names) {
    let key = GroupingKey::new("j", [("a".into(), "\\\"\n".into())]).expect("a key");
    let mut store = Store::new();
    let report = RenderedPush::new(&key, families, names, &store.hasher());
    if let Err(rejection) = store.push(&key, Method::Put, report, 1.0).result {
        assert!(rejection.to_string().len() < 1000, "{rejection}");
        assert_eq!(store.series(), 0);
        return;
    }
    let snapshot = store.snapshot();
    let shown = |escaping| {
        let shown = exposition::text(&snapshot, &[], escaping).pieces.concat();
        text::parse_names(shown.as_bytes(), &Limits::default(), names).expect("what was taken")
    };
    let as_it_is = shown(Escaping::AllowUtf8);
    // The group's push times are two.
    assert_eq!(series(&as_it_is), store.series() + 2);
    let messages = exposition::protobuf(&snapshot, &[], Escaping::AllowUtf8).pieces;
    let messages = protobuf::decode(&messages, &Limits::default()).expect("what was taken");
    assert_eq!(series(&messages), store.series() + 2);
    // Who knows no UTF-8 can read it too; of names that become the same one is left.
    let escaped = shown(Escaping::Underscores);
    if names == Names::Legacy {
        assert_eq!(check::check_families(&escaped), Ok(()));
    }
    assert!(series(&escaped) <= store.series() + 2);

    // So are sums, also when the group has gone, of which remainders have what was counted.
    let rules = ["job=\"j\" without (a, le_, instance)"];
    store.set_aggregation(Aggregation::parse(&rules).expect("a rule"));
    assert!(series(&sums(&store, names)) <= store.series() + 2);
    let old = store.group_of(&key).cloned().expect("the group");
    let _ = store.delete(&key);
    let kept = store.keep_remainders(&old);
    assert!(series(&sums(&store, names)) <= store.series() + 2);
    for remainder in kept {
        assert!(remainder.left_out.is_empty() && remainder.key.is_remainder());
        let _ = store.delete(&remainder.key);
    }
    assert!(store.is_empty() && store.series() == 0 && store.bytes() == 0);
}

/// Families that a scrape by the rules of the store shows, equal in number in both formats.
fn sums(store: &Store, names: Names) -> Vec<Family> {
    let snapshot = store.snapshot().aggregated(store.aggregation());
    let messages = exposition::protobuf(&snapshot, &[], Escaping::AllowUtf8).pieces;
    let messages = protobuf::decode(&messages, &Limits::default()).expect("sums");
    let shown = exposition::text(&snapshot, &[], Escaping::AllowUtf8);
    let shown = shown.pieces.concat();
    let shown = text::parse_names(shown.as_bytes(), &Limits::default(), names).expect("sums");
    assert_eq!(series(&shown), series(&messages));
    shown
}

pub fn series(families: &[Family]) -> usize {
    families.iter().map(|family| family.metrics.len()).sum()
}
