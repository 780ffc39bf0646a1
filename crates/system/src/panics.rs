//! Panics: their messages, work that survives them, and panics on demand for the tests.
//!
//! A panic is a bug of ours, and the default hook reports where it happened; this module limits its effect to
//! the work in which it occurred.

use std::any::Any;
use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::thread;
use std::time::Duration;

/// First and longest pause before work that panicked is started again; the pause doubles after each panic.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Runs `work`. The state that it shares with others must be valid even if it is interrupted halfway.
///
/// # Errors
///
/// The message of a panic.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| message(&*panic))
}

/// Locks `mutex`, even if a thread has panicked while it held it. What it protects must be valid after each step of a
/// change, as for [`caught`].
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Awaits `future`.
///
/// # Errors
///
/// The message of a panic.
pub async fn caught_async<F: Future>(future: F) -> Result<F::Output, String> {
    let mut future = pin!(future);
    std::future::poll_fn(|cx| match caught(|| future.as_mut().poll(cx)) {
        Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
        Ok(Poll::Pending) => Poll::Pending,
        Err(message) => Poll::Ready(Err(message)),
    })
    .await
}

/// Runs `work` until it returns, and again after each panic; `name` is its name in the log.
pub fn restarting<T>(name: &str, mut work: impl FnMut() -> T) -> T {
    let mut panics = 0;
    loop {
        match caught(&mut work) {
            Ok(value) => return value,
            Err(message) => thread::sleep(pause(name, &message, &mut panics)),
        }
    }
}

/// Awaits the futures of `work` until one of them returns, as [`restarting`] does.
pub async fn restarting_async<F: Future>(name: &str, mut work: impl FnMut() -> F) -> F::Output {
    let mut panics = 0;
    loop {
        match caught_async(work()).await {
            Ok(value) => return value,
            Err(message) => tokio::time::sleep(pause(name, &message, &mut panics)).await,
        }
    }
}

fn pause(name: &str, message: &str, panics: &mut u32) -> Duration {
    tracing::error!(thread = name, err = message, "a panic: it is started again");
    let doublings = (*panics).min(31);
    *panics = panics.saturating_add(1);
    FIRST_PAUSE
        .saturating_mul(1 << doublings)
        .min(LONGEST_PAUSE)
}

/// Returns the message of a panic, as made by `panic!` and failed assertions.
pub fn message(panic: &(dyn Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic without a message".into()
    }
}

/// Environment variable that names the [`point`] to panic at.
const VARIABLE: &str = "METRICSJOB_PANIC_AT";

/// Panics when it is reached for the first time, if the environment variable `METRICSJOB_PANIC_AT` names it.
///
/// It is part of the release build: the effect of a panic depends on how that is built and linked, and only a
/// test of that binary shows it. A process that can set our environment can end this one anyway.
pub fn point(name: &str) {
    static IS_OFF: AtomicBool = AtomicBool::new(false);
    static WANTED: Mutex<Option<String>> = Mutex::new(None);
    if IS_OFF.load(Relaxed) {
        return;
    }
    let is_wanted = {
        let Ok(mut wanted) = WANTED.lock() else {
            return;
        };
        if wanted.is_none() {
            *wanted = env::var(VARIABLE).ok();
        }
        let is_wanted = wanted.as_deref() == Some(name);
        if is_wanted || wanted.is_none() {
            IS_OFF.store(true, Relaxed);
        }
        is_wanted
    };
    if is_wanted {
        panic!("{VARIABLE} asks for a panic at {name}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages() {
        assert_eq!(caught(|| 5), Ok(5));
        assert_eq!(caught(|| panic!("plain")), Err::<(), _>("plain".into()));
        let number = 7;
        let formatted = caught(|| panic!("number {number}"));
        assert_eq!(formatted, Err::<(), _>("number 7".into()));
        let other = caught(|| std::panic::panic_any(7));
        assert_eq!(other, Err::<(), _>("a panic without a message".into()));
    }

    #[test]
    fn work_is_done_again_until_it_returns() {
        let mut times = 0;
        let value = restarting("test", || {
            times += 1;
            assert!(times > 1, "the first time");
            times
        });
        assert_eq!(value, 2);
    }
}
