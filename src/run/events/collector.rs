//! A job's own metrics while they come in.

use std::borrow::Cow;
use std::collections::BTreeMap;

use sketches_ddsketch::{Config, DDSketch};

use super::draft::{EventDraft, EventSeries};
use super::event::{Change, Event};
use super::junit::SuiteCounts;
use super::search::Hit;
use crate::job::metric_rule::{DEFAULT_BUCKETS, MetricRule, Scale};
use metricsjob_client::secrets::Secrets;
use metricsjob_metrics::check::check_count;
use metricsjob_metrics::{
    Family, Kind, Labels, Metric, Value, is_label_name, is_metric_name, text,
};

/// A job with more series is thought to be mistaken: it would fill the memory, and the gateway's.
const MAX_SERIES: usize = 10_000;

/// Limit of the buckets or quantiles of one series, for the same reason.
const MAX_PARTS: usize = 1000;

/// How far a quantile is from the observation that it stands for, at most, as a part of it.
const QUANTILE_ERROR: f64 = 0.005;

/// A job's own metrics while they come in: events, lines of the text format, matches in its output.
/// A refused one changes nothing.
#[derive(Clone, Default)]
pub struct Collector {
    /// Replaced in values of labels and in HELP texts.
    secrets: Secrets,
    families: BTreeMap<String, EventDraft>,
    series: usize,
}

impl Collector {
    /// A collector that knows the metrics of `rules`, and shows none of our `secrets`.
    pub fn new(rules: &[MetricRule], secrets: Secrets) -> Self {
        let mut collector = Collector {
            secrets,
            ..Collector::default()
        };
        for rule in rules {
            let draft = collector.families.entry(rule.name.clone()).or_default();
            draft.kind = Some(rule.kind);
            draft.help.clone_from(&rule.help);
            if rule.scale != Scale::None {
                draft.scale = Some(rule.scale.clone());
            }
            // A counter is 0 before anything is counted; with labels it is not known which.
            let counts = rule
                .source
                .as_ref()
                .is_some_and(|source| source.label_names().next().is_none());
            if rule.kind == Kind::Counter && counts {
                let labels = rule.labels.clone();
                draft.series.insert(labels, EventSeries::Number(0.0));
                collector.series += 1;
            }
        }
        collector
    }

    /// Takes a line of the metrics file: an event, or a line of the text format. A carriage return at its
    /// end is no part of it, nor is the byte order mark of a file that was appended.
    pub fn line(&mut self, line: &[u8]) -> Result<(), String> {
        let line = str::from_utf8(line).map_err(|_| "it is not UTF-8".to_owned())?;
        let line = line.strip_prefix('\u{feff}').unwrap_or(line);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if let Some(event) = Event::read(line) {
            self.event(event?)
        } else if line.trim_start().starts_with('#') {
            self.comment(line)
        } else {
            self.sample(line)
        }
    }

    /// Takes a match of a rule's pattern in the output.
    pub fn matched(&mut self, found: &Hit<'_>) -> Result<(), String> {
        let rule = found.rule;
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let mut labels = rule.labels.clone();
        for (name, value) in found.labels() {
            labels.insert(name, text(value));
        }
        let number: f64 = match found.value().map(text) {
            Some(value) => {
                (value.trim().parse()).map_err(|_| format!("{value:?} is not a number"))?
            }
            None => 1.0,
        };
        self.event(Event {
            name: rule.name.clone(),
            labels,
            change: match rule.kind {
                Kind::Counter => Change::Inc(number),
                Kind::Histogram | Kind::Summary => Change::Observe {
                    value: number,
                    scale: None,
                },
                Kind::Gauge | Kind::Untyped => Change::Set(number),
            },
            help: String::new(),
        })
    }

