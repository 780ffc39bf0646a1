//! What a known difference is, and whether it is still there.

use std::time::Duration;

use crate::common::http::exchange;
use crate::common::{Answer, PATIENCE, Server};

use super::differences;
use super::pair::{Pair, beside};
use super::request::Request;
use super::shown::Shown;

/// A difference that is meant.
pub struct Difference {
    pub what: &'static str,
    pub why: &'static str,
    pub flags: &'static [&'static str],
    /// Requests of which only the last one is dealt with differently.
    pub examples: fn() -> Vec<Vec<Request>>,
    pub real: Effect,
    pub ours: Effect,
}

/// The status of the answer, and what else there is to see.
pub type Effect = (u16, Then);

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Then {
    /// The same as before.
    Unchanged,
    /// The data of a push that was taken.
    Applied,
    /// The data of before, and a group whose last push has failed.
    Refused,
    /// No metrics any more, because they are inconsistent.
    Broken,
    /// This text, see [`Shown::has`].
    Shows(&'static str),
    /// An answer with this header.
    Header(&'static str, &'static str),
    /// No answer at all.
    Hangs,
}

#[test]
fn each_is_still_there() {
    let mut gone = Vec::new();
    for difference in differences::DIFFERENCES {
        assert_ne!(difference.real, difference.ours, "{}", difference.what);
        beside(difference.flags, |pair| {
            for example in (difference.examples)() {
                if let Err(found) = difference.verify(pair, &example) {
                    let Difference { what, why, .. } = difference;
                    gone.push(format!("{what} ({why}): {found}"));
                }
                pair.wipe();
            }
        });
    }
    assert!(gone.is_empty(), "{}", gone.join("\n"));
}

impl Difference {
    /// Whether the example is dealt with as is said; or what is found instead.
    fn verify(&self, pair: &mut Pair, example: &[Request]) -> Result<(), String> {
        let (last, preparations) = example.split_last().unwrap();
        for request in preparations {
            pair.send(request);
        }
        pair.compare();
        let before = pair.shown();
        let answers = [
            answer(&pair.real, last, self.real.1),
            answer(&pair.ours, last, self.ours.1),
        ];
        let after = pair.shown();
        let expected = [self.real, self.ours];
        for (at, who) in ["the real one", "ours"].into_iter().enumerate() {
            let (status, then) = expected[at];
            let answer = answers[at].as_ref();
            let found = answer.map_or(0, |answer| answer.status);
            if found != status || !then.is_so(answer, &before[at], &after[at]) {
                let after = before[at].difference(&after[at]);
                return Err(format!("{who} answers {found} to {last:?}, then {after}"));
            }
        }
        let is_of_answer = self.real.0 != self.ours.0 || matches!(self.real.1, Then::Header(..));
        if !is_of_answer && after[0] == after[1] {
            return Err(format!("both show the same after {last:?}"));
        }
        Ok(())
    }
}

/// What a server answers, or `None` if it is known to hang and does.
fn answer(server: &Server, request: &Request, then: Then) -> Option<Answer> {
    let patience = match then {
        Then::Hangs => Duration::from_secs(1),
        _ => PATIENCE,
    };
    let Request {
        method,
        path,
        headers,
        body,
    } = request;
    exchange(patience, server.address(), method, path, headers, body).ok()
}

impl Then {
    fn is_so(self, answer: Option<&Answer>, before: &Shown, after: &Shown) -> bool {
        let changes_data = after.data() != before.data();
        match self {
            Then::Unchanged => after == before,
            Then::Applied => changes_data && !after.has_failed_group(),
            Then::Refused => !changes_data && after.has_failed_group(),
            Then::Broken => before.status == 200 && after.status == 500,
            Then::Shows(text) => after.has(text) && !before.has(text),
            Then::Header(name, value) => {
                answer.is_some_and(|answer| answer.headers.get(name).map_or("", |it| it) == value)
            }
            Then::Hangs => answer.is_none(),
        }
    }
}
