//! A log on stderr like that of Prometheus' servers: one line for each event, of pairs that programs
//! can read.

use std::fmt::{self, Display, Write as _};
use std::io::{self, Write as _};
use std::time::SystemTime;

use clap::ValueEnum;

/// How much an event matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        }
    }
}

/// How a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Logfmt,
    Json,
}

/// Where the lines go.
type Sink = dyn Fn(&[u8]) + Send + Sync;

/// Writes whole lines, from any thread.
#[derive(Clone, Copy)]
pub struct Log {
    least: Level,
    format: Format,
    sink: &'static Sink,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("least", &self.least)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

/// What belongs to an event: names, which are plain words, and values, which can be anything.
pub type Fields<'a> = &'a [(&'a str, &'a dyn Display)];

impl Log {
    /// Writes events of `least` and above to stderr.
    pub fn new(least: Level, format: Format) -> Self {
        Log::to(least, format, &|line| {
            // There is no other place to say so.
            let _ = io::stderr().write_all(line);
        })
    }

    /// Gives each line, with its line break, to `sink`.
    pub fn to(least: Level, format: Format, sink: &'static Sink) -> Self {
        Log {
            least,
            format,
            sink,
        }
    }

    /// Whether events of `level` are written, for who would do some work for them.
    pub fn has(&self, level: Level) -> bool {
        level >= self.least
    }

    pub fn debug(&self, message: &str, fields: Fields) {
        self.write(Level::Debug, message, fields);
    }

    pub fn info(&self, message: &str, fields: Fields) {
        self.write(Level::Info, message, fields);
    }

    pub fn warn(&self, message: &str, fields: Fields) {
        self.write(Level::Warn, message, fields);
    }

    pub fn error(&self, message: &str, fields: Fields) {
        self.write(Level::Error, message, fields);
    }

    fn write(&self, level: Level, message: &str, fields: Fields) {
        if self.has(level) {
            let time = humantime::format_rfc3339_millis(SystemTime::now());
            let own: Fields = &[("ts", &time), ("level", &level.name()), ("msg", &message)];
            let line = match self.format {
                Format::Logfmt => logfmt(own.iter().chain(fields)),
                Format::Json => json(own.iter().chain(fields)),
            };
            (self.sink)(line.as_bytes());
        }
    }
}

type Pairs<'a> = std::iter::Chain<
    std::slice::Iter<'a, (&'a str, &'a dyn Display)>,
    std::slice::Iter<'a, (&'a str, &'a dyn Display)>,
>;

fn logfmt(pairs: Pairs) -> String {
    let mut line = String::new();
    for (name, value) in pairs {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(name);
        line.push('=');
        let value = value.to_string();
        match is_plain(&value) {
            true => line.push_str(&value),
            false => quote(&value, &mut line),
        }
    }
    line.push('\n');
    line
}

fn is_plain(value: &str) -> bool {
    let is_plain = |c: char| match c {
        '=' | '"' => false,
        ' '..='~' => c != ' ',
        _ => c.is_alphanumeric(),
    };
    !value.is_empty() && value.chars().all(is_plain)
}

/// Nothing in it ends the quotes or the line, or steers a terminal.
fn quote(value: &str, line: &mut String) {
    line.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => line.extend(['\\', c]),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            ' '..='~' => line.push(c),
            _ if c.is_alphanumeric() => line.push(c),
            // As Go and JSON write it.
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a string does not fail.
                    let _ = write!(line, "\\u{unit:04x}");
                }
            }
        }
    }
    line.push('"');
}

fn json(pairs: Pairs) -> String {
    let mut line = String::from("{");
    for (name, value) in pairs {
        if line.len() > 1 {
            line.push(',');
        }
        quote(name, &mut line);
        line.push(':');
        quote(&value.to_string(), &mut line);
    }
    line.push_str("}\n");
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    /// What is logged, without the time.
    fn logged(least: Level, format: Format, write: impl Fn(Log)) -> String {
        let lines = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&lines);
        let sink = move |line: &[u8]| {
            kept.lock().unwrap().push_str(str::from_utf8(line).unwrap());
        };
        write(Log::to(least, format, Box::leak(Box::new(sink))));
        let lines = lines.lock().unwrap();
        let untimed = |line: &str| {
            let (start, rest) = match format {
                Format::Logfmt => line.split_once(" ").unwrap(),
                Format::Json => line.split_once(",").unwrap(),
            };
            assert!(start.starts_with(["ts=2", "{\"ts\":\"2"][format as usize]));
            format!("{rest}\n")
        };
        lines.lines().map(untimed).collect()
    }

    #[test]
    fn values_are_quoted_where_needed() {
        let lines = logged(Level::Debug, Format::Logfmt, |log| {
            log.info("Listening on", &[("address", &"127.0.0.1:9091")]);
            log.debug("x", &[("a", &""), ("b", &"ümlaut"), ("c", &1.5)]);
        });
        assert_eq!(
            lines,
            "level=info msg=\"Listening on\" address=127.0.0.1:9091\n\
             level=debug msg=x a=\"\" b=ümlaut c=1.5\n"
        );
    }

    #[test]
    fn no_value_forges_a_line_or_a_pair() {
        let evil = "a\nlevel=error \"b\" \\ \u{1b}[2J\u{2028}\u{1f980}\u{202e}";
        let lines = logged(Level::Info, Format::Logfmt, |log| log.warn(evil, &[]));
        assert_eq!(
            lines,
            "level=warn msg=\"a\\nlevel=error \\\"b\\\" \\\\ \\u001b[2J\\u2028\\ud83e\\udd80\\u202e\"\n"
        );
        let lines = logged(Level::Info, Format::Json, |log| log.warn(evil, &[]));
        let line = serde_json::from_str::<serde_json::Value>(&format!("{{{lines}")).unwrap();
        assert_eq!(line["msg"], evil);
        assert_eq!(lines.lines().count(), 1);
    }

    #[test]
    fn levels() {
        let lines = logged(Level::Warn, Format::Logfmt, |log| {
            log.debug("a", &[]);
            log.info("b", &[]);
            log.warn("c", &[]);
            log.error("d", &[]);
        });
        assert_eq!(lines, "level=warn msg=c\nlevel=error msg=d\n");
    }
}