    /// Takes the present value of a series, in place of an earlier one.
    pub fn set(&mut self, name: &str, labels: &Labels, value: f64) -> Result<(), String> {
        let draft = self.families.entry(name.to_owned()).or_default();
        let kind = *draft.kind.get_or_insert(Kind::Untyped);
        if kind == Kind::Counter && !(value.is_finite() && value >= 0.0) {
            return Err(format!("{name} is a counter, and cannot be {value}"));
        }
        match self.series(name, labels, || EventSeries::Number(0.0))? {
            EventSeries::Number(number) => *number = value,
            _ => return Err(format!("{name} is not a number")),
        }
        Ok(())
    }

    /// Takes the results of a test suite.
    pub fn suite(&mut self, name: &str, counts: &SuiteCounts) -> Result<(), String> {
        let gauges = [
            (
                "junit_tests",
                "Tests of the suite in the last run.",
                Some(counts.tests as f64),
            ),
            (
                "junit_failures",
                "Tests that failed.",
                Some(counts.failures as f64),
            ),
            (
                "junit_errors",
                "Tests that ended by an error other than a failed check.",
                Some(counts.errors as f64),
            ),
            (
                "junit_skipped",
                "Tests that were skipped.",
                Some(counts.skipped as f64),
            ),
            (
                "junit_duration_seconds",
                "How long the suite took.",
                counts.seconds,
            ),
        ];
        for (gauge, help, value) in gauges {
            let Some(value) = value else { continue };
            self.event(Event {
                name: gauge.into(),
                labels: Labels::from([("suite", name)]),
                change: Change::Set(value),
                help: help.into(),
            })?;
        }
        Ok(())
    }

    fn event(&mut self, event: Event) -> Result<(), String> {
        event.change.check()?;
        let Event {
            name, labels, help, ..
        } = event;
        check_names(&name, &labels)?;
        let draft = self.families.get(&name);
        let known = draft.and_then(|draft| draft.kind);
        let known_scale = draft.and_then(|draft| draft.scale.clone());
        let (kind, scale) = match &event.change {
            Change::Inc(_) => (Kind::Counter, None),
            Change::Set(_) | Change::Add(_) if known == Some(Kind::Untyped) => {
                (Kind::Untyped, None)
            }
            Change::Set(_) | Change::Add(_) => (Kind::Gauge, None),
            Change::Observe { scale, .. } => {
                let given = scale.clone();
                if let (Some(given), Some(known)) = (&given, &known_scale)
                    && given != known
                {
                    return Err(format!("{name} has other buckets or quantiles already"));
                }
                let scale = given
                    .or(known_scale)
                    .unwrap_or_else(|| Scale::Buckets(DEFAULT_BUCKETS.to_vec()));
                let kind = match scale {
                    Scale::Quantiles(_) => Kind::Summary,
                    _ => Kind::Histogram,
                };
                (kind, Some(scale))
            }
        };
        if let Some(known) = known
            && known != kind
        {
            return Err(format!("{name} is a {known} already, and not a {kind}"));
        }
        let series = self.series(&name, &labels, || match &scale {
            Some(Scale::Buckets(bounds)) => EventSeries::Histogram {
                counts: vec![0; bounds.len() + 1],
                sum: 0.0,
            },
            Some(_) => EventSeries::Summary {
                sketch: Box::new(DDSketch::new(Config::new(QUANTILE_ERROR, 4096, 1e-12))),
                sum: 0.0,
            },
            None => EventSeries::Number(0.0),
        })?;
        match (series, &event.change) {
            (EventSeries::Number(value), Change::Inc(by)) if (*value + by).is_finite() => {
                *value += by
            }
            // An infinite gauge stays so.
            (EventSeries::Number(value), Change::Add(by))
                if (*value + by).is_finite() || !value.is_finite() =>
            {
                *value += by
            }
            (EventSeries::Number(_), Change::Inc(_) | Change::Add(_)) => {
                return Err(format!("{name} is too large"));
            }
            (EventSeries::Number(value), Change::Set(to)) => *value = *to,
            (EventSeries::Histogram { counts, sum }, Change::Observe { value, .. }) => {
                if let Some(Scale::Buckets(bounds)) = &scale {
                    counts[bounds.partition_point(|bound| bound < value)] += 1;
                }
                *sum += value;
            }
            (EventSeries::Summary { sketch, sum }, Change::Observe { value, .. }) => {
                sketch.add(*value);
                *sum += value;
            }
            _ => return Err(format!("the job writes the {kind} {name} itself")),
        }
        let draft = self.families.entry(name).or_default();
        draft.kind = Some(kind);
        draft.scale = scale;
        if draft.help.is_empty() {
            draft.help = self.secrets.redact_text(help);
        }
        Ok(())
    }

