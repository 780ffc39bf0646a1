//! Work of the thread that owns the groups.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{Notify, oneshot};
use tracing::{error, info, warn};

use super::{Accepted, NotKept, Order, PendingPush, PushFailure, Reply};
use crate::expiry::Expiry;
use crate::own_metrics::OwnMetrics;
use crate::slack::Slack;
use metricsjob_metrics::selector::GroupFilter;
use metricsjob_metrics::{GroupingKey, Method, protobuf, unix_seconds};
use metricsjob_state::StateError;
use metricsjob_state::group_log::{Body, Entry};
use metricsjob_state::group_writer::GroupWriter;
use metricsjob_state::store::{Rejection, Snapshot, Store, StoredGroup, Undo};
use metricsjob_system::panics;

/// Maximum number of orders in one transaction, and of bytes in its pushes and in the data that they replace.
const MAX_ORDERS: usize = 4096;
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// The log is folded into the rows of the groups after this long without orders.
const IDLE: Duration = Duration::from_secs(1);

/// Owner of the groups.
pub(super) struct StoreActor {
    store: Store,
    writer: GroupWriter,
    expiry: Expiry,
    own: Arc<OwnMetrics>,
    /// True if the last transaction failed.
    has_failed: bool,
    has_fold_failed: bool,
    lost: Arc<Notify>,
}

/// Progress of folding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fold {
    Done,
    More,
    Failed,
}

/// The groups that one request deletes, and the reply to it.
type DeletionOfMany = (Vec<GroupingKey>, Reply<Vec<GroupingKey>, NotKept>);

/// Contents of one transaction, and the requests that wait for it.
#[derive(Default)]
struct Batch {
    entries: Vec<Entry>,
    bytes: usize,
    undos: Vec<Undo>,
    pushes: Vec<(Result<Accepted, Rejection>, Reply<Accepted, PushFailure>)>,
    deletions: Vec<(bool, Reply<bool, NotKept>)>,
    deletions_of_many: Vec<DeletionOfMany>,
    snapshots: Vec<oneshot::Sender<Snapshot>>,
    expired: Vec<GroupingKey>,
    is_last: bool,
}

impl StoreActor {
    /// Creates it. `lost` is notified when the state directory has gone.
    pub(super) fn new(
        store: Store,
        writer: GroupWriter,
        expiry: Expiry,
        own: Arc<OwnMetrics>,
        lost: Arc<Notify>,
    ) -> Self {
        StoreActor {
            store,
            writer,
            expiry,
            own,
            has_failed: false,
            has_fold_failed: false,
            lost,
        }
    }

    /// Carries out orders until the last one.
    pub(super) fn run(mut self, orders: &Receiver<Order>) {
        let mut more_to_fold = true;
        let mut last_order = Instant::now();
        let mut last_try = Instant::now();
        let mut slack = Slack::default();
        loop {
            // Nothing expires while nothing can be written, so an expiry that is due is no reason to wake up.
            let patience = if self.has_failed {
                IDLE
            } else {
                self.expiry.due_in(SystemTime::now()).min(IDLE)
            };
            let first = match orders.recv_timeout(patience) {
                Ok(order) => Some(order),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => Some(Order::End),
            };
            let mut batch = Batch::default();
            if let Some(first) = first {
                self.take(&mut batch, first);
                while batch.entries.len() < MAX_ORDERS
                    && batch.bytes < MAX_BYTES
                    && let Ok(order) = orders.try_recv()
                {
                    self.take(&mut batch, order);
                }
                more_to_fold = true;
                last_order = Instant::now();
            } else if last_order.elapsed() >= IDLE && (more_to_fold || !self.writer.is_in_place()) {
                more_to_fold = self.fold_while_idle(orders, &mut batch);
            }
            self.expire(&mut batch);
            if self.has_failed && batch.entries.is_empty() && last_try.elapsed() >= IDLE {
                last_try = Instant::now();
                // The disk may have room again, and nobody pushes before the gateway reports that it is
                // ready.
                if self.writer.probe(&self.store).is_ok() {
                    self.recovered();
                }
            }
            let is_last = batch.is_last;
            self.finish(batch);
            slack.give_back(&mut self.store, &self.own);
            if is_last {
                break;
            }
        }
        while self.fold() == Fold::More {}
    }

