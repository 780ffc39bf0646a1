//! The entries `[[metric]]`: rules for the job's own metrics.

use regex_automata::meta::{BuildError, Regex};
use regex_automata::util::syntax;

use super::reader::{Key, Reader, Value};
use crate::job::metric_rule::{
    DEFAULT_BUCKETS, DEFAULT_QUANTILES, MetricRule, OutputPattern, OutputStream, Scale, group_names,
};
use crate::job::suggest;
use metricsjob_metrics::{Kind, Labels, is_label_name, is_metric_name};

/// The keys of an entry.
const KEYS: [&str; 9] = [
    "name",
    "type",
    "help",
    "labels",
    "pattern",
    "stream",
    "buckets",
    "quantiles",
    "cumulative",
];

/// The types that a job can report from its output or its events.
const KINDS: [Kind; 4] = [Kind::Counter, Kind::Gauge, Kind::Histogram, Kind::Summary];

/// How much memory a compiled pattern may take.
const MAX_PATTERN_BYTES: usize = 1 << 20;

impl<'a> Reader<'a> {
    pub fn metrics(&mut self, key: &Key<'a>, value: &Value<'a>) -> Vec<MetricRule> {
        let Some(entries) = self.array(key, value, "a list of tables, [[metric]]") else {
            return Vec::new();
        };
        entries
            .filter_map(|entry| self.metric(key, entry))
            .collect()
    }

    fn metric(&mut self, key: &Key<'a>, entry: &Value<'a>) -> Option<MetricRule> {
        let (mut name, mut kind, mut help) = (None, None, String::new());
        let mut labels = Labels::new();
        let (mut pattern, mut stream) = (None, None);
        let (mut buckets, mut quantiles, mut cumulative) = (None, None, None);
        for (key, value) in self.table(key, entry) {
            match key.get_ref().as_ref() {
                "name" => name = Some(self.metric_name(key, value)),
                "type" => kind = Some(self.kind(key, value)),
                "help" => help = self.string(key, value).unwrap_or_default(),
                "labels" => labels = self.metric_labels(key, value),
                "pattern" => pattern = Some(self.pattern(key, value)),
                "stream" => stream = self.stream(key, value).map(|stream| (key.span(), stream)),
                "buckets" => buckets = Some((key.span(), self.scale(key, value, Scale::buckets))),
                "quantiles" => {
                    quantiles = Some((key.span(), self.scale(key, value, Scale::quantiles)));
                }
                "cumulative" => {
                    cumulative = self.boolean(key, value).map(|yes| (key.span(), yes));
                }
                unknown => {
                    let hint = suggest::hint(unknown, KEYS);
                    self.problem(key.span(), format!("unknown key {unknown:?}{hint}"));
                }
            }
        }
        for (missing, is_missing) in [("name", name.is_none()), ("type", kind.is_none())] {
            if is_missing {
                self.problem(entry.span(), format!("[[metric]] needs the key {missing}"));
            }
        }
        let (name, kind) = (name??, kind??);
        let misplaced = [
            ("buckets", &buckets, Kind::Histogram),
            ("quantiles", &quantiles, Kind::Summary),
        ];
        for (key, given, wanted) in misplaced {
            if let Some((span, _)) = given
                && kind != wanted
            {
                self.problem(
                    span.clone(),
                    format!("{key} are for a {wanted}, and {name} is a {kind}"),
                );
            }
        }
        if let Some((span, true)) = &cumulative
            && kind != Kind::Counter
        {
            self.problem(
                span.clone(),
                format!("cumulative is for a counter, and {name} is a {kind}"),
            );
        }
        if let (Some((span, _)), None) = (&stream, &pattern) {
            self.problem(
                span.clone(),
                "stream says where to look for a pattern, and there is none".into(),
            );
        }
        let scale = match kind {
            Kind::Histogram => match buckets {
                Some((_, buckets)) => buckets?,
                None => Scale::Buckets(DEFAULT_BUCKETS.to_vec()),
            },
            Kind::Summary => match quantiles {
                Some((_, quantiles)) => quantiles?,
                None => Scale::Quantiles(DEFAULT_QUANTILES.to_vec()),
            },
            _ => Scale::None,
        };
        Some(MetricRule {
            name,
            kind,
            help,
            labels,
            scale,
            is_cumulative: cumulative.is_some_and(|(_, yes)| yes),
            source: match pattern {
                Some(pattern) => Some(OutputPattern {
                    pattern: pattern?,
                    stream: stream.map_or(OutputStream::Both, |(_, stream)| stream),
                }),
                None => None,
            },
        })
    }

