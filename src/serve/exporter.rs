//! All metrics of the server, at one moment.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::scheduler::Scheduler;
use super::series::ShownFamily;
use super::series::uniform::{LAST_RUN, MISSED_RUNS, NEXT_RUN, RUNNING, Uniform};
use metricsjob_metrics::text::rendered::RenderedFamily;
use metricsjob_metrics::{Family, Kind, Labels, Value, unix_seconds};

/// Longest time that a scrape spends on reading what running jobs have reported since the last one. What is left is
/// read by the next.
const LIVE_READING: Duration = Duration::from_secs(1);

/// All metrics at one moment. Merging them is left to the caller.
pub struct Shown {
    /// The server's own.
    own: Vec<Family>,
    /// Metrics of each job that have the same names for all jobs.
    uniform: Vec<Arc<Uniform>>,
    /// Families that jobs have reported.
    reported: Vec<Arc<Vec<ShownFamily>>>,
}

impl Shown {
    /// Collects the current metrics of `scheduler`, and `further` families of the server.
    pub fn of(scheduler: &Scheduler, further: Vec<Family>) -> Self {
        let state = scheduler.state();
        let (mut running, mut next, mut last, mut missed) = (vec![], vec![], vec![], vec![]);
        let mut uniform = Vec::with_capacity(state.jobs.len());
        let mut reported = Vec::with_capacity(state.jobs.len());
        let mut live = Vec::new();
        let mut waiting = 0;
        for entry in state.jobs.values() {
            let mut runs: BTreeMap<Labels, usize> = BTreeMap::new();
            for labels in entry.counts.labels() {
                runs.entry(labels.clone()).or_default();
            }
            for run in entry.running.keys().filter_map(|id| state.active.get(id)) {
                *runs.entry(entry.labels_of(&run.request)).or_default() += 1;
            }
            running.extend(
                runs.into_iter()
                    .map(|(labels, runs)| (labels, number(runs))),
            );
            let labels = entry.labels();
            let of_job = |value| (labels.clone(), Value::Number(value));
            next.extend(entry.next.map(|next| of_job(unix_seconds(next.at))));
            last.extend(entry.last.iter().map(|last| of_job(last.run.ended_at)));
            if entry.job.plan.is_some() {
                missed.push(of_job(entry.missed as f64));
            }
            waiting += entry.waiting();
            uniform.extend(entry.counts.uniform());
            match entry.live.groups(|request| entry.shows(request)) {
                none if none.is_empty() => reported.extend(entry.series.groups()),
                groups => live.push((reported.len(), entry.series.clone(), groups)),
            }
        }
        let plain = |value| [(Labels::new(), value)];
        let lag = state.lag.families();
        let (jobs, problems) = (state.jobs.len(), state.problems.len());
        let slots_taken = state.slots_taken();
        drop(state);
        let until = Instant::now() + LIVE_READING;
        // From the last on, so that the places of the others stay.
        for (place, mut series, groups) in live.into_iter().rev() {
            for group in groups {
                group.put_into(&mut series, until);
            }
            reported.splice(place..place, series.groups());
        }
        let gauge = Kind::Gauge;
        let mut own = vec![
            Family::new(RUNNING, "Runs that go on.", gauge, running),
            Family::new(
                NEXT_RUN,
                "When the job runs next by its schedule.",
                gauge,
                next,
            ),
            Family::new(
                LAST_RUN,
                "When the last run of the job ended, well or not.",
                gauge,
                last,
            ),
            Family::new(
                MISSED_RUNS,
                "Runs that did not take place because nobody could start them when they were due.",
                Kind::Counter,
                missed,
            ),
            Family::new(
                "metricsjob_queued_runs",
                "Runs that wait for a slot, or for another run of the job.",
                gauge,
                plain(number(waiting)),
            ),
            Family::new(
                "metricsjob_run_slots",
                "How many runs there can be at a time.",
                gauge,
                plain(number(scheduler.concurrency())),
            ),
            Family::new(
                "metricsjob_run_slots_taken",
                "How many runs there are.",
                gauge,
                plain(number(slots_taken)),
            ),
            Family::new("metricsjob_jobs", "Jobs.", gauge, plain(number(jobs))),
            Family::new(
                "metricsjob_job_file_problems",
                "Job files that could not be loaded.",
                gauge,
                plain(number(problems)),
            ),
        ];
        own.extend(lag);
        own.extend(further);
        own.retain(|family| !family.metrics.is_empty());
        Shown {
            own,
            uniform,
            reported,
        }
    }

