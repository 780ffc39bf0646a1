//! `metricsjob history --stats`: how long runs take.

use std::collections::BTreeMap;

use serde_json::json;

use super::{chart, rough};
use crate::cli::color::NOTABLE;
use crate::cli::table::{Column, EXTRA, TableCell, table};
use crate::cli::{console, json};
use metricsjob::run::Outcome;
use metricsjob_metrics::GroupingKey;
use metricsjob_state::history::RecordedRun;

/// How many durations a chart shows.
const CHARTED: usize = 20;

const COLUMNS: [Column; 8] = [
    Column::kept("JOB").down_to(10),
    Column::ranked("GROUPING", 1).down_to(10),
    Column::ranked("RUNS", EXTRA),
    Column::ranked("FAILED", 2),
    Column::kept("P50"),
    Column::kept("P95"),
    Column::ranked("MAX", 4),
    Column::ranked("LAST DURATIONS", 3)
        .down_to(14)
        .keeping_end(),
];

/// Runs of one job with one grouping key.
#[derive(Default)]
struct JobRuns<'a> {
    runs: Vec<&'a RecordedRun>,
    /// In the order of the runs, without skipped ones.
    durations: Vec<f64>,
    sorted: Vec<f64>,
}

impl<'a> JobRuns<'a> {
    fn add(&mut self, run: &'a RecordedRun) {
        self.runs.push(run);
        if run.outcome != Outcome::Skipped.name() {
            self.durations.push(run.duration);
        }
    }

    /// The shortest duration that the given part of the runs did not exceed.
    fn quantile(&self, part: f64) -> Option<f64> {
        let rank = (part * self.sorted.len() as f64).ceil() as usize;
        self.sorted.get(rank.saturating_sub(1)).copied()
    }

    fn number_of(&self, outcome: &str) -> usize {
        self.runs
            .iter()
            .filter(|run| run.outcome == outcome)
            .count()
    }

    fn failed(&self) -> usize {
        let [success, .., skipped] = Outcome::NAMES;
        self.runs.len() - self.number_of(success) - self.number_of(skipped)
    }
}

/// The runs of each job and grouping key, which `runs` has with the newest last.
fn series(runs: &[RecordedRun]) -> BTreeMap<(&str, &GroupingKey), JobRuns<'_>> {
    let mut all: BTreeMap<_, JobRuns> = BTreeMap::new();
    for run in runs {
        let series = all.entry((run.name.as_str(), &run.key)).or_default();
        series.add(run);
    }
    for series in all.values_mut() {
        series.sorted = series.durations.clone();
        series.sorted.sort_by(f64::total_cmp);
    }
    all
}

pub fn text(runs: &[RecordedRun]) -> String {
    let rows: Vec<[TableCell; COLUMNS.len()]> = series(runs)
        .iter()
        .map(|((name, key), series)| {
            let quantile = |part| series.quantile(part).map_or_else(|| "-".into(), rough);
            let first = series.durations.len().saturating_sub(CHARTED);
            let failed = TableCell::from(series.failed().to_string());
            [
                (*name).into(),
                console::labels(key.labels()).into(),
                series.runs.len().to_string().into(),
                if series.failed() > 0 {
                    failed.styled(NOTABLE)
                } else {
                    failed
                },
                quantile(0.5).into(),
                quantile(0.95).into(),
                quantile(1.0).into(),
                chart::columns(&series.durations[first..]).into(),
            ]
        })
        .collect();
    table(&COLUMNS, &rows)
}

pub fn json(runs: &[RecordedRun]) -> serde_json::Value {
    series(runs)
        .iter()
        .map(|((name, key), series)| {
            let quantile = |part| series.quantile(part).map(json::number);
            let outcomes =
                Outcome::NAMES.map(|name| (name.to_owned(), series.number_of(name).into()));
            let last = series.runs.last().map(|run| json::number(run.started_at));
            json::dated(json!({
                "name": name,
                "job": key.job(),
                "grouping": key.labels(),
                "runs": series.runs.len(),
                "outcomes": serde_json::Map::from_iter(outcomes),
                "duration_p50_seconds": quantile(0.5),
                "duration_p95_seconds": quantile(0.95),
                "duration_max_seconds": quantile(1.0),
                "last_start_timestamp_seconds": last,
            }))
        })
        .collect()
}
