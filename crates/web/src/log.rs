//! A log on stderr like that of Prometheus' servers: one line for each event of [`tracing`], made of
//! machine-readable pairs.

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::panic;
use std::thread;
use std::time::SystemTime;

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

use metricsjob_system::panics;

fn name(level: tracing::Level) -> &'static str {
    match level {
        tracing::Level::ERROR => "error",
        tracing::Level::WARN => "warn",
        tracing::Level::INFO => "info",
        tracing::Level::DEBUG => "debug",
        tracing::Level::TRACE => "trace",
    }
}

/// Format of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Logfmt,
    Json,
}

/// Writes events of level `least` and above to stderr from now on.
pub fn install(least: LevelFilter, format: LogFormat) {
    let subscriber = subscriber(least, format, |line| {
        // If this fails, there is no other place to report it.
        let _ = io::stderr().write_all(line);
    });
    // This fails if a subscriber is already set, which then belongs to someone else.
    let _ = tracing::subscriber::set_global_default(subscriber);
    panic::set_hook(Box::new(|info| {
        let thread = thread::current();
        let place = info.location().map(ToString::to_string);
        tracing::error!(
            thread = thread.name().unwrap_or_default(),
            place,
            err = panics::message(info.payload()),
            "a panic, which is a bug of metricsjob"
        );
    }));
}

/// Returns a subscriber that passes each line, including its line break, to `sink`.
pub fn subscriber(
    least: LevelFilter,
    format: LogFormat,
    sink: impl Fn(&[u8]) + Send + Sync + 'static,
) -> impl Subscriber + Send + Sync {
    tracing_subscriber::registry().with(Lines {
        least,
        format,
        sink,
    })
}

/// Formats each event as a line, and ignores spans.
struct Lines<S> {
    least: LevelFilter,
    format: LogFormat,
    sink: S,
}

/// Returns true for events of our own crates: libraries log for their own developers.
fn is_ours(metadata: &Metadata) -> bool {
    let crate_name = metadata.target().split("::").next();
    crate_name.is_some_and(|name| name == "metricsjob" || name.starts_with("metricsjob_"))
}

impl<S: Subscriber, F: Fn(&[u8]) + 'static> Layer<S> for Lines<F> {
    fn enabled(&self, metadata: &Metadata, _: Context<'_, S>) -> bool {
        *metadata.level() <= self.least && is_ours(metadata)
    }

    /// Makes disabled events cost next to nothing.
    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.least)
    }

    fn on_event(&self, event: &Event, _: Context<'_, S>) {
        let mut fields = LineFields {
            format: self.format,
            message: String::new(),
            line: String::new(),
        };
        event.record(&mut fields);
        let mut line = String::with_capacity(100 + fields.message.len() + fields.line.len());
        let time = humantime::format_rfc3339_millis(SystemTime::now());
        self.format.pair("ts", &time.to_string(), &mut line);
        let level = name(*event.metadata().level());
        self.format.pair("level", level, &mut line);
        self.format.pair("msg", &fields.message, &mut line);
        line.push_str(&fields.line);
        line.push_str(match self.format {
            LogFormat::Logfmt => "\n",
            LogFormat::Json => "}\n",
        });
        (self.sink)(line.as_bytes());
    }
}

/// Message and fields of an event, the fields formatted as part of the line. Field names are plain words, but
/// values can be any text.
struct LineFields {
    format: LogFormat,
    message: String,
    line: String,
}

impl LineFields {
    /// Records a value that JSON writes without quotes.
    fn bare(&mut self, field: &Field, value: &str) {
        match self.format {
            LogFormat::Logfmt => self.record_str(field, value),
            LogFormat::Json => {
                self.line.push_str(self.format.separator());
                quote(field.name(), &mut self.line);
                self.line.push(':');
                self.line.push_str(value);
            }
        }
    }
}

impl Visit for LineFields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            name => {
                // This field follows others in the line.
                self.line.push_str(self.format.separator());
                self.format.value(name, value, &mut self.line);
            }
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.bare(field, &value.to_string());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.bare(field, &value.to_string());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            self.bare(field, &value.to_string())
        } else {
            self.record_str(field, &value.to_string())
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.bare(field, &value.to_string());
    }

    /// Bytes are the text of a JSON value, which a field of an event cannot be itself.
    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        match serde_json::from_slice(value) {
            Ok(value) => self.format.nested(field.name(), &value, &mut self.line),
            Err(_) => self.record_str(field, &String::from_utf8_lossy(value)),
        }
    }

    /// Values that are recorded by their `Display` arrive here too.
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

