//! Pushes of a service's metrics.

use std::time::{Duration, Instant};

use metricsjob_client::Pusher;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing::warn;

use crate::Manager;

impl Manager {
    /// Starts to push the metrics every `interval`, the first time after one: by PUT, as a service owns its group.
    /// It runs until it is [stopped](PushTask::stop). A push that fails is logged, and the next one tried in time.
    ///
    /// # Panics
    ///
    /// If it is not called in a tokio runtime, which must have I/O and time enabled.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let url = "http://127.0.0.1:1";
    /// use std::time::Duration;
    /// use metricsjob_client::Pusher;
    /// use metricsjob_http::Manager;
    ///
    /// let manager = Manager::builder().build()?;
    /// let pusher = Pusher::new(url, "shop")?.grouping("instance", "shop-1")?;
    /// let pushes = manager.push_every(Duration::from_secs(15), pusher);
    /// // … serve …
    /// pushes.stop().await;
    /// # Ok(()) }
    /// ```
    pub fn push_every(&self, interval: Duration, pusher: Pusher) -> PushTask {
        let pusher = pusher.registry(self.registry());
        let (stop, mut stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let mut wait = interval;
            while let Err(_going_on) = tokio::time::timeout(wait, &mut stopped).await {
                let start = Instant::now();
                push(&pusher).await;
                wait = interval.saturating_sub(start.elapsed());
            }
            push(&pusher).await;
        });
        PushTask { task, stop }
    }
}

async fn push(pusher: &Pusher) {
    let pusher = pusher.clone();
    // A task of its own, so that a collector that panics ends one push only.
    let pushing = tokio::spawn(async move { pusher.push_async().await });
    match pushing.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn!(err = %error, "the metrics could not be pushed"),
        Err(error) => warn!(err = %error, "the metrics could not be gathered"),
    }
}

/// Pushes of a [`Manager`]'s metrics in the background. If it is dropped, a last push is made, but nobody waits
/// for it.
#[derive(Debug)]
pub struct PushTask {
    task: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

impl PushTask {
    /// Stops after one more push, and waits for it. The timeouts of the [`Pusher`] bound how long that takes.
    pub async fn stop(self) {
        drop(self.stop);
        // Its panics are caught for each push.
        let _ = self.task.await;
    }
}