    /// Takes a HELP or TYPE line, or a comment, which is ignored.
    fn comment(&mut self, line: &str) -> Result<(), String> {
        let mut words = line.trim_start_matches([' ', '\t', '#']).split([' ', '\t']);
        let line = match words.next() {
            Some("HELP") => line,
            Some("TYPE") => line.trim_end_matches([' ', '\t']),
            _ => return Ok(()),
        };
        let name = words.find(|word| !word.is_empty()).unwrap_or_default();
        // With a sample the line makes a family.
        let families = text::parse(format!("{line}\n{name} 0\n").as_bytes());
        let family = families.map_err(|error| error.problem)?.into_iter().next();
        let Some(family) = family.filter(|family| family.name == name) else {
            return Err("it is neither HELP nor TYPE of a metric".into());
        };
        let draft = self.families.entry(name.to_owned()).or_default();
        if !family.help.is_empty() {
            draft.help = self.secrets.redact_text(family.help);
        }
        if family.kind != Kind::Untyped {
            match draft.kind {
                Some(known) if known != family.kind => {
                    return Err(format!(
                        "{name} is a {known} already, and not a {}",
                        family.kind
                    ));
                }
                _ => draft.kind = Some(family.kind),
            }
        }
        Ok(())
    }

    /// A sample line. The last one of a series counts.
    fn sample(&mut self, line: &str) -> Result<(), String> {
        let families = text::parse_strictly(format!("{line}\n").as_bytes());
        let Some(family) = families.map_err(|error| error.problem)?.pop() else {
            return Ok(());
        };
        // Without a TYPE line of its own it is a number.
        let Some(Metric {
            mut labels,
            value: Value::Number(value),
            ..
        }) = family.metrics.into_iter().next()
        else {
            return Ok(());
        };
        check_names(&family.name, &labels)?;
        let Some((base, part)) = self.part_of(&family.name) else {
            return self.set(&family.name, &labels, value);
        };
        let bound = match part {
            EventPart::Bound(label) => {
                let bound = labels.remove(label);
                let bound = bound.and_then(|bound| text::float(bound.as_bytes()));
                let bound = bound.filter(|bound: &f64| !bound.is_nan());
                Some(bound.ok_or(format!("{base} needs the label {label} here, a number"))?)
            }
            EventPart::Count | EventPart::Sum => None,
        };
        if is_count(part) {
            check_count(value).map_err(|problem| format!("{} {problem}", family.name))?;
        }
        let written = self.series(&base, &labels, || EventSeries::Written {
            count: None,
            sum: 0.0,
            parts: Vec::new(),
        })?;
        let EventSeries::Written { count, sum, parts } = written else {
            return Err(format!("{base} is observed by events already"));
        };
        match (part, bound) {
            (EventPart::Count, _) => *count = Some(value),
            (EventPart::Sum, _) => *sum = value,
            (EventPart::Bound(_), bound) => {
                let bound: f64 = bound.unwrap_or_default();
                let known = parts.iter().position(|(known, _)| *known == bound);
                match known {
                    Some(index) => parts[index].1 = value,
                    None if parts.len() >= MAX_PARTS => {
                        return Err(format!(
                            "{base} has more than {MAX_PARTS} buckets or quantiles"
                        ));
                    }
                    None => parts.push((bound, value)),
                }
                parts.sort_by(|a, b| a.0.total_cmp(&b.0));
            }
        }
        Ok(())
    }

