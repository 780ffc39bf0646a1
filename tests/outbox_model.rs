//! A property: whatever waits in the outbox, it does to a group what all pushes in order would have done.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use metricsjob::push::{Courier, DeliveryPolicy, DeliveryTarget, Gateway};
use metricsjob_client::Stop;
use metricsjob_metrics::{Family, GroupingKey, Method, Push};
use metricsjob_state::outbox::Content;
use metricsjob_state::push_stats::Attempts;
use metricsjob_state::{LazyState, State};
use proptest::prelude::*;

/// A group as a Pushgateway has it: the value of each family.
#[derive(Debug, Default, PartialEq, Clone)]
struct Group(BTreeMap<String, f64>);

impl Group {
    fn apply(&mut self, push: &Push) {
        if push.method() == Method::Put {
            self.0.clear();
        }
        for family in push.families() {
            self.0.insert(family.name.clone(), number(family));
        }
    }
}

fn number(family: &Family) -> f64 {
    match family.metrics[0].value {
        metricsjob_metrics::Value::Number(value) => value,
        _ => unreachable!("only gauges are pushed"),
    }
}

/// A push of some of four families, one of which every gateway refuses while `a` is a counter elsewhere.
fn push() -> impl Strategy<Value = (bool, Vec<(usize, f64)>)> {
    (
        any::<bool>(),
        prop::collection::vec((0..4_usize, 0.0..100.0), 0..4),
    )
}

fn make((is_put, values): &(bool, Vec<(usize, f64)>)) -> Push {
    let values: BTreeMap<usize, f64> = values.iter().copied().collect();
    let families = values
        .iter()
        .map(|(name, value)| Family::gauge(["a", "b", "c", "d"][*name], "", *value));
    let method = if *is_put { Method::Put } else { Method::Post };
    Push::new(key(), method, families.collect(), SystemTime::now()).unwrap()
}

fn key() -> GroupingKey {
    GroupingKey::new("j", []).unwrap()
}

fn group_in(state: &mut State) -> Group {
    let groups = state.groups().unwrap();
    let group = groups.iter().find(|group| group.key == key());
    let families = group
        .map(|group| group.families.clone())
        .unwrap_or_default();
    Group(
        families
            .iter()
            .map(|family| (family.name.clone(), number(family)))
            .collect(),
    )
}

proptest! {
    // Each case of the second makes a database and syncs it often.
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    #[test]
    fn two_pushes_are_one(
        before in push(),
        older in push(),
        newer in push(),
    ) {
        let [before, older, newer] = [before, older, newer].map(|push| make(&push));
        let mut expected = Group::default();
        for push in [&before, &older, &newer] {
 expected.apply(push);
}
        let mut merged = Group::default();
        merged.apply(&before);
        merged.apply(&older.followed_by(&newer));
        prop_assert_eq!(&merged, &expected);
        if newer.replaces(&older) {
            let mut alone = Group::default();
            for push in [&before, &newer] {
 alone.apply(push);
}
            prop_assert_eq!(alone, expected);
        }
    }

    /// Each push fails or not; then comes a flush. With `is_refused` the family `a` is refused: a report of a run
    /// arrives without it, and any other push does not.
    #[test]
    fn the_outbox_does_what_all_pushes_in_order_would(
        pushes in prop::collection::vec((push(), any::<bool>()), 1..12),
        is_refused in any::<bool>(),
        are_of_runs in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut state = LazyState::new(dir.path());
        let gateway = Gateway::Embedded(dir.path().to_owned());
        let policy = DeliveryPolicy::default();
        let courier = Courier::new(&DeliveryTarget::Gateway(gateway), dir.path(), &policy, Stop::never());
        let until = Instant::now() + Duration::from_secs(600);
        if is_refused {
            let other = GroupingKey::new("other", []).unwrap();
            let mut family = Family::gauge("a", "", 1.0);
            family.kind = metricsjob_metrics::Kind::Counter;
            let now = SystemTime::now();
            let push = Push::checked_before(other, Method::Put, vec![family], now);
            state.get().unwrap().push(&push, now).unwrap();
        }
        let mut expected = Group::default();
        for (push, is_down) in &pushes {
            let mut push = make(push);
            if are_of_runs {
                push = push.with_runners_own(["b".into(), "c".into()]);
            }
            let mut taken = push.families().to_vec();
            taken.retain(|family| family.name != "a");
            let has_a = taken.len() < push.families().len();
            if !(is_refused && has_a) {
                expected.apply(&push);
            } else if are_of_runs && !taken.is_empty() {
                expected.apply(&push.part(push.method(), taken));
            }
            let state_now = state.get().unwrap();
            let id = state_now.enqueue(&push, &["embedded".into()]).unwrap()[0];
            if *is_down {
                let ids = state_now.waiting_ids("embedded", &key()).unwrap();
                let (attempts, limit) = (Attempts::default(), 100);
                // What a newer one replaces may be what the gateway would have taken, had the newer one
                // been refused; so this is done only where none is.
                let ids = if is_refused { vec![id] } else { ids };
                state_now
                    .undelivered("embedded", &key(), &ids, "down", &attempts, limit)
                    .unwrap();
            } else {
                let delivery = courier.deliver(&Content::Push(Cow::Borrowed(&push)), Some(id), &mut state, until);
                prop_assert_eq!(delivery.result.is_ok(), !(is_refused && has_a));
                prop_assert_eq!(&group_in(state.get().unwrap()), &expected);
            }
        }
        // This waits where a child of another test, between its fork and exec, has a copy of the lock.
        courier.flush_all(&mut state).unwrap();
        prop_assert_eq!(&group_in(state.get().unwrap()), &expected);
        prop_assert_eq!(state.get().unwrap().outbox_size().unwrap().waiting, 0);
    }
}