    fn metric_name(&mut self, key: &Key<'a>, value: &Value<'a>) -> Option<String> {
        let name = self.string(key, value)?;
        if is_metric_name(&name) {
            return Some(name);
        }
        self.problem(
            value.span(),
            format!("name {name:?} is not a metric name ([a-zA-Z_:][a-zA-Z0-9_:]*)"),
        );
        None
    }

    fn kind(&mut self, key: &Key<'a>, value: &Value<'a>) -> Option<Kind> {
        let name = self.string(key, value)?;
        let kind = KINDS.into_iter().find(|kind| kind.name() == name);
        if kind.is_none() {
            let hint = suggest::hint(&name, KINDS.map(Kind::name));
            self.problem(value.span(), format!("unknown type {name:?}{hint}"));
        }
        kind
    }

    fn metric_labels(&mut self, key: &Key<'a>, value: &Value<'a>) -> Labels {
        let labels = self.labels(key, value);
        for (label, _) in self.table(key, value) {
            if !is_own_label(label.get_ref()) {
                self.problem(label.span(), not_a_label(label.get_ref()));
            }
        }
        labels
    }

    fn pattern(&mut self, key: &Key<'a>, value: &Value<'a>) -> Option<Regex> {
        let text = self.string(key, value)?;
        // Lines need not be UTF-8.
        let built = Regex::builder()
            .configure(
                Regex::config()
                    .utf8_empty(false)
                    .nfa_size_limit(Some(MAX_PATTERN_BYTES)),
            )
            .syntax(syntax::Config::new().utf8(false))
            .build(&text);
        let pattern = match built {
            Ok(pattern) => pattern,
            Err(error) => {
                let reason = reason(&error);
                self.problem(
                    value.span(),
                    format!("pattern {text:?} is not a regular expression: {reason}"),
                );
                return None;
            }
        };
        for bad in group_names(&pattern).filter(|name| *name != "value" && !is_own_label(name)) {
            let problem = format!("the group {bad:?} of the pattern: {}", not_a_label(bad));
            self.problem(value.span(), problem);
        }
        Some(pattern)
    }

    fn stream(&mut self, key: &Key<'a>, value: &Value<'a>) -> Option<OutputStream> {
        let name = self.string(key, value)?;
        let known = OutputStream::NAMES.into_iter();
        let found = known.clone().find(|(known, _)| *known == name);
        if found.is_none() {
            let hint = suggest::hint(&name, known.map(|(known, _)| known));
            self.problem(value.span(), format!("unknown stream {name:?}{hint}"));
        }
        found.map(|(_, stream)| stream)
    }

    fn scale(
        &mut self,
        key: &Key<'a>,
        value: &Value<'a>,
        new: fn(Vec<f64>) -> Result<Scale, String>,
    ) -> Option<Scale> {
        let numbers = self.array(key, value, "a list of numbers")?;
        let numbers: Option<Vec<f64>> = numbers.map(|number| self.number(key, number)).collect();
        new(numbers?)
            .map_err(|problem| self.problem(value.span(), format!("{} {problem}", key.get_ref())))
            .ok()
    }
}

/// Why a pattern cannot be used, in one line.
fn reason(error: &BuildError) -> String {
    if error.size_limit().is_some() {
        return format!("it takes more than {MAX_PATTERN_BYTES} bytes when compiled");
    }
    let Some(error) = error.syntax_error() else {
        return error.to_string();
    };
    // Its last line names the problem; those before draw the pattern.
    let text = error.to_string();
    let reason = text.lines().last().unwrap_or_default();
    reason.strip_prefix("error: ").unwrap_or(reason).to_owned()
}

/// Returns true if a job's metric can have the label `name`.
fn is_own_label(name: &str) -> bool {
    is_label_name(name) && !name.starts_with("__") && name != "job"
}

fn not_a_label(name: &str) -> String {
    match name {
        "job" => "the label job comes from the grouping key".into(),
        _ => format!("{name:?} is not a label name ([a-zA-Z_][a-zA-Z0-9_]*, without __ in front)"),
    }
}
