//! Tables with one line for each row, fitted to the width of the terminal.
//!
//! Cells that do not fit are shortened first, and then dropped by the rank of their column, so that no row is ever
//! wrapped.
//! Output that is not a terminal is not fitted: a search through it finds everything, each row in one line. A program
//! that shows it on a terminal of its own, such as watch(1), sets COLUMNS.

use std::env;
use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::os::fd::AsRawFd;

use anstyle::Style;
use nix::libc;
use unicode_width::UnicodeWidthChar;

use super::console::visible;

const HEAD: Style = Style::new().bold();

/// Blanks between two columns.
const GAP: usize = 2;

/// Width that other columns have, if they need it, before those of the ranks from [`EXTRA`] on are shown at all.
const COMFORTABLE: usize = 24;

/// Lowest rank of columns that nobody misses.
pub const EXTRA: u8 = 5;

/// Width of a terminal that does not tell it.
const USUAL_WIDTH: usize = 80;

/// A column, with what may become of it where there is little room.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    head: &'static str,
    /// The column of the highest rank is dropped first; never that of rank 0.
    rank: u8,
    /// Width down to which cells may be cut; none for a column whose cells are shown whole.
    min: Option<usize>,
    /// True if the end of a cell says more than its beginning.
    keeps_end: bool,
}

impl Column {
    /// A column that is always there.
    pub const fn kept(head: &'static str) -> Self {
        Column {
            head,
            rank: 0,
            min: None,
            keeps_end: false,
        }
    }

    /// A column that can be dropped, before all those of a lower rank.
    pub const fn ranked(head: &'static str, rank: u8) -> Self {
        Column {
            rank,
            ..Column::kept(head)
        }
    }

    /// Lets cells be cut down to `width`.
    pub const fn down_to(self, width: usize) -> Self {
        Column {
            min: Some(width),
            ..self
        }
    }

    /// Cuts cells at their beginning, as for paths.
    pub const fn keeping_end(self) -> Self {
        Column {
            keeps_end: true,
            ..self
        }
    }
}

/// Text of a row in one column.
#[derive(Debug, Clone, Default)]
pub struct TableCell {
    full: String,
    short: Option<String>,
    style: Style,
}

impl TableCell {
    /// A cell with a shorter form, which is shown where the full one does not fit.
    pub fn with_short(full: &str, short: &str) -> Self {
        TableCell {
            short: Some(visible(short).into_owned()),
            ..TableCell::from(full)
        }
    }

    pub fn styled(self, style: Style) -> Self {
        TableCell { style, ..self }
    }

    fn text(&self, is_short: bool) -> &str {
        match &self.short {
            Some(short) if is_short => short,
            _ => &self.full,
        }
    }
}

impl From<&str> for TableCell {
    fn from(text: &str) -> Self {
        TableCell {
            full: visible(text).into_owned(),
            ..TableCell::default()
        }
    }
}

impl From<String> for TableCell {
    fn from(text: String) -> Self {
        TableCell::from(&*text)
    }
}

/// A column as it is shown.
struct Fitted {
    column: Column,
    index: usize,
    width: usize,
    /// Width down to which it may go.
    least: usize,
    /// Width at which it is still easy to read.
    comfortable: usize,
    is_short: bool,
}

/// Makes a table of `rows` for stdout, its head in bold.
pub fn table<const N: usize>(columns: &[Column; N], rows: &[[TableCell; N]]) -> String {
    let rows: Vec<&[TableCell]> = rows.iter().map(|row| &row[..]).collect();
    render(columns, &rows, available_width())
}

/// Renders `rows`, each of as many cells as there are columns.
fn render(columns: &[Column], rows: &[&[TableCell]], available: Option<usize>) -> String {
    let fitted = fit(columns, rows, available.unwrap_or(usize::MAX));
    let head = columns.iter().map(|column| TableCell {
        full: column.head.to_owned(),
        ..TableCell::default()
    });
    let head: Vec<TableCell> = head.collect();
    let mut text = format!("{HEAD}{}{HEAD:#}\n", line(&fitted, &head, available));
    for row in rows {
        text.push_str(&line(&fitted, row, available));
        text.push('\n');
    }
    text
}

