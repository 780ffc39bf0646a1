//! Thread that owns the groups: it makes all changes in their order, and many in one transaction.
//!
//! - `actor`: the work of the thread.

mod actor;

use std::hash::RandomState;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tracing::error;

use super::body::Received;
use super::expiry::Expiry;
use super::own_metrics::OwnMetrics;
use metricsjob_metrics::selector::GroupFilter;
use metricsjob_metrics::{GroupingKey, Method};
use metricsjob_state::StateError;
use metricsjob_state::group_log::Body;
use metricsjob_state::group_writer::GroupWriter;
use metricsjob_state::store::{Rejection, RenderedPush, Snapshot, Store};
use metricsjob_system::panics;

use actor::StoreActor;

/// A push, as received.
pub struct PendingPush {
    pub key: GroupingKey,
    pub method: Method,
    pub report: Result<RenderedPush, Rejection>,
    /// Time to live that the push sets for the group; zero for none.
    pub ttl: Option<Duration>,
    pub body: Body,
    /// Holds the push's share of the pending bytes, even if the client has gone.
    pub received: Received,
}

/// Reason why a push was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum PushFailure {
    #[error(transparent)]
    Rejected(#[from] Rejection),
    #[error(transparent)]
    NotKept(#[from] NotKept),
}

/// Error: a change was not written, and therefore has not been made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NotKept {
    #[error("it could not be written: {0}")]
    State(Arc<StateError>),
    #[error("the gateway is ending")]
    Ending,
}

type Reply<T, E> = oneshot::Sender<Result<T, E>>;

/// A push that was applied and written.
#[derive(Debug)]
pub struct Accepted {
    /// Another host that had reported to the group before.
    pub other_host: Option<String>,
}

enum Order {
    Push(Box<PendingPush>, Reply<Accepted, PushFailure>),
    Delete(GroupingKey, Reply<bool, NotKept>),
    /// Deletes the groups that are included, without a filter all.
    DeleteAll(Option<GroupFilter>, Reply<Vec<GroupingKey>, NotKept>),
    Snapshot(oneshot::Sender<Snapshot>),
    End,
}

/// Sends orders to the thread. All clones share the same thread.
#[derive(Clone)]
pub struct Keeper {
    orders: Sender<Order>,
    hasher: RandomState,
}

/// Ends the thread, once no clone of the [`Keeper`] is needed any more.
pub struct KeeperThread {
    orders: Sender<Order>,
    thread: JoinHandle<()>,
}

impl Keeper {
    /// Starts the thread. `lost` is notified when the gateway has to end, because the state directory has
    /// gone or the thread has panicked.
    pub fn start(
        store: Store,
        writer: GroupWriter,
        expiry: Expiry,
        own: Arc<OwnMetrics>,
        lost: Arc<Notify>,
    ) -> std::io::Result<(Keeper, KeeperThread)> {
        let (sender, orders) = mpsc::channel();
        let hasher = store.hasher();
        let work = StoreActor::new(store, writer, expiry, own, Arc::clone(&lost));
        let panicked = lost;
        let thread = thread::Builder::new()
            .name("keeper".into())
            .spawn(move || {
                // The groups in memory may be half changed, while the database has all acknowledged changes,
                // so only a new process can start afresh.
                if let Err(message) = panics::caught(move || work.run(&orders)) {
                    error!(
                        err = message,
                        "a panic of the thread that writes: the gateway ends"
                    );
                    panicked.notify_one();
                }
            })?;
        let keeper = Keeper {
            orders: sender.clone(),
            hasher,
        };
        let thread = KeeperThread {
            orders: sender,
            thread,
        };
        Ok((keeper, thread))
    }

    /// Returns the hasher for [`RenderedPush::new`].
    pub fn hasher(&self) -> &RandomState {
        &self.hasher
    }

    /// Applies a push, and waits until it has been written.
    pub async fn push(&self, push: PendingPush) -> Result<Accepted, PushFailure> {
        let (answer, result) = oneshot::channel();
        let _ = self.orders.send(Order::Push(Box::new(push), answer));
        result.await.unwrap_or(Err(NotKept::Ending.into()))
    }

    /// Deletes the group with exactly this key. Returns true if it existed.
    pub async fn delete(&self, key: GroupingKey) -> Result<bool, NotKept> {
        let (answer, result) = oneshot::channel();
        let _ = self.orders.send(Order::Delete(key, answer));
        result.await.unwrap_or(Err(NotKept::Ending))
    }

    /// Deletes the groups that `filter` includes at that moment, without one all, in one transaction. Returns their keys.
    pub async fn delete_all(
        &self,
        filter: Option<GroupFilter>,
    ) -> Result<Vec<GroupingKey>, NotKept> {
        let (answer, result) = oneshot::channel();
        let _ = self.orders.send(Order::DeleteAll(filter, answer));
        result.await.unwrap_or(Err(NotKept::Ending))
    }

    /// Returns all groups, after all earlier orders.
    pub async fn snapshot(&self) -> Result<Snapshot, NotKept> {
        let (answer, snapshot) = oneshot::channel();
        let _ = self.orders.send(Order::Snapshot(answer));
        snapshot.await.map_err(|_| NotKept::Ending)
    }
}

impl KeeperThread {
    /// Waits until all orders are done and the rows of the groups are written.
    pub fn end(self) {
        let _ = self.orders.send(Order::End);
        let _ = self.thread.join();
    }
}