    /// Folds until an order arrives, which is then taken. Returns true if there is more to fold.
    fn fold_while_idle(&mut self, orders: &Receiver<Order>, batch: &mut Batch) -> bool {
        loop {
            match self.fold() {
                Fold::Done => return false,
                Fold::Failed => return true,
                Fold::More => {}
            }
            if let Ok(order) = orders.try_recv() {
                self.take(batch, order);
                return true;
            }
        }
    }

    fn fold(&mut self) -> Fold {
        let folded = self.writer.fold(&self.store);
        self.tell_of_damage();
        let has_failed = folded.is_err();
        let folded = match folded {
            Ok(true) => Fold::More,
            Ok(false) => Fold::Done,
            Err(error) => {
                if !self.has_fold_failed {
                    warn!(err = %error, "could not tidy up the log yet");
                }
                self.look_for_end(&error);
                Fold::Failed
            }
        };
        self.has_fold_failed = has_failed;
        folded
    }

    fn tell_of_damage(&mut self) {
        if let Some(damage) = self.writer.take_damage() {
            error!(err = %damage, "the state was replaced");
        }
    }

    fn look_for_end(&self, error: &StateError) {
        if matches!(error, StateError::Displaced { .. }) {
            self.lost.notify_one();
        }
    }

    /// Carries out an order in memory.
    fn take(&mut self, batch: &mut Batch, order: Order) {
        match order {
            Order::Push(push, answer) => {
                let PendingPush {
                    key,
                    method,
                    report,
                    ttl,
                    body,
                    received: _received,
                } = *push;
                panics::point("writer");
                let now = unix_seconds(SystemTime::now());
                let report = report.map(|report| report.with_ttl(ttl));
                let before = self.summed(&key);
                let pushed = self.store.push(&key, method, report, now);
                self.expiry.pushed(ttl, now);
                if let Some(undo) = pushed.undo {
                    let entry = match &pushed.result {
                        Ok(()) => Entry::push(&key, method, body, ttl, now),
                        Err(_) => Entry::refusal(&key, now),
                    };
                    batch.add(entry, undo);
                    if let Some(before) = before {
                        self.keep_remainders(batch, &before);
                    }
                }
                let result = pushed.result.map(|()| Accepted {
                    other_host: pushed.other_host,
                });
                batch.pushes.push((result, answer));
            }
            Order::Delete(key, answer) => {
                let existed = self.delete(batch, &key);
                batch.deletions.push((existed, answer));
            }
            Order::DeleteAll(filter, answer) => {
                let keys = self.included(filter.as_ref());
                // The remainders come last, because they get what the groups had counted.
                let (remainders, groups): (Vec<_>, Vec<_>) =
                    keys.iter().partition(|key| key.is_remainder());
                for key in groups {
                    self.delete(batch, key);
                }
                for key in self.included(filter.as_ref()).iter().chain(remainders) {
                    self.delete(batch, key);
                }
                batch.deletions_of_many.push((keys, answer));
            }
            Order::Snapshot(answer) => batch.snapshots.push(answer),
            Order::End => batch.is_last = true,
        }
    }

    fn delete(&mut self, batch: &mut Batch, key: &GroupingKey) -> bool {
        let before = self.summed(key);
        let Some(undo) = self.store.delete(key) else {
            return false;
        };
        batch.add(Entry::deletion(key), undo);
        if let Some(before) = before {
            self.keep_remainders(batch, &before);
        }
        true
    }

    /// Returns the keys of the groups that `filter` includes, without a filter of all.
    fn included(&self, filter: Option<&GroupFilter>) -> Vec<GroupingKey> {
        match filter {
            Some(filter) => self.store.included(filter),
            None => {
                let groups = self.store.groups();
                groups.map(|(_, group)| group.key.clone()).collect()
            }
        }
    }

    /// Returns the group as it is before a change, if a rule may sum its series.
    fn summed(&self, key: &GroupingKey) -> Option<Arc<StoredGroup>> {
        let may_apply = self.store.aggregation().may_apply(key);
        may_apply.then(|| self.store.group_of(key).cloned())?
    }

