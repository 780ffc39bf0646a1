//! A finished run as metric families.

use super::Run;
use crate::metrics::{Family, unix_seconds};

/// The report of `run`: the runner's metrics under `prefix`, and the job's own, sorted by name.
/// Times and durations are in seconds, times since the epoch.
pub fn report(run: &Run, prefix: &str) -> Vec<Family> {
    let gauge =
        |name: &str, help: &str, value: f64| Family::gauge(format!("{prefix}_{name}"), help, value);
    let completed_at = unix_seconds(run.completed_at);
    let mut families = vec![
        gauge(
            "duration_seconds",
            "How long the last run took.",
            run.duration.as_secs_f64(),
        ),
        gauge(
            "start_timestamp_seconds",
            "When the last run started.",
            unix_seconds(run.started_at),
        ),
        gauge(
            "last_completion_timestamp_seconds",
            "When the last run ended, well or not.",
            completed_at,
        ),
        gauge(
            "success",
            "Whether the last run succeeded (1) or not (0).",
            f64::from(run.outcome.is_success()),
        ),
        gauge(
            "exit_code",
            "The exit code of the last run; 128+n if signal n ended it.",
            f64::from(run.outcome.exit_code()),
        ),
        gauge(
            "attempts",
            "How often the last run tried.",
            f64::from(run.attempts),
        ),
        gauge(
            "cpu_user_seconds",
            "CPU time that the last run spent in user mode.",
            run.usage.cpu_user.as_secs_f64(),
        ),
        gauge(
            "cpu_system_seconds",
            "CPU time that the last run spent in the kernel.",
            run.usage.cpu_system.as_secs_f64(),
        ),
        gauge(
            "max_rss_bytes",
            "The most memory that a process of the last run had resident.",
            run.usage.max_rss as f64,
        ),
    ];
    if run.outcome.is_success() {
        families.push(gauge(
            "last_success_timestamp_seconds",
            "When the last run that succeeded ended.",
            completed_at,
        ));
    }
    families.extend(run.metrics.iter().cloned());
    families.sort_by(|a, b| a.name.cmp(&b.name));
    families
}
