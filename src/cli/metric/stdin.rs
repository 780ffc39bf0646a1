//! `metricsjob metric -`: many changes of metrics from stdin, one a line.

use std::io::{self, BufRead};
use std::path::Path;

use clap::{Command, CommandFactory, FromArgMatches, Parser};

use super::{ChangeCommand, not_appended, path};
use crate::cli::{console, exit};
use metricsjob::run::events::{BoundedLines, Event, EventWriter};

/// How many bad lines are reported each.
const SHOWN: usize = 20;

/// A line: what would follow `metricsjob metric`.
#[derive(Parser)]
#[command(
    no_binary_name = true,
    disable_help_flag = true,
    disable_help_subcommand = true
)]
struct MetricLine {
    #[command(subcommand)]
    change: ChangeCommand,
}

/// Numbers of lines.
#[derive(Default)]
struct LineTally {
    good: usize,
    bad: usize,
}

pub fn main() -> anyhow::Result<u8> {
    let path = path()?;
    let tally = append_all(io::stdin().lock(), &path)?;
    let LineTally { good, bad } = tally;
    if bad > SHOWN {
        console::warning(&format!("{} further ones like these", bad - SHOWN));
    }
    if bad > 0 {
        let lines = console::count((good + bad) as u64, "1 line", "lines");
        let others = if good > 0 { "; the others count" } else { "" };
        anyhow::bail!("{bad} of {lines} of stdin could not be read{others}");
    }
    Ok(exit::SUCCESS)
}

/// Appends the events of all lines of `input`. What is complete is in the file before more is waited for.
fn append_all(mut input: impl BufRead, path: &Path) -> anyhow::Result<LineTally> {
    let failed = |error: io::Error| not_appended(path, &error);
    let mut events = EventWriter::open(path).map_err(failed)?;
    let mut parser = LineParser(MetricLine::command());
    let mut lines = BoundedLines::default();
    let mut tally = LineTally::default();
    loop {
        let mut written = Ok(());
        let mut each = |number, line: Option<&[u8]>| match parser.event(number, line) {
            Ok(None) => {}
            Ok(Some(event)) => {
                tally.good += 1;
                if written.is_ok() {
                    written = events.add(&event);
                }
            }
            Err(problem) => {
                tally.bad += 1;
                if tally.bad <= SHOWN {
                    console::warning(&format!("line {number}: {problem}"));
                }
            }
        };
        let length = match input.fill_buf() {
            Ok([]) => {
                lines.finish(&mut each);
                0
            }
            Ok(bytes) => {
                lines.feed(bytes, &mut each);
                bytes.len()
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => anyhow::bail!(
                "could not read stdin: {}",
                metricsjob_system::reason(&error)
            ),
        };
        written.and_then(|()| events.flush()).map_err(failed)?;
        if length == 0 {
            return Ok(tally);
        }
        input.consume(length);
    }
}

/// The command that parses each line, made once.
struct LineParser(Command);

impl LineParser {
    /// The event of a line; `None` if it is empty or a comment.
    fn event(&mut self, number: usize, line: Option<&[u8]>) -> Result<Option<Event>, String> {
        let line = line.ok_or("it is too long")?;
        let line = str::from_utf8(line).map_err(|_| "it is not UTF-8")?;
        let line = match number {
            1 => line.strip_prefix('\u{feff}').unwrap_or(line),
            _ => line,
        };
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.contains('\0') {
            return Err("it has a NUL character".into());
        }
        let words = shlex::split(line).ok_or("a quote, or a \\ at its end, is left open")?;
        if words.is_empty() {
            return Ok(None);
        }
        let parsed = self.0.try_get_matches_from_mut(words);
        let parsed = parsed.and_then(|matches| MetricLine::from_arg_matches(&matches));
        let change = parsed.map_err(|error| reason(&error))?.change;
        change.event().map(Some)
    }
}

/// The first paragraph of a parser's error, in one line. Usage, which follows, says the same for each line.
fn reason(error: &clap::Error) -> String {
    if !error.use_stderr() {
        return "it asks for help, which only a command line can".into();
    }
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let lines = text.lines().take_while(|line| !line.trim().is_empty());
    lines.map(str::trim).collect::<Vec<_>>().join(" ")
}
