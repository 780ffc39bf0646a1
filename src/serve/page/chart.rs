//! How long the last runs took, as bars.

use maud::{Markup, html};

use super::run::{Look, length};
use super::{BARS, RunView};
use metricsjob_web::page::text::count;
use metricsjob_web::page::time;

/// Width of a bar and the gap after it.
const STEP: usize = 9;
const BAR: usize = 7;
const HEIGHT: f64 = 44.0;

/// Minimum height of a bar, so that a run that took no time is visible.
const LEAST: f64 = 2.0;

/// Definitions that the bars of all charts refer to: the stripes of failed runs.
pub fn definitions() -> Markup {
    html! {
        svg .unseen aria-hidden="true" focusable="false" width="0" height="0" {
            defs {
                pattern #stripes width="4" height="4" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                    rect width="4" height="4" {}
                    path d="M0 1H4" {}
                }
            }
        }
    }
}

/// `11 of 27 failed`, of the last of `runs` that took place; `None` if none of them failed.
pub fn failures(runs: &[RunView]) -> Option<String> {
    let runs = last(runs);
    let failed = of_look(runs, Look::Failed);
    let begun = runs.len() - of_look(runs, Look::Neither);
    (failed > 0).then(|| format!("{failed} of {begun} failed"))
}

/// Runs of `runs` that the chart has.
fn last(runs: &[RunView]) -> &[RunView] {
    &runs[runs.len().saturating_sub(BARS)..]
}

fn of_look(runs: &[RunView], look: Look) -> usize {
    runs.iter().filter(|run| run.look() == look).count()
}

/// The last of `runs`, the newest at the right end. The highest bar is the longest run.
pub fn figure(runs: &[RunView]) -> Markup {
    let runs = last(runs);
    let longest = runs.iter().map(known).fold(0.0, f64::max);
    let skipped = of_look(runs, Look::Neither);
    let first = BARS - runs.len();
    let width = BARS * STEP - (STEP - BAR);
    html! {
        figure .chart {
            @if runs.is_empty() {
                figcaption { "No run so far" }
            } @else {
                figcaption {
                    span { (count(runs.len(), "run", "runs")) ", longest " (length(longest)) }
                    @if let Some(failures) = failures(runs) { " " span .striped { (failures) } }
                    @if skipped > 0 { " " span { (skipped) " skipped" } }
                }
                svg role="img" aria-label={
                    "How long the last " (count(runs.len(), "run", "runs"))
                    " took, the newest at the right end"
                } viewBox={ "0 0 " (width) " " (HEIGHT) } width=(width) height=(HEIGHT) {
                    path .scale d={ "M0 0.5H" (width) "M0 " (HEIGHT - 0.5) "H" (width) } {}
                    @for (index, run) in runs.iter().enumerate() {
                        @let height = height(known(run), longest);
                        @let class = (!run.has_failed()).then_some(run.look().class());
                        rect class=[class]
                            x=((first + index) * STEP) y=(format!("{:.1}", HEIGHT - height))
                            width=(BAR) height=(format!("{height:.1}"))
                            fill=[run.has_failed().then_some("url(#stripes)")] {
                            title { (title(run)) }
                        }
                    }
                }
            }
        }
    }
}

fn title(run: &RunView) -> String {
    let mut text = format!("{}, {}", run.outcome(), run.took());
    if let Some(time) = time::exact(run.started_at) {
        text += &format!(", {time}");
    }
    text
}

/// The duration, if it can be one.
fn known(run: &RunView) -> f64 {
    match run.duration {
        duration if duration.is_finite() => duration.max(0.0),
        _ => 0.0,
    }
}

fn height(duration: f64, longest: f64) -> f64 {
    if longest <= 0.0 {
        return LEAST;
    }
    (duration / longest * HEIGHT).max(LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights() {
        assert_eq!(height(0.0, 0.0), LEAST);
        assert_eq!(height(0.0, 8.0), LEAST);
        assert_eq!(height(1e-300, 1e300), LEAST);
        assert_eq!(height(4.0, 8.0), HEIGHT / 2.0);
        assert_eq!(height(f64::MAX, f64::MAX), HEIGHT);
        assert_eq!(height(5e-324, 5e-324), HEIGHT);
    }
}
