//! Progress bars, on a terminal.

use std::cell::RefCell;
use std::fmt;
use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use super::console;
use metricsjob::job::builtin::Progress;

/// Shows a bar on stderr from the first update on.
#[derive(Default)]
pub struct Bar(RefCell<Option<PhaseBar>>);

struct PhaseBar {
    phase: &'static str,
    /// False as long as the total is unknown.
    is_measured: bool,
    bar: ProgressBar,
}

impl Bar {
    /// Returns true if a bar would be seen.
    pub fn is_visible() -> bool {
        stderr().is_terminal()
    }

    /// Leaves the bar as it is, green or red.
    pub fn finish(self, is_success: bool) {
        let Some(PhaseBar {
            phase,
            is_measured: true,
            bar,
        }) = self.0.take()
        else {
            return;
        };
        let colour = if is_success { "green" } else { "red" };
        bar.set_style(style(&format!(
            "[{{bar:30.{colour}}}] {{percent:>3}}% {} in {{time}}",
            amount(phase)
        )));
        bar.abandon();
    }
}

impl Progress for Bar {
    fn update(&self, phase: &'static str, done: u64, total: u64) {
        let mut shown = self.0.borrow_mut();
        let is_measured = total > 0;
        let bar = match &*shown {
            Some(shown) if shown.phase == phase && shown.is_measured == is_measured => &shown.bar,
            _ => {
                if let Some(previous) = shown.take() {
                    previous.bar.finish_and_clear();
                }
                let bar = ProgressBar::new(total).with_message(phase);
                bar.set_style(if is_measured {
                    let rate = match phase {
                        "bytes" => "{decimal_bytes_per_sec}",
                        _ => "{rate}",
                    };
                    style(&format!(
                        "[{{bar:30}}] {{percent:>3}}% {}, {rate}, {{eta}} left",
                        amount(phase)
                    ))
                } else {
                    style("{spinner} {msg}")
                });
                let new = PhaseBar {
                    phase,
                    is_measured,
                    bar,
                };
                &shown.insert(new).bar
            }
        };
        bar.set_length(total);
        bar.set_position(done);
    }
}

fn amount(phase: &str) -> &'static str {
    match phase {
        "bytes" => "{decimal_bytes} of {decimal_total_bytes}",
        _ => "{pos} of {len} {msg}",
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template);
    style
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
        .with_key("rate", |state: &ProgressState, out: &mut dyn fmt::Write| {
            let rate = state.per_sec();
            // More digits could not be read while they change.
            let digits = if rate < 10.0 { 1 } else { 0 };
            let _ = write!(out, "{rate:.digits$}/s");
        })
        .with_key("time", |state: &ProgressState, out: &mut dyn fmt::Write| {
            let _ = out.write_str(&console::rough(state.elapsed()));
        })
}

/// Clears a bar that nothing has finished, so that the next output begins on a clear line.
impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(shown) = self.0.borrow_mut().take() {
            shown.bar.finish_and_clear();
        }
    }
}
