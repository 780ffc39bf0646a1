//! Work of a gateway for every push beside parsing it: checking it against all groups and committing
//! it to the disk; and with every scrape: rendering all groups.

use std::cell::RefCell;
use std::hash::RandomState;
use std::sync::Arc;

use bytes::Bytes;
use divan::{Bencher, black_box};
use metricsjob_metrics::escaping::Escaping;
use metricsjob_metrics::{Family, GroupingKey, Method, Names, text};
use metricsjob_state::State;
use metricsjob_state::group_log::{Body, Entry};
use metricsjob_state::group_writer::{GroupWriter, Sync};
use metricsjob_state::serving::lock_for_serving;
use metricsjob_state::store::{RenderedPush, Store, exposition};

fn main() {
    divan::main();
}

const GROUPS: [usize; 3] = [10, 1_000, 100_000];

const TEXT: &str = "\
# HELP db_backup_duration_seconds How long the last run took.
# TYPE db_backup_duration_seconds gauge
db_backup_duration_seconds 12.503117
# HELP db_backup_last_completion_timestamp_seconds When the last run ended.
# TYPE db_backup_last_completion_timestamp_seconds gauge
db_backup_last_completion_timestamp_seconds 1795271699.17
# HELP db_backup_last_success_timestamp_seconds When a run last succeeded.
# TYPE db_backup_last_success_timestamp_seconds gauge
db_backup_last_success_timestamp_seconds 1795271699.17
# HELP db_backup_records_processed Records in the last backup.
# TYPE db_backup_records_processed gauge
db_backup_records_processed 42
";

fn families() -> Vec<Family> {
    text::parse(TEXT.as_bytes()).expect("the text is well formed")
}

fn key(group: usize) -> GroupingKey {
    let db = ("db".to_owned(), format!("db{group}"));
    GroupingKey::new("db_backup", [db]).expect("the key is valid")
}

fn report(key: &GroupingKey, hasher: &RandomState) -> RenderedPush {
    RenderedPush::new(key, families(), Names::Legacy, hasher)
        .unwrap_or_else(|rejection| panic!("{rejection}"))
}

fn push(store: &mut Store, group: usize) {
    let key = key(group);
    let report = Ok(report(&key, &store.hasher()));
    let pushed = store.push(&key, Method::Put, report, 1_795_271_699.17);
    assert!(pushed.result.is_ok());
}

fn store(groups: usize) -> Store {
    let mut store = Store::new();
    (0..groups).for_each(|group| push(&mut store, group));
    store
}

/// The check of a report by itself, and its lines.
#[divan::bench]
fn report_of_four_series(bencher: Bencher) {
    let hasher = RandomState::new();
    let key = key(0);
    bencher
        .with_inputs(families)
        .bench_local_values(|families| {
            RenderedPush::new(black_box(&key), families, Names::Legacy, &hasher)
        });
}

/// A push of the series that the group has: nothing to be checked against others.
#[divan::bench(args = GROUPS)]
fn push_again(bencher: Bencher, groups: usize) {
    let store = RefCell::new(store(groups));
    let key = key(groups / 2);
    let hasher = store.borrow().hasher();
    bencher
        .with_inputs(|| report(&key, &hasher))
        .bench_local_values(|report| {
            let mut store = store.borrow_mut();
            store.push(&key, Method::Put, Ok(report), 1.0).undo
        });
}

/// A push that makes a group, checked against all others, and the group's deletion.
#[divan::bench(args = GROUPS)]
fn push_and_delete(bencher: Bencher, groups: usize) {
    let store = RefCell::new(store(groups));
    let key = key(groups);
    let hasher = store.borrow().hasher();
    bencher
        .with_inputs(|| report(&key, &hasher))
        .bench_local_values(|report| {
            let mut store = store.borrow_mut();
            let pushed = store.push(&key, Method::Put, Ok(report), 1.0);
            (pushed.undo, store.delete(&key))
        });
}

/// A transaction of so many pushes, without waiting for the disk.
#[divan::bench(args = [1, 64])]
fn commit(bencher: Bencher, pushes: usize) {
    let dir = tempfile::tempdir().expect("a directory for the database");
    let lock = lock_for_serving(dir.path()).expect("a directory to write to");
    let lock = Arc::new(lock.expect("nobody else serves it"));
    let (state, loaded) = State::open_to_serve(dir.path()).expect("an empty database");
    let (mut writer, mut store) =
        GroupWriter::new(lock, state, loaded, Sync::Os).expect("a database to write");
    (0..pushes).for_each(|group| push(&mut store, group));
    let slots: Vec<u32> = (0..pushes as u32).collect();
    let body = Bytes::from_static(TEXT.as_bytes());
    let entry = |group| {
        Entry::push(
            &key(group),
            Method::Put,
            Body::Text(body.clone()),
            None,
            1.0,
        )
    };
    bencher
        .with_inputs(|| (0..pushes).map(entry).collect())
        .bench_local_values(|entries| writer.write(&store, entries, &slots));
}

#[divan::bench(args = GROUPS)]
fn render_text(bencher: Bencher, groups: usize) {
    let store = store(groups);
    bencher.bench_local(|| {
        exposition::text(&black_box(&store).snapshot(), &[], Escaping::Underscores)
    });
}

#[divan::bench(args = GROUPS)]
fn render_protobuf(bencher: Bencher, groups: usize) {
    let store = store(groups);
    bencher.bench_local(|| {
        exposition::protobuf(&black_box(&store).snapshot(), &[], Escaping::Underscores)
    });
}