    /// Merged by name and sorted, as lines.
    pub fn rendered(&self) -> Vec<RenderedFamily> {
        let mut merged = MergedFamily::default();
        for family in &self.own {
            merged.add_ours(RenderedFamily::of(family));
        }
        let mut durations = String::new();
        let mut runs = String::new();
        for uniform in &self.uniform {
            durations.push_str(&uniform.duration_lines);
            runs.push_str(&uniform.runs_lines);
        }
        if let Some(first) = self.uniform.first() {
            for (family, lines) in [(&first.durations, durations), (&first.runs, runs)] {
                merged.add_ours(RenderedFamily {
                    name: family.name.clone(),
                    kind: family.kind,
                    help: family.help.clone(),
                    lines,
                });
            }
        }
        for family in self.reported.iter().flat_map(|families| &**families) {
            let RenderedFamily {
                name, kind, lines, ..
            } = &family.rendered;
            match merged.place(name, *kind) {
                FamilyPlace::Known(known) => known.lines.push_str(lines),
                FamilyPlace::Free => merged.add(family.rendered.clone()),
                FamilyPlace::Taken => {}
            }
        }
        merged.into_sorted()
    }

    /// Merged by name and sorted.
    pub fn families(&self) -> Vec<Family> {
        let mut merged = MergedFamily::default();
        for family in &self.own {
            merged.add_ours(family.clone());
        }
        let of_all: [fn(&Uniform) -> &Family; 2] = [|of| &of.durations, |of| &of.runs];
        for family in of_all {
            let mut families = self.uniform.iter().map(|uniform| family(uniform));
            if let Some(mut all) = families.next().cloned() {
                for family in families {
                    all.metrics.extend_from_slice(&family.metrics);
                }
                merged.add_ours(all);
            }
        }
        for shown in self.reported.iter().flat_map(|families| &**families) {
            let family = &shown.family;
            match merged.place(&family.name, family.kind) {
                FamilyPlace::Known(known) => known.metrics.extend_from_slice(&family.metrics),
                FamilyPlace::Free => merged.add(family.clone()),
                FamilyPlace::Taken => {}
            }
        }
        merged.into_sorted()
    }
}

fn number(count: usize) -> Value {
    Value::Number(count as f64)
}

/// A family, rendered or not: it has a name and a kind.
trait NamedFamily {
    fn name(&self) -> &str;
    fn kind(&self) -> Kind;
}

impl NamedFamily for Family {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> Kind {
        self.kind
    }
}

impl NamedFamily for RenderedFamily {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> Kind {
        self.kind
    }
}

/// Families by their names. Jobs know nothing of each other: of families that conflict, the first stays.
struct MergedFamily<F> {
    families: Vec<F>,
    places: HashMap<String, usize>,
    /// How many of the families are the server's.
    ours: usize,
}

enum FamilyPlace<'a, F> {
    Known(&'a mut F),
    Free,
    /// Another kind has the name.
    Taken,
}

impl<F> Default for MergedFamily<F> {
    fn default() -> Self {
        MergedFamily {
            families: Vec::new(),
            places: HashMap::new(),
            ours: 0,
        }
    }
}

impl<F: NamedFamily> MergedFamily<F> {
    fn place(&mut self, name: &str, kind: Kind) -> FamilyPlace<'_, F> {
        match self.places.get(name) {
            None => FamilyPlace::Free,
            Some(place) if self.families[*place].kind() == kind => {
                FamilyPlace::Known(&mut self.families[*place])
            }
            Some(_) => FamilyPlace::Taken,
        }
    }

    fn add(&mut self, family: F) {
        let place = self.families.len();
        self.places.insert(family.name().to_owned(), place);
        self.families.push(family);
    }

    fn add_ours(&mut self, family: F) {
        self.add(family);
        self.ours = self.families.len();
    }

    /// The families, without those of jobs whose series have names of another family's series.
    fn into_sorted(self) -> Vec<F> {
        let kind_of = |name: &str| Some(self.families[*self.places.get(name)?].kind());
        let collides = |family: &F| {
            let name = family.name();
            let is_in_another = ["_count", "_sum", "_bucket"].iter().any(|suffix| {
                let base = name.strip_suffix(suffix).and_then(kind_of);
                base.is_some_and(|kind| kind.suffixes().contains(suffix))
            });
            let mut suffixes = family.kind().suffixes().iter();
            let has_ours = suffixes.any(|suffix| {
                let place = self.places.get(&format!("{name}{suffix}"));
                place.is_some_and(|place| *place < self.ours)
            });
            is_in_another || has_ours
        };
        let stay: Vec<bool> = (self.families.iter().enumerate())
            .map(|(place, family)| place < self.ours || !collides(family))
            .collect();
        let mut stay = stay.into_iter();
        let mut families = self.families;
        families.retain(|_| stay.next().unwrap_or_default());
        families.sort_by(|a, b| a.name().cmp(b.name()));
        families
    }
}
