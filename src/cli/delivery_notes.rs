//! Messages on stderr about deliveries.

use super::advice::with_advice;
use super::console::{self, count};
use std::fmt::Display;

use metricsjob::push::{Delivery, Kept, Undelivered};
use metricsjob_state::StateError;

/// Warns of the problems of the deliveries of one `what`, a report or a notification, each with its destination.
/// `state_failure` is why it could not be put into the outbox. Returns whether that was reported.
pub fn warn<'a, D: Display + 'a>(
    what: &str,
    deliveries: impl Iterator<Item = (&'a D, &'a Delivery)>,
    state_failure: Option<&StateError>,
) -> bool {
    let mut is_told = false;
    for (destination, delivery) in deliveries {
        if let Err(Undelivered { error, kept }) = &delivery.result {
            let (it_is, it) = match error.refused_families().len() {
                0 => (format!("the {what} is"), "it"),
                1 => ("it is".into(), "it"),
                _ => ("they are".into(), "they"),
            };
            let fate = match (kept, state_failure) {
                (Kept::InOutbox { id, path }, _) => {
                    format!("{it_is} kept as outbox entry {id} in {}", path.display())
                }
                (Kept::Dropped, _) => {
                    format!("{it_is} lost, because the outbox is full (raise --outbox-limit)")
                }
                (Kept::Lost, Some(failure)) if !error.is_of_state() && !is_told => {
                    is_told = true;
                    format!("{it_is} lost, because {it} could not be kept either: {failure}")
                }
                (Kept::Lost, _) => {
                    is_told = true;
                    format!("{it_is} lost")
                }
            };
            console::warning(&format!("{}; {fate}", with_advice(error)));
        }
        for notice in &delivery.notices {
            console::warning(&format!("{destination}: {notice}"));
        }
        if let (Some(failure), false) = (&delivery.state_failure, is_told) {
            is_told = true;
            let fate = match delivery.result {
                Ok(()) => format!("the {what} was delivered, but is still in the outbox"),
                Err(_) => "the outbox does not know of it".into(),
            };
            console::warning(&format!("{fate}: {failure}"));
        }
        match delivery.dropped.len() as u64 {
            0 => {}
            dropped => console::warning(&format!(
                "the outbox is full: {} dropped (raise --outbox-limit, or see: metricsjob outbox list)",
                count(dropped, "the oldest entry was", "oldest entries were")
            )),
        }
        match delivery.rejected.len() as u64 {
            0 => {}
            rejected => console::warning(&format!(
                "{destination} rejected {}, see: metricsjob outbox list",
                count(
                    rejected,
                    &format!("an older {what}"),
                    &format!("older {what}s")
                )
            )),
        }
    }
    is_told
}
