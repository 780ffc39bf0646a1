//! A push that a gateway refuses, in parts, so that the families that it takes arrive.
//!
//! A gateway refuses a push as a whole, for one metric of the job that conflicts with another group's. That must not
//! keep the outcome of the run from arriving, or no alert could fire.

use super::gateway::GatewayError;
use metricsjob_metrics::{Family, Method, Push};

/// The most requests that one push may take, the one that was refused first included.
const MAX_REQUESTS: u32 = 32;

/// The fate of the parts of a push.
#[derive(Debug)]
pub struct Split {
    /// True if the gateway took any of them.
    pub is_any_taken: bool,
    /// The families that it refused, and those that there was no request left for.
    pub refused: Vec<Family>,
    /// Why it refused the first of them.
    pub error: Option<GatewayError>,
}

/// Sends the families of `push`, which was refused as a whole, in parts: those of the runner first, by the method of
/// the push, then the others by POST, halving what is refused. The last request is one that the gateway takes, because
/// it notes the time of the last refusal.
///
/// # Errors
///
/// One that is not about the families, such as a broken connection. Some parts may have arrived; to send all
/// of them again does no harm.
pub fn split(
    push: &Push,
    send: impl FnMut(&Push) -> Result<(), GatewayError>,
) -> Result<Split, GatewayError> {
    let is_runners = |family: &Family| push.runners_own().contains(&family.name);
    let (own, others): (Vec<Family>, Vec<Family>) =
        push.families().iter().cloned().partition(is_runners);
    let mut splitter = Splitter {
        push,
        send,
        method: push.method(),
        requests_left: MAX_REQUESTS - 1,
        taken: None,
        is_last_taken: false,
        refused: Vec::new(),
        error: None,
    };
    match (own.is_empty(), others.is_empty()) {
        (false, false) => {
            splitter.offer(own)?;
            splitter.offer(others)?;
        }
        // All of them were refused already.
        (true, _) => splitter.halve(others)?,
        (_, true) => splitter.halve(own)?,
    }
    splitter.end_well();
    Ok(Split {
        is_any_taken: splitter.taken.is_some(),
        refused: splitter.refused,
        error: splitter.error,
    })
}

struct Splitter<'a, F> {
    push: &'a Push,
    send: F,
    /// The method of the push until something is taken, so that a PUT still replaces what was there before.
    method: Method,
    requests_left: u32,
    /// The first families that were taken.
    taken: Option<Vec<Family>>,
    is_last_taken: bool,
    refused: Vec<Family>,
    error: Option<GatewayError>,
}

impl<F: FnMut(&Push) -> Result<(), GatewayError>> Splitter<'_, F> {
    fn offer(&mut self, families: Vec<Family>) -> Result<(), GatewayError> {
        if families.is_empty() {
            return Ok(());
        }
        // The last one is reserved for a part that is taken.
        if self.requests_left <= 1 {
            self.refused.extend(families);
            return Ok(());
        }
        self.requests_left -= 1;
        match (self.send)(&self.push.part(self.method, families.clone())) {
            Ok(()) => {
                self.method = Method::Post;
                self.is_last_taken = true;
                self.taken.get_or_insert(families);
                Ok(())
            }
            Err(error) if error.may_be_of_families() => {
                self.is_last_taken = false;
                self.error.get_or_insert(error);
                self.halve(families)
            }
            Err(error) => Err(error),
        }
    }

    /// Offers both halves of the refused families.
    fn halve(&mut self, mut families: Vec<Family>) -> Result<(), GatewayError> {
        if families.len() < 2 {
            self.refused.extend(families);
            return Ok(());
        }
        let half = families.split_off(families.len() / 2);
        self.offer(families)?;
        self.offer(half)
    }

    fn end_well(&mut self) {
        if let (Some(families), false) = (&self.taken, self.is_last_taken) {
            // All has arrived that can. Without it only the gateway's time of the last failure is the newer one.
            let _ = (self.send)(&self.push.part(Method::Post, families.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metricsjob_metrics::GroupingKey;
    use std::time::SystemTime;

    /// Splits a push to a gateway that refuses the families `bad`, and returns the requests, too.
    fn sent(method: Method, names: &[&str], own: &[&str], bad: &[&str]) -> (Split, Vec<String>) {
        let families = names.iter().map(|name| Family::gauge(*name, "", 1.0));
        let key = GroupingKey::new("j", []).unwrap();
        let push = Push::new(key, method, families.collect(), SystemTime::now()).unwrap();
        let push = push.with_runners_own(own.iter().map(|name| (*name).to_owned()));
        let mut requests = Vec::new();
        let split = split(&push, |part| {
            let names: Vec<&str> = part.families().iter().map(|f| &*f.name).collect();
            let is_refused = names.iter().any(|name| bad.contains(name));
            let mark = if is_refused { "!" } else { "" };
            requests.push(format!(
                "{}{mark} {}",
                part.method().name(),
                names.join(",")
            ));
            if is_refused {
                Err(GatewayError::refusal_for_tests())
            } else {
                Ok(())
            }
        });
        (split.expect("only refusals"), requests)
    }

    fn names(families: &[Family]) -> Vec<&str> {
        families.iter().map(|family| &*family.name).collect()
    }

    #[test]
    fn the_runners_go_first_and_the_last_one_is_taken() {
        let (split, requests) = sent(Method::Put, &["a", "b", "r", "s"], &["r", "s"], &["b"]);
        assert!(split.is_any_taken && split.error.is_some());
        assert_eq!(names(&split.refused), ["b"]);
        let expected = ["put r,s", "post! a,b", "post a", "post! b", "post r,s"];
        assert_eq!(requests, expected);
    }

    #[test]
    fn what_is_too_much_at_once_arrives_in_parts() {
        let (split, requests) = sent(Method::Post, &["a", "r"], &["r"], &[]);
        assert!(split.is_any_taken && split.refused.is_empty());
        assert_eq!(requests, ["post r", "post a"]);
    }

    #[test]
    fn put_stays_put_until_something_is_taken() {
        let (split, requests) = sent(Method::Put, &["r", "s"], &["r", "s"], &["r"]);
        assert_eq!(names(&split.refused), ["r"]);
        assert_eq!(requests, ["put! r", "put s"]);
    }

    #[test]
    fn where_nothing_is_taken_all_is_refused() {
        let (split, requests) = sent(Method::Post, &["a", "r"], &["r"], &["a", "r"]);
        assert!(!split.is_any_taken);
        assert_eq!(names(&split.refused), ["r", "a"]);
        assert_eq!(requests, ["post! r", "post! a"]);
    }

    #[test]
    fn the_number_of_requests_is_bounded() {
        let all: Vec<String> = (0..100).map(|n| format!("m{n:02}")).collect();
        let all: Vec<&str> = all.iter().map(|name| &**name).chain(["r"]).collect();
        let bad: Vec<&str> = all
            .iter()
            .copied()
            .step_by(2)
            .filter(|n| *n != "r")
            .collect();
        let (split, requests) = sent(Method::Post, &all, &["r"], &bad);
        assert!(requests.len() <= 31, "{}", requests.len());
        assert!(!requests.last().unwrap().contains('!'), "{requests:?}");
        let refused = names(&split.refused);
        assert!(bad.iter().all(|name| refused.contains(name)));
        assert!(!refused.contains(&"r"));
    }
}
