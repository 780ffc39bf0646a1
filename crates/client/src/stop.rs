//! What ends a delivery early.

use std::sync::Arc;

/// Tells deliveries to wait for nothing any more, because this process is asked to end.
#[derive(Clone)]
pub struct Stop(Arc<dyn Fn() -> bool + Send + Sync>);

impl Stop {
    /// Wanted as soon as `is_wanted` says so.
    pub fn when(is_wanted: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Stop(Arc::new(is_wanted))
    }

    /// Never wanted.
    pub fn never() -> Self {
        Stop::when(|| false)
    }

    /// Returns true if deliveries are to stop waiting.
    pub fn is_wanted(&self) -> bool {
        (self.0)()
    }
}
