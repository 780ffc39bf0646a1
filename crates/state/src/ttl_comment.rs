//! Time to live in rows of the state: a comment in front of their text.
//!
//! A row needs no column for what few groups have, and versions that do not know the comment read the text as before.

use std::time::Duration;

const OPENING: &str = "# metricsjob ttl ";

/// Returns the line for the time to live, empty without one.
pub(super) fn line(ttl: Option<Duration>) -> String {
    match ttl {
        Some(ttl) => format!("{OPENING}{}\n", ttl.as_secs_f64()),
        None => String::new(),
    }
}

/// Reads the time to live in front of a row's text.
pub(super) fn read(text: &str) -> Option<Duration> {
    let (seconds, _) = text.strip_prefix(OPENING)?.split_once('\n')?;
    Duration::try_from_secs_f64(seconds.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let texts = ["", "a 1\n", "# HELP a b\n# TYPE a gauge\na 1\n"];
        let ttls = [0.0, 0.001, 1.5, 129_600.0, 1e15].map(Duration::from_secs_f64);
        for ttl in ttls.map(Some).into_iter().chain([None]) {
            for text in texts {
                assert_eq!(read(&(line(ttl) + text)), ttl, "{text:?}");
            }
        }
        for broken in [
            "# metricsjob ttl ",
            "# metricsjob ttl x\n",
            "# metricsjob ttl -1\n",
        ] {
            assert_eq!(read(broken), None, "{broken:?}");
        }
    }
}
