//! `demo-satisfaction`: a survey among customers.

use rand::RngExt;

use super::{DURATION, FAILURE_RATE, REGIONS, SEED, Simulation, pick};
use crate::job::builtin::{Builtin, Context, Task, TaskError};
use crate::job::params::{Param, ParamError, Params};

/// Observes simulated scores from 1 to 5, by region.
pub struct Satisfaction;

const PARAMS: &[Param] = &[
    Param {
        name: "answers",
        default: Some("60"),
        help: "How many answers the survey gets at most; it gets at least half as many",
    },
    DURATION,
    FAILURE_RATE,
    SEED,
];

/// The scores, a bucket for each.
const SCORES: [f64; 5] = [1.0, 2.0, 3.0, 4.0, 5.0];

impl Builtin for Satisfaction {
    fn name(&self) -> &'static str {
        "demo-satisfaction"
    }

    fn params(&self) -> &'static [Param] {
        PARAMS
    }

    fn prepare(&self, params: &Params) -> Result<Box<dyn Task>, ParamError> {
        let params = params.read(self.name(), PARAMS)?;
        Ok(Box::new(SatisfactionSurvey(Simulation::read(
            &params, "answers",
        )?)))
    }
}

struct SatisfactionSurvey(Simulation);

impl Task for SatisfactionSurvey {
    fn run(&mut self, context: &Context<'_>) -> Result<(), TaskError> {
        let scores = context.histograms(
            "satisfaction_score",
            "Scores from 1 to 5 that the last simulated survey got, by region.",
            &SCORES,
            &["region"],
        )?;
        for region in REGIONS {
            scores.with_label_values(&[region]);
        }
        let failure = "the survey's server closed the connection";
        self.0.run(context, "answers", failure, |random| {
            let region = *pick(random, &REGIONS);
            // The better of two, because most customers are content.
            let mut index = || random.random_range(0..SCORES.len());
            let score = SCORES[index().max(index())];
            scores.with_label_values(&[region]).observe(score);
        })
    }
}
