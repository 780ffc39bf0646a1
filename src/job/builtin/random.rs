//! `random`: a loop with random outcomes.

use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::{Builtin, Context, Task, TaskError};
use crate::job::params::{Param, ParamError, Params};

/// Iterations that end as ok, normal or error, equally likely; each is counted.
pub struct Random;

const PARAMS: &[Param] = &[
    Param {
        name: "iterations",
        default: Some("100"),
        help: "How many outcomes to draw",
    },
    Param {
        name: "interval",
        default: Some("10ms"),
        help: "How long to wait after each",
    },
    Param {
        name: "seed",
        default: None,
        help: "Makes the outcomes repeatable (a whole number; default: another one each time)",
    },
];

impl Builtin for Random {
    fn name(&self) -> &'static str {
        "random"
    }

    fn params(&self) -> &'static [Param] {
        PARAMS
    }

    fn prepare(&self, params: &Params) -> Result<Box<dyn Task>, ParamError> {
        let params = params.read(self.name(), PARAMS)?;
        Ok(Box::new(Loop {
            iterations: params.integer("iterations")?.unwrap_or_default(),
            interval: params.duration("interval")?.unwrap_or_default(),
            seed: params.integer("seed")?.unwrap_or_else(rand::random),
        }))
    }
}

struct Loop {
    iterations: u64,
    interval: Duration,
    seed: u64,
}

impl Task for Loop {
    fn run(&mut self, context: &Context<'_>) -> Result<(), TaskError> {
        let all = context.counter("count_total", "Iterations of the last run.")?;
        let outcomes = [
            context.counter(
                "ok_count_total",
                "Iterations of the last run that ended as ok.",
            )?,
            context.counter(
                "normal_count_total",
                "Iterations of the last run that ended as normal.",
            )?,
            context.counter(
                "error_count_total",
                "Iterations of the last run that ended as error.",
            )?,
        ];
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        for iteration in 0..self.iterations {
            outcomes[random.random_range(0..outcomes.len())].inc();
            all.inc();
            context.wait(self.interval, |_| {
                context.progress("iterations", iteration, self.iterations)
            })?;
        }
        context.progress("iterations", self.iterations, self.iterations)
    }
}
