//! One run.

use maud::{Markup, html};

use super::RunView;
use crate::run::Outcome;
use metricsjob_state::history::RecordedRun;
use metricsjob_web::page::quantity::duration;
use metricsjob_web::page::text::visible;

/// How a run ended, as far as its looks go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Look {
    Success,
    Failed,
    /// Neither: it was skipped.
    Neither,
}

impl Look {
    pub fn class(self) -> &'static str {
        match self {
            Look::Success => "success",
            Look::Failed => "failed",
            Look::Neither => "neither",
        }
    }
}

impl RunView {
    pub fn of(run: &RecordedRun) -> Self {
        RunView {
            id: run.run_id.clone(),
            outcome: run.outcome.clone(),
            exit_code: run.exit_code,
            started_at: run.started_at,
            duration: run.duration,
        }
    }

    pub fn has_failed(&self) -> bool {
        self.look() == Look::Failed
    }

    pub(super) fn was_skipped(&self) -> bool {
        self.look() == Look::Neither
    }

    pub(super) fn look(&self) -> Look {
        match self.outcome.as_str() {
            "success" => Look::Success,
            "skipped" => Look::Neither,
            _ => Look::Failed,
        }
    }

    /// `Failure (exit code 3)`.
    pub(super) fn outcome(&self) -> String {
        let words = Outcome::words(&self.outcome, self.exit_code);
        let mut rest = words.chars();
        let first = rest.next().map(|c| c.to_ascii_uppercase());
        visible(&first.into_iter().chain(rest).collect::<String>()).into_owned()
    }

    /// `exit code 3`, of one that failed.
    pub(super) fn why(&self) -> String {
        match self.outcome.as_str() {
            "failure" => format!("exit code {}", self.exit_code),
            outcome => visible(&Outcome::words(outcome, self.exit_code)).into_owned(),
        }
    }

    pub(super) fn badge(&self) -> Markup {
        html! { span class={ "badge " (self.look().class()) } { (self.outcome()) } }
    }

    /// `2 min 5 s`.
    pub(super) fn took(&self) -> String {
        length(self.duration)
    }
}

/// `2 min 5 s`, whatever the number.
pub fn length(seconds: f64) -> String {
    match duration(seconds) {
        Some(text) => text,
        None if seconds.abs() < 1.0 => "0 s".into(),
        None if seconds.is_nan() => "an unknown time".into(),
        None => format!("{seconds:.0e} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes() {
        for (outcome, exit_code, words, look) in [
            ("success", 0, "Success", Look::Success),
            ("success", 3, "Success (exit code 3)", Look::Success),
            ("failure", 1, "Failure (exit code 1)", Look::Failed),
            ("signal", 137, "Signal 9", Look::Failed),
            ("timeout", 124, "Timeout", Look::Failed),
            ("skipped", 0, "Skipped", Look::Neither),
            ("a\u{202e}", 0, r"A\u{202e}", Look::Failed),
        ] {
            let run = RunView {
                outcome: outcome.into(),
                exit_code,
                ..RunView::default()
            };
            assert_eq!((run.outcome().as_str(), run.look()), (words, look));
        }
    }

    #[test]
    fn lengths() {
        for (seconds, words) in [
            (0.0, "0 s"),
            (1e-12, "0 s"),
            (0.25, "250 ms"),
            (125.0, "2 min 5 s"),
            (1e300, "1e300 s"),
            (f64::INFINITY, "inf s"),
            (f64::NAN, "an unknown time"),
        ] {
            assert_eq!(length(seconds), words);
        }
    }
}