    /// The histogram or summary that lines named `name` belong to, and the part of it that they give.
    fn part_of(&self, name: &str) -> Option<(String, EventPart)> {
        let kind = |name: &str| self.families.get(name).and_then(|draft| draft.kind);
        if kind(name) == Some(Kind::Summary) {
            return Some((name.to_owned(), EventPart::Bound("quantile")));
        }
        for (suffix, part) in [
            ("_count", EventPart::Count),
            ("_sum", EventPart::Sum),
            ("_bucket", EventPart::Bound("le")),
        ] {
            if let Some(base) = name.strip_suffix(suffix)
                && kind(base).is_some_and(|kind| kind.suffixes().contains(&suffix))
            {
                return Some((base.to_owned(), part));
            }
        }
        None
    }

    /// The series, made by `new` if there is none yet.
    fn series(
        &mut self,
        name: &str,
        labels: &Labels,
        new: impl FnOnce() -> EventSeries,
    ) -> Result<&mut EventSeries, String> {
        let is_full = self.series >= MAX_SERIES;
        let redacted = redacted(&self.secrets, labels);
        let labels = redacted.as_ref().unwrap_or(labels);
        let draft = self.families.entry(name.to_owned()).or_default();
        if !draft.series.contains_key(labels) {
            if is_full {
                return Err(format!("the job has more than {MAX_SERIES} series"));
            }
            self.series += 1;
        }
        Ok(draft.series.entry(labels.clone()).or_insert_with(new))
    }

    /// Families that came in so far, sorted by name and labels.
    pub fn families(&self) -> Vec<Family> {
        let families = self.families.iter().map(|(name, draft)| {
            let mut series: Vec<_> = draft.series.iter().collect();
            series.sort_by(|a, b| a.0.cmp(b.0));
            Family {
                name: name.clone(),
                help: draft.help.clone(),
                kind: draft.kind.unwrap_or(Kind::Untyped),
                metrics: series
                    .into_iter()
                    .map(|(labels, series)| Metric {
                        labels: labels.clone(),
                        value: draft.value(series),
                        timestamp_ms: None,
                    })
                    .collect(),
            }
        });
        families
            .filter(|family| !family.metrics.is_empty())
            .collect()
    }
}

/// Part of a histogram or summary that one line gives.
#[derive(Clone, Copy)]
enum EventPart {
    Count,
    Sum,
    /// A bucket or a quantile; the label has its bound.
    Bound(&'static str),
}

fn is_count(part: EventPart) -> bool {
    matches!(part, EventPart::Count | EventPart::Bound("le"))
}

/// # Errors
///
/// `labels` without our secrets in their values; `None` if there is none.
fn redacted(secrets: &Secrets, labels: &Labels) -> Option<Labels> {
    let is_secret = |value: &str| matches!(secrets.redact(value.as_bytes()), Cow::Owned(_));
    labels.values().any(is_secret).then(|| {
        let labels = labels.iter();
        let redacted = |value: &str| secrets.redact_text(value.to_owned());
        labels
            .map(|(name, value)| (name, redacted(value)))
            .collect()
    })
}

/// A name that no metric or label can have.
pub fn check_names(name: &str, labels: &Labels) -> Result<(), String> {
    if !is_metric_name(name) {
        return Err(format!(
            "{name:?} is not a metric name ([a-zA-Z_:][a-zA-Z0-9_:]*)"
        ));
    }
    match labels
        .keys()
        .find(|label| !is_label_name(label) || label.starts_with("__"))
    {
        Some(label) => Err(format!(
            "{label:?} is not a label name ([a-zA-Z_][a-zA-Z0-9_]*, without __ in front)"
        )),
        None => Ok(()),
    }
}
