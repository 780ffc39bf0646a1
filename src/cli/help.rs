//! The layout of help: `-h` is one screen with the options of every day, `--help` has all of them under headings.

/// Definition of the job and the limits of one attempt.
pub const JOB: &str = "Job";
/// The group of a report, and pushes to it.
pub const GROUPING: &str = "Grouping and push";
pub const RETRIES: &str = "Retries and locks";
/// Expectations, for alerts.
pub const EXPECTED: &str = "Expectations";
/// Who is notified of a job's events.
pub const NOTIFICATIONS: &str = "Notifications";
pub const GATEWAY: &str = "Gateway connection";
/// Terminal, files and logs.
pub const OUTPUT: &str = "Output";
/// Listeners of `gateway` and `serve`.
pub const SERVER: &str = "Server";
/// Limits of the embedded gateway.
pub const LIMITS: &str = "Limits and storage";

/// End of a command's `-h`: its examples, and the way to the rest.
pub fn more(command: &str, examples: &str) -> String {
    let gap = if examples.is_empty() { "" } else { "\n\n" };
    format!("{examples}{gap}Run `metricsjob {command} --help` for all options and details.")
}
