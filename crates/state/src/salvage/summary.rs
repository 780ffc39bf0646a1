//! Result of a salvage, in numbers and words.

use std::fmt;

use crate::checksum::Table;

/// Rows carried over from a corrupt database, and rows lost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// Undelivered reports.
    pub reports: Tally,
    pub counters: Tally,
    pub runs: Tally,
    /// Groups of the embedded gateway.
    pub groups: Tally,
    /// Logged changes of groups. Those carried over are in the groups.
    pub changes: Tally,
    /// Unreadable pages, with an unknown number of rows.
    pub pages: u64,
    /// The error that ended the salvage early.
    pub problem: Option<String>,
}

/// Rows of one kind carried over, and rows found but not carried over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub carried: u64,
    pub lost: u64,
}

impl Tally {
    /// Counts `rows`, which were counted as carried over, as lost.
    pub(super) fn lose(&mut self, rows: u64) {
        self.carried = self.carried.saturating_sub(rows);
        self.lost += rows;
    }
}

impl Salvaged {
    pub(super) fn of(&mut self, table: &Table) -> &mut Tally {
        match table.name {
            "outbox" => &mut self.reports,
            "counters" => &mut self.counters,
            "runs" => &mut self.runs,
            "groups" => &mut self.groups,
            _ => &mut self.changes,
        }
    }

    /// Counts all rows carried over since `before` as lost.
    pub(super) fn give_up_since(&mut self, before: &Salvaged) {
        for (tally, before) in [
            (&mut self.reports, &before.reports),
            (&mut self.counters, &before.counters),
            (&mut self.runs, &before.runs),
            (&mut self.groups, &before.groups),
            (&mut self.changes, &before.changes),
        ] {
            tally.lose(tally.carried - before.carried);
        }
    }

    /// Returns the kinds of rows with their numbers.
    pub fn tallies(&self) -> [(&'static str, Tally); 5] {
        [
            ("reports", self.reports),
            ("counters", self.counters),
            ("runs", self.runs),
            ("groups", self.groups),
            ("changes", self.changes),
        ]
    }

    /// Lists what was carried over; `None` for nothing.
    pub fn carried(&self) -> Option<String> {
        list([
            (
                self.reports.carried,
                ["undelivered report", "undelivered reports"],
            ),
            (self.counters.carried, ["counter", "counters"]),
            (self.runs.carried, ["run", "runs"]),
            (self.groups.carried, ["group", "groups"]),
        ])
    }

    /// Lists what was lost; `None` for nothing.
    pub fn lost(&self) -> Option<String> {
        list([
            (
                self.reports.lost,
                ["undelivered report", "undelivered reports"],
            ),
            (self.counters.lost, ["counter", "counters"]),
            (self.runs.lost, ["run", "runs"]),
            (self.groups.lost, ["group", "groups"]),
            (
                self.changes.lost,
                ["logged change of groups", "logged changes of groups"],
            ),
            (
                self.pages,
                ["page that cannot be read", "pages that cannot be read"],
            ),
        ])
    }
}

impl fmt::Display for Salvaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.carried() {
            Some(carried) => write!(f, "carried over were {carried}")?,
            None => f.write_str("nothing could be carried over")?,
        }
        if let Some(lost) = self.lost() {
            write!(f, "; lost: {lost}")?;
        }
        match &self.problem {
            Some(problem) => write!(f, " ({problem})"),
            None => Ok(()),
        }
    }
}

/// Lists the counts above zero.
fn list<const N: usize>(counts: [(u64, [&str; 2]); N]) -> Option<String> {
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    let named: Vec<String> = counts
        .map(|(count, [one, many])| format!("{count} {}", if count == 1 { one } else { many }))
        .collect();
    let (last, others) = named.split_last()?;
    Some(match others {
        [] => last.clone(),
        others => format!("{} and {last}", others.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_words() {
        let mut salvaged = Salvaged::default();
        assert_eq!(salvaged.to_string(), "nothing could be carried over");
        salvaged.reports.carried = 1;
        salvaged.runs.carried = 3;
        salvaged.runs.lose(1);
        salvaged.pages = 1;
        assert_eq!(
            salvaged.to_string(),
            "carried over were 1 undelivered report and 2 runs; lost: 1 run and 1 page that cannot be read"
        );
        salvaged.counters.carried = 2;
        salvaged.changes.lost = 2;
        salvaged.pages = 2;
        assert_eq!(
            salvaged.to_string(),
            "carried over were 1 undelivered report, 2 counters and 2 runs; lost: 1 run, 2 logged changes of \
             groups and 2 pages that cannot be read"
        );
    }
}