fn line(fitted: &[Fitted], row: &[TableCell], available: Option<usize>) -> String {
    let (mut line, mut used, mut blanks) = (String::new(), 0, 0);
    for shown in fitted {
        let cell = &row[shown.index];
        // A terminal can be narrower than what every row has to show.
        let left = available.map_or(usize::MAX, |available| {
            available.saturating_sub(used + blanks)
        });
        let width = shown.width.min(left);
        let text = cut(cell.text(shown.is_short), width, shown.column.keeps_end);
        if !text.is_empty() {
            let style = cell.style;
            let _ = write!(line, "{:blanks$}{style}{text}{style:#}", "");
            used += blanks + display_width(&text);
            blanks = 0;
        }
        blanks += shown.width.saturating_sub(display_width(&text)) + GAP;
    }
    line
}

/// The columns that fit into `available`, each with its width.
fn fit(columns: &[Column], rows: &[&[TableCell]], available: usize) -> Vec<Fitted> {
    let width = |index: usize, is_short| {
        let cells = rows
            .iter()
            .map(|row| display_width(row[index].text(is_short)));
        let head = display_width(columns[index].head);
        cells.fold(head, usize::max)
    };
    let mut fitted: Vec<Fitted> = Vec::new();
    for (index, column) in columns.iter().enumerate() {
        let shortest = width(index, true);
        let least = column.min.map_or(shortest, |min| min.min(shortest));
        let least = least.max(display_width(column.head));
        fitted.push(Fitted {
            column: *column,
            index,
            width: width(index, false),
            least,
            comfortable: least.max(shortest.min(COMFORTABLE)),
            is_short: false,
        });
    }
    let total = |fitted: &[Fitted], width: fn(&Fitted) -> usize| {
        let widths = fitted.iter().map(width).sum::<usize>();
        widths + GAP * fitted.len().saturating_sub(1)
    };
    while let Some(last) = (fitted.iter().enumerate())
        .filter(|(_, shown)| shown.column.rank > 0)
        .max_by_key(|(_, shown)| shown.column.rank)
        .map(|(place, _)| place)
    {
        let needed = if fitted[last].column.rank >= EXTRA {
            total(&fitted, |shown| shown.comfortable)
        } else {
            total(&fitted, |shown| shown.least)
        };
        if needed <= available {
            break;
        }
        fitted.remove(last);
    }
    // Short forms first, where they are missed least.
    let mut by_rank: Vec<usize> = (0..fitted.len()).collect();
    by_rank.sort_by_key(|place| std::cmp::Reverse(fitted[*place].column.rank));
    for place in by_rank {
        if total(&fitted, |shown| shown.width) > available {
            let index = fitted[place].index;
            fitted[place].is_short = true;
            fitted[place].width = width(index, true);
        }
    }
    // Then the widest give way, the more important ones later.
    let lead = |rank: u8| 4 * usize::from(3_u8.saturating_sub(rank));
    while total(&fitted, |shown| shown.width) > available {
        let mut longer = fitted.iter_mut().filter(|shown| shown.width > shown.least);
        let Some(first) = longer.next() else { break };
        let excess = |shown: &Fitted| shown.width.saturating_sub(lead(shown.column.rank));
        let widest = longer.fold(first, |a, b| if excess(b) > excess(a) { b } else { a });
        widest.width -= 1;
    }
    fitted
}

/// Number of columns that `text` takes on a terminal.
pub fn display_width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

fn char_width(symbol: char) -> usize {
    symbol.width().unwrap_or(0)
}