    /// Adds what the group has lost since `before` to remainders.
    fn keep_remainders(&mut self, batch: &mut Batch, before: &StoredGroup) {
        for kept in self.store.keep_remainders(before) {
            for name in &kept.left_out {
                warn!(
                    name,
                    group = %before.key,
                    "what a group had counted is lost, because a metric of this name now has another type"
                );
            }
            let body = Body::Protobuf(protobuf::encode(&kept.families).into());
            let entry = Entry::push(&kept.key, Method::Put, body, None, kept.time);
            batch.add(entry, kept.undo);
        }
    }

    /// Removes the groups that are too old.
    fn expire(&mut self, batch: &mut Batch) {
        if self.has_failed {
            return;
        }
        for key in self.expiry.expired(&self.store, SystemTime::now()) {
            if self.delete(batch, &key) {
                batch.expired.push(key);
            }
        }
    }

    /// Writes the changes or undoes them, and replies to the requests that wait.
    fn finish(&mut self, batch: Batch) {
        let written = if batch.entries.is_empty() {
            Ok(())
        } else {
            self.write(batch.entries, batch.undos)
        };
        for (result, answer) in batch.pushes {
            // A client that has disconnected is no longer waiting.
            let _ = answer.send(match &written {
                Ok(()) => result.map_err(PushFailure::from),
                Err(not_kept) => Err(not_kept.clone().into()),
            });
        }
        for (existed, answer) in batch.deletions {
            let _ = answer.send(written.clone().map(|()| existed));
        }
        for (keys, answer) in batch.deletions_of_many {
            let _ = answer.send(written.clone().map(|()| keys));
        }
        if written.is_ok() {
            for group in &batch.expired {
                info!(group = %group, "group expired");
            }
            self.own.expired(batch.expired.len());
        } else {
            self.expiry.check_again();
        }
        if !batch.snapshots.is_empty() {
            let snapshot = self.store.snapshot();
            self.own.database_bytes(self.writer.database_bytes());
            for answer in batch.snapshots {
                let _ = answer.send(snapshot.clone());
            }
        }
        self.own.store(&self.store);
    }

    fn recovered(&mut self) {
        if self.has_failed {
            info!("changes can be written again");
            self.has_failed = false;
            self.own.is_failing.store(false, Relaxed);
        }
    }

    fn write(&mut self, entries: Vec<Entry>, undos: Vec<Undo>) -> Result<(), NotKept> {
        let slots: Vec<u32> = undos.iter().map(Undo::slot).collect();
        let start = Instant::now();
        let written = self.writer.write(&self.store, entries, &slots);
        self.tell_of_damage();
        self.own.committed(start.elapsed(), written.is_ok());
        match written {
            Ok(()) => {
                self.recovered();
                let_go(undos, &self.own);
                Ok(())
            }
            Err(error) => {
                if !self.has_failed {
                    error!(err = %error, "changes could not be written");
                }
                self.has_failed = true;
                self.look_for_end(&error);
                for undo in undos.into_iter().rev() {
                    self.store.undo(undo);
                }
                Err(NotKept::State(error.into()))
            }
        }
    }
}

/// Drops replaced data, a large amount in a thread of its own: that takes long, and nobody has to wait for
/// it.
fn let_go(undos: Vec<Undo>, own: &Arc<OwnMetrics>) {
    const MUCH: usize = 1024 * 1024;
    let bytes = undos.iter().map(Undo::bytes).sum::<usize>();
    if bytes > MUCH {
        let own = Arc::clone(own);
        let dropper = move || {
            drop(undos);
            // Memory may have been given back to the system while this data still held its own.
            own.churned(bytes);
        };
        // If no thread can be started, the data is dropped here.
        let _ = thread::Builder::new().name("dropper".into()).spawn(dropper);
    }
}

impl Batch {
    fn add(&mut self, entry: Entry, undo: Undo) {
        self.bytes += entry.bytes() + undo.bytes();
        self.entries.push(entry);
        self.undos.push(undo);
    }
}
