//! Early end of requests.

use std::sync::Arc;

/// Condition under which requests are abandoned, for example because the process is asked to end. It is polled.
#[derive(Clone)]
pub struct Stop(Arc<dyn Fn() -> bool + Send + Sync>);

impl Stop {
    /// Creates a stop that is wanted as soon as `is_wanted` returns true.
    pub fn when(is_wanted: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Stop(Arc::new(is_wanted))
    }

    /// Creates a stop that is never wanted.
    pub fn never() -> Self {
        Stop::when(|| false)
    }

    /// Returns true if requests are to be abandoned.
    pub fn is_wanted(&self) -> bool {
        (self.0)()
    }
}
