//! Output to the terminal, and its format.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use nix::poll::{PollFd, PollFlags, poll};

use metricsjob_metrics::Labels;

/// Makes text visible that may come from any source, and must not control the terminal.
pub use metricsjob_web::page::text::visible;

/// How long, in milliseconds, stderr may take to have room for a message. A run that is over must come to its end.
const STALLED: u16 = 5000;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// Writes `error: …` to stderr, a line of its own for each line.
pub fn error(text: &str) {
    note("error", ERROR, text);
}

/// Writes `warning: …` to stderr.
pub fn warning(text: &str) {
    note("warning", WARNING, text);
}

fn note(word: &str, style: Style, text: &str) {
    // Written in one piece, so that the output of other processes does not split it.
    let mut note = String::new();
    for line in text.lines() {
        let _ = writeln!(note, "{style}{word}:{style:#} {}", visible(line));
    }
    side_note(&note);
}

/// Writes `text` to stdout.
pub fn result(text: &str) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes `text` to stderr, unless its reader has stalled.
pub fn side_note(text: &str) {
    let stderr = io::stderr();
    let mut fds = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    if poll(&mut fds, STALLED) == Ok(0) {
        return;
    }
    // With stderr closed there is no one left to read it.
    let _ = anstream::stderr().lock().write_all(text.as_bytes());
}

/// `one`, or the number and `many`.
pub fn count(number: u64, one: &str, many: &str) -> String {
    match number {
        1 => one.to_owned(),
        number => format!("{number} {many}"),
    }
}

/// `db=customers,zone=z`.
pub fn labels(labels: &Labels) -> String {
    let pairs = labels.iter();
    let pairs: Vec<String> = pairs
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join(",")
}

/// A duration in its two largest units, for reading: `1day 2h`, `2m 3s`, `502ms`.
pub fn rough(duration: Duration) -> String {
    let rounded = match duration {
        long if long >= Duration::from_secs(10) => Duration::from_secs(long.as_secs()),
        short if short >= Duration::from_millis(1) => {
            Duration::from_millis(short.as_millis().try_into().unwrap_or(u64::MAX))
        }
        tiny => Duration::from_micros(tiny.as_micros().try_into().unwrap_or(u64::MAX)),
    };
    let text = humantime::format_duration(rounded).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_rough() {
        let rough = |millis| rough(Duration::from_millis(millis));
        assert_eq!(rough(0), "0s");
        assert_eq!(rough(502), "502ms");
        assert_eq!(rough(1_502), "1s 502ms");
        assert_eq!(rough(65_502), "1m 5s");
        assert_eq!(rough(93_784_000), "1day 2h");
    }

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(visible("a\u{1b}[2Jb\n\u{9b}é"), "a\\u{1b}[2Jb\\n\\u{9b}é");
    }
}
