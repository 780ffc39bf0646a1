//! One event of a running job, and the line that stands for it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::job::metric_rule::Scale;
use metricsjob_metrics::Labels;
use metricsjob_system::files;

/// Prefix of a line of the metrics file that is an event: a comment for any other reader of the text
/// format.
const MARK: &str = "# metricsjob ";

/// How many bytes of events are written at once.
const BATCH: usize = 64 * 1024;

/// Something that happened to one of a job's metrics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    pub name: String,
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    pub change: Change,
    /// The HELP text; empty to leave it as it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub help: String,
}

/// Change of a metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// A counter went up by this.
    Inc(#[serde(with = "float")] f64),
    /// A gauge has this value now.
    Set(#[serde(with = "float")] f64),
    /// A gauge went up by this, or down if it is below 0.
    Add(#[serde(with = "float")] f64),
    /// A histogram or summary got an observation.
    Observe {
        #[serde(with = "float")]
        value: f64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scale: Option<Scale>,
    },
}

impl Change {
    /// # Errors
    ///
    /// A counter that would go down or be no number, an observation that is no number.
    pub fn check(&self) -> Result<(), String> {
        match *self {
            Change::Inc(by) if !by.is_finite() => Err(format!("a counter cannot go up by {by}")),
            Change::Inc(by) if by < 0.0 => Err(format!(
                "a counter cannot go down, by {by} (a gauge can: metric sub)"
            )),
            Change::Add(by) if !by.is_finite() => {
                Err(format!("a gauge cannot go up or down by {by}"))
            }
            Change::Observe { value, .. } if !value.is_finite() => {
                Err(format!("{value} is no observation"))
            }
            _ => Ok(()),
        }
    }
}

impl Event {
    /// The event that `line` stands for; `None` if it is none but something else.
    pub fn read(line: &str) -> Option<Result<Event, String>> {
        let json = line.strip_prefix(MARK)?;
        let event = serde_json::from_str::<Event>(json);
        Some(event.map_err(|error| format!("not an event: {error}")))
    }
}

/// The metrics file of a running job, open to append events.
pub struct EventWriter {
    file: File,
    /// Whole lines that are not written yet.
    batch: Vec<u8>,
}

impl EventWriter {
    /// Opens the metrics file at `path`, which must exist.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(EventWriter {
            file: files::open(path, OpenOptions::new().append(true))?,
            batch: Vec::new(),
        })
    }

    /// Adds an event, which is written with the next ones.
    pub fn add(&mut self, event: &Event) -> io::Result<()> {
        self.batch.extend_from_slice(MARK.as_bytes());
        serde_json::to_writer(&mut self.batch, event)?;
        self.batch.push(b'\n');
        if self.batch.len() >= BATCH {
            self.flush()?;
        }
        Ok(())
    }

    /// Writes what was added. Events of many processes at once keep apart, because each batch is written in one
    /// piece behind the end that the file then has.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let written = self.file.write(&self.batch)?;
        if written < self.batch.len() {
            // The disk is full: the part that was written must not swallow the next event.
            let _ = self.file.write(b"\n");
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.batch.clear();
        Ok(())
    }
}

/// Numbers as text, because JSON has neither infinities nor NaN.
mod float {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}
