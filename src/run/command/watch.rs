//! Reading along: metrics in a command's output, its last lines, and its lines in a log.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::rewritten::{MAX_LINE, Rewritten, Stage};
use super::tail::Tail;
use crate::job::output_pattern::OutputStream;
use crate::run::events::{Events, LineSink, OutputSearch};
use metricsjob_client::secrets::Secrets;
use metricsjob_system::panics;
use metricsjob_system::panics::locked;

/// A reader of one stream of a command.
pub struct Watch {
    search: OutputSearch,
    lines: Rewritten,
    readers: Readers,
    events: Arc<Events>,
    has_panicked: bool,
}

/// Readers of the lines.
struct Readers {
    stream: OutputStream,
    secrets: Secrets,
    log: Option<Arc<LineSink>>,
    tail: Option<Arc<Mutex<Tail>>>,
}

impl Watch {
    pub fn new(stream: OutputStream, events: &Arc<Events>, tail: Option<Arc<Mutex<Tail>>>) -> Self {
        Watch {
            events: Arc::clone(events),
            has_panicked: false,
            search: events.search(stream),
            lines: Rewritten::default(),
            readers: Readers {
                stream,
                secrets: events.secrets().clone(),
                log: events.line_sink(),
                tail,
            },
        }
    }

    /// Takes the next output of the command.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.guarded(|watch| {
            panics::point("watch");
            watch.search.feed(bytes);
            let readers = &watch.readers;
            if readers.are_there() {
                (watch.lines).feed(bytes, |line, stage| readers.line(line, stage));
            }
        });
    }

    /// Does `work`, unless it has panicked before: that must hold up neither the output nor the command.
    fn guarded(&mut self, work: impl FnOnce(&mut Self)) {
        if self.has_panicked {
            return;
        }
        if let Err(message) = panics::caught(|| work(self)) {
            self.has_panicked = true;
            let stream = match self.readers.stream {
                OutputStream::Stderr => "stderr",
                _ => "stdout",
            };
            self.events.warn(format!(
                "internal error: {message}; the rest of {stream} is not read"
            ));
        }
    }

    /// Time at which [`pass`](Self::pass) has something to do.
    pub fn due(&self) -> Option<Instant> {
        self.lines.due()
    }

    /// Logs the present state of a line that is being rewritten, if it is due.
    pub fn pass(&mut self) {
        self.guarded(|watch| {
            let readers = &watch.readers;
            watch.lines.pass(|line, stage| readers.line(line, stage));
        });
    }

    /// Takes the end of the stream.
    pub fn end(&mut self) {
        self.guarded(|watch| {
            watch.search.end();
            let readers = &watch.readers;
            watch.lines.finish(|line, stage| readers.line(line, stage));
        });
    }
}

impl Readers {
    fn are_there(&self) -> bool {
        self.log.is_some() || self.tail.is_some()
    }

    fn line(&self, line: &[u8], stage: Stage) {
        let line = &*if line.len() < MAX_LINE {
            self.secrets.redact(line)
        } else {
            self.secrets.redact_cut(line)
        };
        if let (Some(log), Stage::Passing | Stage::Last) = (&self.log, stage) {
            log(self.stream, line);
        }
        if let (Some(tail), Stage::Last | Stage::LastAgain) = (&self.tail, stage) {
            locked(tail).push(line);
        }
    }
}
