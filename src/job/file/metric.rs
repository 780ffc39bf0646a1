//! The entries `[[metric]]`: rules for the job's own metrics.

use super::reader::{Key, Reader, Value};
use crate::job::metric_rule::{self, MetricRule, Scale};
use crate::job::output_pattern::{OutputPattern, OutputStream, is_own_label, not_a_label};
use crate::job::suggest;
use metricsjob_metrics::{Kind, Labels};

/// The keys of an entry.
const KEYS: [&str; 10] = [
    "name",
    "type",
    "help",
    "labels",
    "pattern",
    "stream",
    "pointer",
    "buckets",
    "quantiles",
    "cumulative",
];

impl<'a> Reader<'a> {
    pub fn metrics(&mut self, key: &Key<'a>, value: &Value<'a>) -> Vec<MetricRule> {
        let Some(entries) = self.array(key, value, "a list of tables, [[metric]]") else {
            return Vec::new();
        };
        let mut rules = Vec::new();
        for entry in entries {
            if let Some(rule) = self.metric(key, entry) {
                if let Err(problem) = rule.check_beside(&rules) {
                    self.problem(entry.span(), problem);
                }
                rules.push(rule);
            }
        }
        rules
    }

    fn metric(&mut self, key: &Key<'a>, entry: &Value<'a>) -> Option<MetricRule> {
        let (mut name, mut kind, mut help) = (None, None, String::new());
        let mut labels = Labels::new();
        let (mut pattern, mut stream, mut pointer) = (None, None, None);
        let (mut buckets, mut quantiles, mut cumulative) = (None, None, None);
        for (key, value) in self.table(key, entry) {
            match key.get_ref().as_ref() {
                "name" => name = Some(self.metric_name(key, value)),
                "type" => kind = Some(self.kind(key, value)),
                "help" => help = self.string(key, value).unwrap_or_default(),
                "labels" => labels = self.metric_labels(key, value),
                "pattern" => pattern = Some((value.span(), self.pattern(key, value))),
                "stream" => stream = self.stream(key, value).map(|stream| (key.span(), stream)),
                "pointer" => pointer = Some((key.span(), self.parsed(key, value))),
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
        if let Some((span, _)) = &pointer {
            let problem = if pattern.is_some() {
                Some("a metric has either pattern or pointer, not both".to_owned())
            } else if !matches!(kind, Kind::Counter | Kind::Gauge) {
                Some(format!(
                    "a pointer leads to the value of a counter or gauge, and {name} is a {kind}"
                ))
            } else if matches!(cumulative, Some((_, true))) {
                Some(format!(
                    "cumulative adds up what runs have counted, and {name} is what the document says"
                ))
            } else {
                None
            };
            if let Some(problem) = problem {
                self.problem(span.clone(), problem);
            }
        }
        let scale = match (buckets, quantiles) {
            (Some((_, buckets)), _) => buckets?,
            (None, Some((_, quantiles))) => quantiles?,
            (None, None) => Scale::default_of(kind),
        };
        let (span, mut source) = match pattern {
            Some((span, pattern)) => (span, Some(pattern?)),
            None => (entry.span(), None),
        };
        if let (Some(source), Some((_, stream))) = (&mut source, stream) {
            source.stream = stream;
        }
        let rule = MetricRule {
            help,
            labels,
            scale,
            is_cumulative: cumulative.is_some_and(|(_, yes)| yes),
            source,
            pointer: match pointer {
                Some((_, pointer)) => Some(pointer?),
                None => None,
            },
            ..MetricRule::new(name, kind)
        };
        if let Err(problem) = rule.check_number() {
            self.problem(span, problem);
        }
        Some(rule)
    }

    fn metric_name(&mut self, key: &Key<'a>, value: &Value<'a>) -> Option<String> {
        let name = self.string(key, value)?;
        self.noted(value, metric_rule::check_name(&name))?;
        Some(name)
    }

    fn kind(&mut self, key: &Key<'a>, value: &Value<'a>) -> Option<Kind> {
        let name = self.string(key, value)?;
        self.noted(value, metric_rule::kind(&name))
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

    fn pattern(&mut self, key: &Key<'a>, value: &Value<'a>) -> Option<OutputPattern> {
        let text = self.string(key, value)?;
        self.noted(value, OutputPattern::new(&text))
    }

    fn stream(&mut self, key: &Key<'a>, value: &Value<'a>) -> Option<OutputStream> {
        let name = self.string(key, value)?;
        self.noted(value, OutputStream::named(&name))
    }

    /// Unwraps `result`, of which an error becomes a problem of `value`.
    fn noted<T>(&mut self, value: &Value<'a>, result: Result<T, String>) -> Option<T> {
        result
            .map_err(|problem| self.problem(value.span(), problem))
            .ok()
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
