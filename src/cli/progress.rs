//! Progress bars, on a terminal.

use std::cell::RefCell;
use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressStyle};

use metricsjob::job::builtin::Progress;

/// Shows a bar on stderr from the first update on.
#[derive(Default)]
pub struct Bar(RefCell<Option<(&'static str, ProgressBar)>>);

impl Bar {
    /// Returns true if a bar would be seen.
    pub fn is_visible() -> bool {
        stderr().is_terminal()
    }
}

impl Progress for Bar {
    fn update(&self, phase: &'static str, done: u64, total: u64) {
        let mut shown = self.0.borrow_mut();
        let bar = match &*shown {
            Some((current, bar)) if *current == phase => bar,
            _ => {
                if let Some((_, previous)) = shown.take() {
                    previous.finish_and_clear();
                }
                let bar = ProgressBar::new(total).with_message(phase);
                let template = match (phase, total) {
                    (_, 0) => "{spinner} {msg}",
                    ("bytes", _) => "[{bar:30}] {decimal_bytes} of {decimal_total_bytes}",
                    _ => "[{bar:30}] {pos} of {len} {msg}",
                };
                if let Ok(style) = ProgressStyle::with_template(template) {
                    bar.set_style(style.progress_chars("=> "));
                }
                &shown.insert((phase, bar)).1
            }
        };
        bar.set_length(total);
        bar.set_position(done);
    }
}

/// Clears the bar, so that the next output begins on a clear line.
impl Drop for Bar {
    fn drop(&mut self) {
        if let Some((_, bar)) = self.0.borrow_mut().take() {
            bar.finish_and_clear();
        }
    }
}