impl LogFormat {
    fn separator(self) -> &'static str {
        match self {
            LogFormat::Logfmt => " ",
            LogFormat::Json => ",",
        }
    }

    /// Appends one of the pairs that a line begins with.
    fn pair(self, name: &str, value: &str, line: &mut String) {
        line.push_str(match (self, line.is_empty()) {
            (LogFormat::Logfmt, true) => "",
            (LogFormat::Json, true) => "{",
            (_, false) => self.separator(),
        });
        self.value(name, value, line);
    }

    fn value(self, name: &str, value: &str, line: &mut String) {
        match self {
            LogFormat::Logfmt => {
                line.push_str(name);
                line.push('=');
                if is_plain(value) {
                    line.push_str(value)
                } else {
                    quote(value, line)
                }
            }
            LogFormat::Json => {
                quote(name, line);
                line.push(':');
                quote(value, line);
            }
        }
    }

    /// Appends a JSON value. In logfmt, each member of an object is a pair of its own, whose name begins with that of the
    /// object and a dot.
    fn nested(self, name: &str, value: &Value, line: &mut String) {
        match (self, value) {
            (LogFormat::Json, _) => {
                line.push_str(self.separator());
                quote(name, line);
                line.push(':');
                append_json(value, line);
            }
            (LogFormat::Logfmt, Value::Object(members)) => {
                for (member, value) in members {
                    let member: String = member.chars().map(plain_in_name).collect();
                    self.nested(&format!("{name}.{member}"), value, line);
                }
            }
            (LogFormat::Logfmt, Value::String(text)) => {
                line.push_str(self.separator());
                self.value(name, text, line);
            }
            (LogFormat::Logfmt, value) => {
                line.push_str(self.separator());
                self.value(name, &value.to_string(), line);
            }
        }
    }
}

/// Replaces what logfmt has no quotes for.
fn plain_in_name(c: char) -> char {
    match c {
        '=' | '"' => '_',
        '!'..='~' => c,
        _ if c.is_alphanumeric() => c,
        _ => '_',
    }
}

/// Appends a value whose strings are quoted like those of the line.
fn append_json(value: &Value, line: &mut String) {
    match value {
        Value::Object(members) => {
            line.push('{');
            for (i, (name, value)) in members.iter().enumerate() {
                line.push_str(if i == 0 { "" } else { "," });
                quote(name, line);
                line.push(':');
                append_json(value, line);
            }
            line.push('}');
        }
        Value::Array(values) => {
            line.push('[');
            for (i, value) in values.iter().enumerate() {
                line.push_str(if i == 0 { "" } else { "," });
                append_json(value, line);
            }
            line.push(']');
        }
        Value::String(text) => quote(text, line),
        Value::Null | Value::Bool(_) | Value::Number(_) => line.push_str(&value.to_string()),
    }
}

fn is_plain(value: &str) -> bool {
    let is_plain = |c: char| match c {
        '=' | '"' => false,
        ' '..='~' => c != ' ',
        _ => c.is_alphanumeric(),
    };
    !value.is_empty() && value.chars().all(is_plain)
}