/// As much of `text` as fits into `width`, with an ellipsis for the rest.
fn cut(text: &str, width: usize, keeps_end: bool) -> String {
    const ELLIPSIS: char = '…';
    if display_width(text) <= width {
        return text.to_owned();
    }
    let Some(room) = width.checked_sub(char_width(ELLIPSIS)) else {
        return String::new();
    };
    let mut used = 0;
    let mut fits = |symbol: &char| {
        used += char_width(*symbol);
        used <= room
    };
    if keeps_end {
        let end: Vec<char> = text.chars().rev().take_while(&mut fits).collect();
        let end = end.into_iter().rev();
        [ELLIPSIS].into_iter().chain(end).collect()
    } else {
        let start = text.chars().take_while(&mut fits);
        start.chain([ELLIPSIS]).collect()
    }
}

/// Number of columns for stdout; `None` if there is no limit.
fn available_width() -> Option<usize> {
    let given = || {
        let columns = env::var("COLUMNS").ok()?;
        columns.parse().ok().filter(|columns| *columns > 0)
    };
    if !io::stdout().is_terminal() {
        return given();
    }
    let width = terminal_width().or_else(given);
    Some(width.unwrap_or(USUAL_WIDTH))
}

/// Width of the terminal on stdout, if it tells it.
fn terminal_width() -> Option<usize> {
    let mut size = libc::winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the kernel writes a `winsize`, and nothing else, to where the pointer leads.
    let result = unsafe { libc::ioctl(io::stdout().as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
    (result == 0 && size.ws_col > 0).then_some(usize::from(size.ws_col))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 4] = [
        Column::kept("JOB").down_to(6),
        Column::ranked("WHEN", 1),
        Column::ranked("FILE", 2).down_to(6).keeping_end(),
        Column::ranked("EXTRA", EXTRA),
    ];

    fn rows() -> Vec<[TableCell; 4]> {
        let when = TableCell::with_short("2026-11-29 (2h ago)", "2h ago");
        vec![
            [
                "nightly_backup".into(),
                when.clone(),
                "jobs/nightly.toml".into(),
                "x".into(),
            ],
            [
                "夜のバックアップ".into(),
                when,
                "jobs/夜.toml".into(),
                "y".into(),
            ],
        ]
    }

    fn rendered(available: Option<usize>) -> String {
        let rows = rows();
        let rows: Vec<&[TableCell]> = rows.iter().map(|row| &row[..]).collect();
        render(&COLUMNS, &rows, available)
    }

    #[track_caller]
    fn at(width: usize) -> Vec<String> {
        let text = anstream::adapter::strip_str(&rendered(Some(width))).to_string();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for line in &lines {
            assert!(display_width(line) <= width, "{line:?} at {width}");
            assert_eq!(line.trim_end(), line);
        }
        lines
    }

    #[test]
    fn what_fits_is_whole() {
        let lines = at(200);
        assert_eq!(at(63), lines);
        assert_eq!(
            lines[1],
            "nightly_backup    2026-11-29 (2h ago)  jobs/nightly.toml  x"
        );
        assert_eq!(
            lines[2],
            "夜のバックアップ  2026-11-29 (2h ago)  jobs/夜.toml       y"
        );
        assert_eq!(rendered(None), rendered(Some(1000)));
    }

    #[test]
    fn short_forms_come_before_cuts_and_cuts_before_drops() {
        assert_eq!(at(62)[1], "nightly_backup    2h ago  jobs/nightly.toml  x");
        assert_eq!(at(40)[1], "nightly_backup    2h ago  …/nightly.toml");
        assert_eq!(at(24)[1], "nightly…  2h ago  ….toml");
        assert_eq!(at(24)[2], "夜のバ…   2h ago  ….toml");
        assert_eq!(at(16)[1], "nightly…  2h ago");
        assert_eq!(at(12)[1], "nightly_bac…");
    }

    #[test]
    fn nothing_is_too_narrow() {
        for width in 0..100 {
            at(width);
        }
    }
}
