//! Colours on the terminal, and where they are wanted.

use anstream::ColorChoice;
use anstyle::{AnsiColor, Style};
use clap::ValueEnum;

use super::table::TableCell;
use metricsjob::run::Outcome;

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
pub const NOTABLE: Style = AnsiColor::Yellow.on_default();
const ACTIVE: Style = AnsiColor::Cyan.on_default();

/// Outcome of a run that has not ended.
const RUNNING: &str = "running";

/// Where output is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    /// Everywhere
    Always,
    /// Nowhere
    Never,
}

impl Color {
    /// Makes it the choice for all that is written from now on.
    pub fn apply(self) {
        let choice = match self {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        choice.write_global();
    }
}

/// Style of the outcome called `name`; an unknown one is notable.
pub fn outcome_style(name: &str) -> Style {
    let [success, failure, signal, timeout, _] = Outcome::NAMES;
    match name {
        RUNNING => ACTIVE,
        name if name == success => GOOD,
        name if [failure, signal, timeout].contains(&name) => BAD,
        _ => NOTABLE,
    }
}

/// A cell with the outcome called `name`.
pub fn outcome_cell(name: &str) -> TableCell {
    TableCell::from(name).styled(outcome_style(name))
}
