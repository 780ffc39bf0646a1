//! Snapshots of a window.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

/// State of a window: its length in seconds as `window_seconds`, then its fields in the order in which they were declared.
/// It is displayed as a JSON object.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowSnapshot {
    fields: Map<String, Value>,
}

impl WindowSnapshot {
    pub(super) fn of(length: Duration) -> Self {
        let seconds = (length.as_secs_f64() * 1e3).round() / 1e3;
        let mut snapshot = WindowSnapshot { fields: Map::new() };
        snapshot.set("window_seconds", seconds.into());
        snapshot
    }

    pub(super) fn set(&mut self, name: &str, value: Value) {
        self.fields.insert(name.to_owned(), value);
    }

    /// Adds to the number at the end of a path of names, which makes nested objects.
    pub(super) fn add(&mut self, name: &str, path: &[String], value: f64) {
        let mut place = self.fields.entry(name).or_insert(Value::Null);
        for name in path {
            if !place.is_object() {
                *place = Value::Object(Map::new());
            }
            // Names are strings, for which an object makes room.
            place = &mut place[name.as_str()];
        }
        let sum = place.as_f64().unwrap_or_default() + value;
        *place = number(sum);
    }

    /// Returns the fields.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }
}

/// Converts a number; whole numbers are written without a fraction, and what JSON has no number for is null.
fn number(number: f64) -> Value {
    /// The end of the range in which each whole number is a float of its own.
    const WHOLE: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() < WHOLE {
        Value::from(number as i64)
    } else {
        Value::from(number)
    }
}

impl fmt::Display for WindowSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its keys are strings, so it always has a form in JSON.
        let text = serde_json::to_string(&self.fields).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}
