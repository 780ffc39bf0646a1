//! The demos: jobs whose metrics are random and look like a shop's, to try out reports and dashboards.
//!
//! - `orders`: counters of orders and revenue.
//! - `satisfaction`: a histogram of scores.
//!
//! Dashboards and tests may rely on the names of their metrics.

mod orders;
mod satisfaction;

use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

pub use self::orders::Orders;
pub use self::satisfaction::Satisfaction;
use super::{Context, TaskError};
use crate::job::params::{Param, ParamError, ParamReader};

/// Where the shop sells.
const REGIONS: [&str; 3] = ["emea", "americas", "apac"];

const DURATION: Param = Param {
    name: "duration",
    default: Some("1500ms"),
    help: "How long a run takes at most; it takes at least half of it",
};

const FAILURE_RATE: Param = Param {
    name: "failure-rate",
    default: Some("0.0"),
    help: "How likely a run fails, from 0 to 1",
};

const SEED: Param = Param {
    name: "seed",
    default: None,
    help: "Makes a run repeatable (a whole number; default: another one each time)",
};

/// Parameters that all demos have in common.
struct Simulation {
    /// How many steps a run has at most.
    steps: u64,
    duration: Duration,
    failure_rate: f64,
    seed: Option<u64>,
}

impl Simulation {
    /// `steps` is the parameter that says how many there are.
    fn read(params: &ParamReader<'_>, steps: &'static str) -> Result<Self, ParamError> {
        Ok(Simulation {
            steps: params.integer(steps)?.unwrap_or_default(),
            duration: params.duration(DURATION.name)?.unwrap_or_default(),
            failure_rate: params.probability(FAILURE_RATE.name)?.unwrap_or_default(),
            seed: params.integer(SEED.name)?,
        })
    }

    /// Does `step` repeatedly, spread over the time that the run takes. `phase` is the name of the steps,
    /// `failure` the message of a run that fails.
    fn run(
        &self,
        context: &Context<'_>,
        phase: &'static str,
        failure: &str,
        mut step: impl FnMut(&mut ChaCha8Rng),
    ) -> Result<(), TaskError> {
        let seed = self.seed.unwrap_or_else(rand::random);
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        // Between half and all of the given steps, so that the numbers go up and down.
        let total = random.random_range(self.steps / 2..=self.steps);
        let duration = self.duration.mul_f64(random.random_range(0.5..=1.0));
        let fails = random.random_bool(self.failure_rate);
        let last = if fails {
            random.random_range(0..total.max(1))
        } else {
            total
        };
        let duration = match total {
            0 => duration,
            total => duration.mul_f64(last as f64 / total as f64),
        };
        let mut done = 0;
        context.wait(duration, |elapsed| {
            let due = if elapsed == duration {
                last
            } else {
                (last as f64 * elapsed.div_duration_f64(duration)) as u64
            };
            while done < due {
                step(&mut random);
                done += 1;
                context.progress(phase, done, total)?;
            }
            context.progress(phase, done, total)
        })?;
        if !fails {
            Ok(())
        } else {
            Err(TaskError(format!(
                "{failure} after {done} of {total} {phase} (simulated: failure-rate {}, seed {seed})",
                self.failure_rate,
            )))
        }
    }
}

/// One of `choices`; the first ones come more often.
fn pick<'a, T>(random: &mut ChaCha8Rng, choices: &'a [T]) -> &'a T {
    let mut index = || random.random_range(0..choices.len());
    &choices[index().min(index())]
}
