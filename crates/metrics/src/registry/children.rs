//! Instruments that are looked up once.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{PoisonError, RwLock};

/// Children of a labelled instrument by a key that is cheaper to look up than their labels.
///
/// ```
/// use metricsjob_metrics::registry::Children;
/// use prometheus::{IntCounter, IntCounterVec, Opts};
///
/// let responses = IntCounterVec::new(Opts::new("responses_total", "Responses."), &["code"])?;
/// let by_code = Children::<u16, IntCounter>::default();
/// for code in [200, 404, 200] {
///     by_code.get(code, || responses.with_label_values(&[code.to_string()])).inc();
/// }
/// assert_eq!(responses.with_label_values(&["200"]).get(), 2);
/// # Ok::<(), prometheus::Error>(())
/// ```
pub struct Children<K, I>(RwLock<HashMap<K, I>>);

impl<K, I> Default for Children<K, I> {
    fn default() -> Self {
        Children(RwLock::default())
    }
}

impl<K: Eq + Hash, I: Clone> Children<K, I> {
    /// Returns the child of `key`. `look_up` returns it the first time.
    pub fn get(&self, key: K, look_up: impl FnOnce() -> I) -> I {
        let children = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(child) = children.get(&key) {
            return child.clone();
        }
        drop(children);
        let mut children = self.0.write().unwrap_or_else(PoisonError::into_inner);
        children.entry(key).or_insert_with(look_up).clone()
    }
}