/// Quotes `value` so that nothing in it ends the quotes or the line, or controls a terminal.
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
            // The escape that Go and JSON use.
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a string cannot fail.
                    let _ = write!(line, "\\u{unit:04x}");
                }
            }
        }
    }
    line.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    use tracing::{debug, error, info, trace, warn};

    /// Returns the log lines of `write`, without the time.
    fn logged(least: LevelFilter, format: LogFormat, write: impl Fn()) -> String {
        let lines = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&lines);
        let sink = move |line: &[u8]| {
            kept.lock().unwrap().push_str(str::from_utf8(line).unwrap());
        };
        tracing::subscriber::with_default(subscriber(least, format, sink), write);
        let lines = lines.lock().unwrap();
        let untimed = |line: &str| {
            let (start, rest) = match format {
                LogFormat::Logfmt => line.split_once(" ").unwrap(),
                LogFormat::Json => line.split_once(",").unwrap(),
            };
            assert!(start.starts_with(["ts=2", "{\"ts\":\"2"][format as usize]));
            format!("{rest}\n")
        };
        lines.lines().map(untimed).collect()
    }

    #[test]
    fn values_are_quoted_where_needed() {
        let lines = logged(LevelFilter::DEBUG, LogFormat::Logfmt, || {
            info!(address = "127.0.0.1:9091", "Listening on");
            debug!(a = "", b = %"ümlaut", c = 1.5, d = 7_u64, e = true, f = -1, "x");
            let error = io::Error::other("no way");
            debug!(err = %error, path = ?"a", "{} of {}", 1, 2);
        });
        assert_eq!(
            lines,
            "level=info msg=\"Listening on\" address=127.0.0.1:9091\n\
             level=debug msg=x a=\"\" b=ümlaut c=1.5 d=7 e=true f=-1\n\
             level=debug msg=\"1 of 2\" err=\"no way\" path=\"\\\"a\\\"\"\n"
        );
        let lines = logged(LevelFilter::INFO, LogFormat::Json, || {
            info!(http2 = false, groups = 3, "x");
            info!(a = -1.5, b = f64::NAN, c = u64::MAX, "y");
        });
        assert_eq!(
            lines,
            "\"level\":\"info\",\"msg\":\"x\",\"http2\":false,\"groups\":3}\n\
             \"level\":\"info\",\"msg\":\"y\",\"a\":-1.5,\"b\":\"NaN\",\"c\":18446744073709551615}\n"
        );
    }

    #[test]
    fn no_value_forges_a_line_or_a_pair() {
        let evil = "a\nlevel=error \"b\" \\ \u{1b}[2J\u{2028}\u{1f980}\u{202e}";
        let quoted = "\"a\\nlevel=error \\\"b\\\" \\\\ \\u001b[2J\\u2028\\ud83e\\udd80\\u202e\"";
        let write = || warn!(err = evil, path = %evil, "{evil}");
        let lines = logged(LevelFilter::INFO, LogFormat::Logfmt, write);
        assert_eq!(
            lines,
            format!("level=warn msg={quoted} err={quoted} path={quoted}\n")
        );
        let lines = logged(LevelFilter::INFO, LogFormat::Json, write);
        let line = serde_json::from_str::<Value>(&format!("{{{lines}")).unwrap();
        for name in ["msg", "err", "path"] {
            assert_eq!(line[name], evil);
        }
        assert_eq!(lines.lines().count(), 1);
    }

    #[test]
    fn bytes_are_nested_json() {
        let text =
            r#"{"a b":{"c=\"":1.5,"d":null},"e":["f\u001b[2J",true,{"g":2}],"h":"i j","k":{}}"#;
        let write = || {
            let json = text.as_bytes();
            info!(
                n = json,
                none = b"{".as_slice(),
                s = b"\"x y\"".as_slice(),
                "m"
            );
        };
        let line = logged(LevelFilter::INFO, LogFormat::Logfmt, write);
        assert_eq!(
            line,
            "level=info msg=m n.a_b.c__=1.5 n.a_b.d=null \
             n.e=\"[\\\"f\\\\u001b[2J\\\",true,{\\\"g\\\":2}]\" n.h=\"i j\" none={ s=\"x y\"\n"
        );
        let line = logged(LevelFilter::INFO, LogFormat::Json, write);
        assert!(!line.contains('\u{1b}'));
        let line = serde_json::from_str::<Value>(&format!("{{{line}")).unwrap();
        assert_eq!(line["n"], serde_json::from_str::<Value>(text).unwrap());
        assert_eq!((&line["none"], &line["s"]), (&"{".into(), &"x y".into()));
    }

    #[test]
    fn levels() {
        let write = || {
            trace!("-");
            debug!("a");
            info!("b");
            warn!("c");
            error!("d");
        };
        let lines = logged(LevelFilter::WARN, LogFormat::Logfmt, write);
        assert_eq!(lines, "level=warn msg=c\nlevel=error msg=d\n");
        assert_eq!(
            logged(LevelFilter::DEBUG, LogFormat::Json, write)
                .lines()
                .count(),
            4
        );
    }

    #[test]
    fn events_of_others() {
        let lines = logged(LevelFilter::DEBUG, LogFormat::Logfmt, || {
            error!(target: "hyper::proto", "a");
            error!(target: "metricsjobs", "b");
            error!(target: "metricsjob", "c");
        });
        assert_eq!(lines, "level=error msg=c\n");
    }
}
