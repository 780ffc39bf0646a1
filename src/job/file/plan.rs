//! The keys that say when a job runs by itself.

use std::time::Duration;

use super::reader::{Key, Reader, Span, Value};
use crate::job::duration;
use crate::job::schedule::{Missed, Plan, Schedule, Zone};

/// The keys as far as they were given.
#[derive(Default)]
pub struct PlanKeys {
    schedule: Option<PlanText>,
    every: Option<PlanText>,
    timezone: Option<(Span, Option<Zone>)>,
    jitter: Option<Duration>,
    missed: Missed,
    /// Where the keys stand that are of no use by themselves.
    needs_schedule: Vec<(Span, String)>,
}

/// A string, unless it is something else, and where its key and itself stand.
struct PlanText {
    key: Span,
    span: Span,
    text: Option<String>,
}

impl<'a> Reader<'a> {
    /// One of the keys.
    pub fn plan_key(&mut self, key: &Key<'a>, value: &Value<'a>, keys: &mut PlanKeys) {
        let name = key.get_ref();
        match name.as_ref() {
            "schedule" => keys.schedule = Some(self.text(key, value)),
            "every" => keys.every = Some(self.text(key, value)),
            _ => {
                keys.needs_schedule.push((key.span(), name.to_string()));
                match name.as_ref() {
                    "timezone" => keys.timezone = Some((key.span(), self.parsed(key, value))),
                    "jitter" => keys.jitter = self.duration(key, value),
                    _ => keys.missed = self.parsed(key, value).unwrap_or_default(),
                }
            }
        }
    }

    fn text(&mut self, key: &Key<'a>, value: &Value<'a>) -> PlanText {
        PlanText {
            key: key.span(),
            span: value.span(),
            text: self.string(key, value),
        }
    }

    /// Builds the plan from all the keys about it.
    pub fn plan(&mut self, keys: PlanKeys, has_unknown_key: bool) -> Option<Plan> {
        let schedule = match (keys.schedule, keys.every) {
            (Some(_), Some(every)) => {
                let problem = "a job has either schedule or every, not both";
                self.problem(every.key, problem.into());
                None
            }
            (Some(PlanText { span, text, .. }), None) => {
                // A name that is no zone's has been noted.
                let zone = keys.timezone.and_then(|(_, zone)| zone);
                let text = text?;
                let schedule = Schedule::cron(&text, zone.unwrap_or_else(Zone::system));
                self.checked("schedule", span, &text, schedule)
            }
            (None, Some(PlanText { span, text, .. })) => {
                if let Some((span, _)) = keys.timezone {
                    let problem = "timezone is for schedule: every is the same in all zones";
                    self.problem(span, problem.into());
                }
                let text = text?;
                let schedule = duration::parse(&text).and_then(Schedule::every);
                self.checked("every", span, &text, schedule)
            }
            // With a key that is misspelt, that is the one.
            (None, None) if has_unknown_key => None,
            (None, None) => {
                for (span, key) in keys.needs_schedule {
                    let problem = format!(
                        "{key} is for a job with a schedule: give schedule = \"…\" or every = \"…\""
                    );
                    self.problem(span, problem);
                }
                None
            }
        };
        Some(Plan {
            schedule: schedule?,
            jitter: keys.jitter.unwrap_or_default(),
            missed: keys.missed,
        })
    }
}
