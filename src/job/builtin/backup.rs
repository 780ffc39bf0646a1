//! `backup`: a simulated backup, or a real one of a SQLite database.

use std::path::PathBuf;
use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::sqlite_copy::{self, Placement};
use super::{Builtin, Context, Task, TaskError};
use crate::job::params::{Param, ParamError, Params};

/// Simulates a backup, unless it is given a source to back up.
pub struct Backup;

const PARAMS: &[Param] = &[
    Param {
        name: "source",
        default: None,
        help: "The SQLite database to back up (default: simulate a backup)",
    },
    Param {
        name: "dest",
        default: None,
        help: "The file that the copy replaces (with source)",
    },
    Param {
        name: "records",
        default: Some("42"),
        help: "Simulation: how many records it processes",
    },
    Param {
        name: "duration",
        default: Some("500ms"),
        help: "Simulation: how long it takes",
    },
    Param {
        name: "failure-rate",
        default: Some("0.0"),
        help: "Simulation: how likely it fails, from 0 to 1",
    },
    Param {
        name: "seed",
        default: None,
        help: "Simulation: makes it repeatable (a whole number; default: another one each time)",
    },
];

impl Builtin for Backup {
    fn name(&self) -> &'static str {
        "backup"
    }

    fn params(&self) -> &'static [Param] {
        PARAMS
    }

    fn prepare(&self, params: &Params) -> Result<Box<dyn Task>, ParamError> {
        let params = params.read(self.name(), PARAMS)?;
        // All are read in either case, so that a bad value is never passed over.
        let simulation = BackupSimulation {
            records: params.integer("records")?.unwrap_or_default(),
            duration: params.duration("duration")?.unwrap_or_default(),
            failure_rate: params.probability("failure-rate")?.unwrap_or_default(),
            seed: params.integer("seed")?,
        };
        match (params.path("source")?, params.path("dest")?) {
            (None, None) => Ok(Box::new(simulation)),
            (Some(source), Some(dest)) => Ok(Box::new(SqliteBackup { source, dest })),
            (Some(_), None) => Err(params.needs("source", "dest")),
            (None, Some(_)) => Err(params.needs("dest", "source")),
        }
    }
}

const RECORDS: (&str, &str) = ("records_processed", "Records that the last run backed up.");

struct BackupSimulation {
    records: u64,
    duration: Duration,
    failure_rate: f64,
    seed: Option<u64>,
}

impl Task for BackupSimulation {
    fn run(&mut self, context: &Context<'_>) -> Result<(), TaskError> {
        let records = context.gauge(RECORDS.0, RECORDS.1)?;
        let failure = self.failure();
        // The part of the work that is done before it ends.
        let part = failure.as_ref().map_or(1.0, |failure| failure.part);
        let duration = match failure {
            Some(_) => self.duration.mul_f64(part),
            None => self.duration,
        };
        context.wait(duration, |elapsed| {
            let done = if elapsed == duration {
                part
            } else {
                elapsed.as_secs_f64() / self.duration.as_secs_f64()
            };
            let processed = (self.records as f64 * done).floor();
            records.set(processed);
            context.progress("records", processed as u64, self.records)
        })?;
        match failure {
            None => Ok(()),
            Some(BackupFailure { seed, .. }) => Err(TaskError(format!(
                "simulated failure after {} of {} records (failure-rate {}, seed {seed})",
                records.get(),
                self.records,
                self.failure_rate,
            ))),
        }
    }
}

/// A failure that a simulation has drawn.
struct BackupFailure {
    /// How much of the work is done by then, from 0 to 1.
    part: f64,
    /// Seed of the random generator, which makes the failure repeatable.
    seed: u64,
}

impl BackupSimulation {
    /// Draws whether it fails. Most simulations cannot: then nothing is drawn, which saves the time
    /// that a random generator takes to set itself up.
    fn failure(&self) -> Option<BackupFailure> {
        if self.failure_rate == 0.0 {
            return None;
        }
        let seed = self.seed.unwrap_or_else(rand::random);
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random
            .random_bool(self.failure_rate)
            .then(|| BackupFailure {
                part: random.random(),
                seed,
            })
    }
}

struct SqliteBackup {
    source: PathBuf,
    dest: PathBuf,
}

impl Task for SqliteBackup {
    fn run(&mut self, context: &Context<'_>) -> Result<(), TaskError> {
        let placement = Placement {
            is_private: false,
            may_replace: true,
        };
        let progress = &mut |phase, done, total| context.progress(phase, done, total).is_ok();
        let copied = sqlite_copy::copy(&self.source, &self.dest, placement, progress)
            .map_err(|error| TaskError(error.to_string()))?;
        context.gauge(RECORDS.0, RECORDS.1)?.set(copied.rows as f64);
        context
            .gauge("size_bytes", "Size of the file that the last run wrote.")?
            .set(copied.bytes as f64);
        Ok(())
    }
}
