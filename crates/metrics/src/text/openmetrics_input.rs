//! Reader of OpenMetrics 1.0, into families of text 0.0.4 that give the same series in Prometheus.
//!
//! See <https://prometheus.io/docs/specs/om/open_metrics_spec/>. Blanks and empty lines are accepted where text 0.0.4
//! accepts them; the content is read strictly.

use super::cursor::Cursor;
use super::declare::help_text;
use super::draft::{Draft, Part, Sample};
use super::input::{self, Input};
use super::labels::LabelReader;
use super::limits::Limits;
use super::number::float;
use super::openmetrics_type::{Role, Type};
use super::parse::ParseError;
use super::quoted::Escapes;
use super::remarks::Remarks;
use crate::check::CheckError;
use crate::excerpt;
use crate::family::Kind;
use crate::index::PairIndex;
use crate::labels::Labels;
use crate::name::{Names, continues_metric_name, starts_metric_name};

/// Parses OpenMetrics.
///
/// # Errors
///
/// Refuses text that is malformed, that no gateway would accept, or that a gateway would store differently from what
/// is written.
pub fn parse(text: &[u8]) -> Result<Input, ParseError> {
    let text = input::significant(text);
    let limits = Limits::default();
    let mut parser = OpenMetricsParser {
        cursor: Cursor::new(&text),
        labels: LabelReader::new(&limits, Names::Legacy, Escapes::Any),
        families: Vec::new(),
        by_name: PairIndex::default(),
        drafts: Vec::new(),
        draft_by_name: PairIndex::default(),
        last: None,
    };
    parser.run()?;
    Ok(parser.finish())
}

/// A family as declared in OpenMetrics.
struct Declared {
    name: String,
    kind: Option<Type>,
    help: Option<String>,
    unit: Option<String>,
    has_samples: bool,
    has_created: bool,
    has_exemplars: bool,
}

/// A family of text 0.0.4, with the index of the OpenMetrics family it comes from.
struct Target {
    draft: Draft,
    declared: usize,
}

struct OpenMetricsParser<'a> {
    cursor: Cursor<'a>,
    labels: LabelReader<'a>,
    families: Vec<Declared>,
    by_name: PairIndex,
    drafts: Vec<Target>,
    draft_by_name: PairIndex,
    /// Sample name of the previous line, most likely that of the next one too, with its family and role.
    last: Option<(&'a str, usize, Role)>,
}

impl<'a> OpenMetricsParser<'a> {
    fn run(&mut self) -> Result<(), ParseError> {
        loop {
            self.cursor.skip_blanks();
            match self.cursor.peek() {
                None => {
                    return self.cursor.fail(
                        "there is no # EOF, the last line of OpenMetrics: the text may have been cut off"
                            .into(),
                    );
                }
                Some(b'\n') => self.cursor.next_line(),
                Some(b'#') if self.comment()? => return Ok(()),
                Some(b'#') => {}
                Some(_) => self.sample()?,
            }
        }
    }

    /// Reads a metadata line. Returns true after `# EOF`.
    fn comment(&mut self) -> Result<bool, ParseError> {
        self.cursor.advance(1);
        self.cursor.skip_blanks();
        let keyword = self.cursor.word();
        match keyword {
            b"EOF" => return self.end().map(|()| true),
            b"HELP" | b"TYPE" | b"UNIT" => {}
            other => {
                return self.cursor.fail(format!(
                    "expected HELP, TYPE, UNIT or EOF after #, found {}: OpenMetrics has no comments",
                    excerpt::quoted(other)
                ));
            }
        }
        self.cursor.skip_blanks();
        let name = self.cursor.name(starts_metric_name, continues_metric_name);
        if name.is_empty() || !matches!(self.cursor.current()?, b' ' | b'\t' | b'\n') {
            let found = self.cursor.found();
            return self
                .cursor
                .fail(format!("expected a metric name after #, found {found}"));
        }
        self.cursor.skip_blanks();
        let rest = self.cursor.rest_of_line()?;
        // The line may declare the name of the previous sample.
        self.last = None;
        let family = self.declared(name);
        let declared = self.families[family].declare(keyword, rest);
        declared.or_else(|problem| self.cursor.fail(problem))?;
        self.cursor.next_line();
        Ok(false)
    }

    /// Reads the rest of the text after `# EOF`, which must be blank.
    fn end(&mut self) -> Result<(), ParseError> {
        loop {
            self.cursor.skip_blanks();
            match self.cursor.peek() {
                None => return Ok(()),
                Some(b'\n') => self.cursor.next_line(),
                Some(_) => {
                    let found = self.cursor.found();
                    return self
                        .cursor
                        .fail(format!("nothing may follow # EOF, and there is {found}"));
                }
            }
        }
    }

    fn sample(&mut self) -> Result<(), ParseError> {
        let name = self.cursor.name(starts_metric_name, continues_metric_name);
        if name.is_empty() {
            let found = self.cursor.found();
            return self
                .cursor
                .fail(format!("expected a metric name, found {found}"));
        }
        let (family, role) = match self.last {
            Some((last, family, role)) if last == name => (family, role),
            _ => self
                .resolve(name)
                .or_else(|problem| self.cursor.fail(problem))?,
        };
        self.last = Some((name, family, role));
        self.cursor.skip_blanks();
        let (labels, selector) = match self.cursor.current()? {
            b'{' => {
                self.cursor.advance(1);
                let kind = role.labels_of();
                self.labels.read(&mut self.cursor, name, kind)?
            }
            _ => (Labels::new(), None),
        };
        let value = self.number("a number as value")?;
        let has_exemplar = self.tail(name, &labels)?;
        self.families[family].has_exemplars |= has_exemplar;
        let added = match role {
            Role::Created => {
                self.families[family].has_created = true;
                Ok(())
            }
            Role::Number(kind) => {
                let sample = Sample {
                    part: Part::Own,
                    labels,
                    selector: None,
                    value,
                    timestamp_ms: None,
                };
                self.add(family, name, kind, sample)
            }
            Role::Part(kind, part) => {
                let sample = Sample {
                    part,
                    labels,
                    selector,
                    value,
                    timestamp_ms: None,
                };
                let name = self.families[family].name.clone();
                self.add(family, &name, kind, sample)
            }
        };
        added.or_else(|problem| self.cursor.fail(problem))?;
        self.cursor.next_line();
        Ok(())
    }

    /// Reads from behind a value to the end of its line. Returns true if there is an exemplar.
    fn tail(&mut self, name: &str, labels: &Labels) -> Result<bool, ParseError> {
        self.cursor.skip_blanks();
        match self.cursor.current()? {
            b'\n' => return Ok(false),
            b'#' => self.cursor.advance(1),
            _ => {
                self.number("a timestamp in seconds, or # and an exemplar, after the value")?;
                let series = excerpt::series(name, labels);
                return self
                    .cursor
                    .fail(CheckError::Timestamp { series }.to_string());
            }
        }
        self.cursor.skip_blanks();
        if self.cursor.current()? != b'{' {
            let found = self.cursor.found();
            let problem = format!("expected {{ and an exemplar's labels after #, found {found}");
            return self.cursor.fail(problem);
        }
        self.cursor.advance(1);
        self.labels.read(&mut self.cursor, name, Kind::Untyped)?;
        self.number("a number as the exemplar's value")?;
        self.cursor.skip_blanks();
        if self.cursor.current()? != b'\n' {
            self.number("a timestamp in seconds after the exemplar")?;
            self.cursor.skip_blanks();
        }
        match self.cursor.current()? {
            b'\n' => Ok(true),
            _ => {
                let found = self.cursor.found();
                self.cursor
                    .fail(format!("unexpected {found} after the exemplar"))
            }
        }
    }

    fn number(&mut self, what: &str) -> Result<f64, ParseError> {
        self.cursor.skip_blanks();
        let word = self.cursor.word();
        match float(word) {
            Some(number) => Ok(number),
            None => self
                .cursor
                .fail(format!("expected {what}, found {}", excerpt::quoted(word))),
        }
    }

    /// Returns the index of the family with this name, which is created if it is new.
    fn declared(&mut self, name: &str) -> usize {
        self.find(name).unwrap_or_else(|| {
            self.families.push(Declared::new(name));
            self.by_name.grew(&self.families, declared_name);
            self.families.len() - 1
        })
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.by_name.find(&self.families, declared_name, name)
    }

    /// Returns the family of the samples called `name`, and their role in it.
    fn resolve(&mut self, name: &str) -> Result<(usize, Role), String> {
        let exact = self.find(name);
        let role_in = |family: usize, suffix: &str| {
            let kind = self.families[family].kind.unwrap_or(Type::Unknown);
            kind.role(suffix).map(|role| (family, role))
        };
        let suffixed = || {
            Type::suffixes().find_map(|suffix| {
                let family = self.find(name.strip_suffix(suffix)?)?;
                role_in(family, suffix)
            })
        };
        let found = exact
            .and_then(|family| role_in(family, ""))
            .or_else(suffixed);
        let (family, role) = match (found, exact) {
            (Some(found), _) => found,
            (None, Some(family)) => {
                let kind = self.families[family].kind.unwrap_or(Type::Unknown);
                return Err(kind.problem_with(name));
            }
            (None, None) => (self.declared(name), Role::Number(Kind::Untyped)),
        };
        let declared = &mut self.families[family];
        // A later TYPE line is refused.
        declared.kind.get_or_insert(Type::Unknown);
        declared.has_samples |= role != Role::Created;
        Ok((family, role))
    }

    /// Adds `sample` to the family `name` of text 0.0.4, which comes from `family`.
    fn add(&mut self, family: usize, name: &str, kind: Kind, sample: Sample) -> Result<(), String> {
        let declared = &self.families[family];
        if let Some(own) = declared.kind {
            own.check(&declared.name, name, &sample)?;
        }
        let known = self.draft_by_name.find(&self.drafts, draft_name, name);
        let place = known.unwrap_or_else(|| {
            let mut draft = Draft::new(name);
            draft.kind = Some(kind);
            let declared = family;
            self.drafts.push(Target { draft, declared });
            self.draft_by_name.grew(&self.drafts, draft_name);
            self.drafts.len() - 1
        });
        let target = &mut self.drafts[place];
        if target.declared != family {
            return Err(format!(
                "{} has the samples of {} and of {}",
                excerpt::word(name),
                excerpt::word(&self.families[target.declared].name),
                excerpt::word(&self.families[family].name)
            ));
        }
        target.draft.add_strictly(kind, sample)
    }

    fn finish(self) -> Input {
        let names = |is_wanted: fn(&Declared) -> bool| {
            let families = self.families.iter().filter(|family| is_wanted(family));
            families.map(|family| family.name.clone()).collect()
        };
        let remarks = Remarks {
            without_samples: names(|family| !family.has_samples),
            created: names(|family| family.has_created),
            exemplars: names(|family| family.has_exemplars),
            ..Remarks::default()
        };
        let drafts = self.drafts.into_iter().map(|target| {
            let mut draft = target.draft;
            draft.help.clone_from(&self.families[target.declared].help);
            draft
        });
        Input::of(drafts.collect(), remarks)
    }
}

impl Declared {
    fn new(name: &str) -> Self {
        Declared {
            name: name.to_owned(),
            kind: None,
            help: None,
            unit: None,
            has_samples: false,
            has_created: false,
            has_exemplars: false,
        }
    }

    /// Sets HELP, TYPE or UNIT of a family from the rest of the line. The error is for the user.
    fn declare(&mut self, keyword: &[u8], text: &[u8]) -> Result<(), String> {
        let is_second = match keyword {
            b"HELP" => self.help.is_some(),
            b"TYPE" => self.kind.is_some(),
            _ => self.unit.is_some(),
        };
        if is_second {
            return Err(format!(
                "second {} line for {}, or one after its samples",
                String::from_utf8_lossy(keyword),
                excerpt::word(&self.name)
            ));
        }
        let word = input::without_blanks(text);
        match keyword {
            b"HELP" => self.help = Some(help_text(text, Escapes::Any)?),
            b"TYPE" => self.kind = Some(Type::from_name(word)?),
            _ => self.unit = Some(String::from_utf8_lossy(word).into_owned()),
        }
        self.check_unit()
    }

    /// Refuses a unit that the name does not end in, or that the type must not have.
    fn check_unit(&self) -> Result<(), String> {
        let Some(unit) = self.unit.as_deref().filter(|unit| !unit.is_empty()) else {
            return Ok(());
        };
        let name = excerpt::word(&self.name);
        let unit_shown = excerpt::quoted(unit.as_bytes());
        if let Some(kind @ (Type::Info | Type::StateSet)) = self.kind {
            let kind = kind.name();
            return Err(format!(
                "{name} has the UNIT {unit_shown}, and is of the type {kind}, which has none"
            ));
        }
        let before = self.name.strip_suffix(unit);
        if before.is_some_and(|before| before.ends_with('_')) {
            Ok(())
        } else {
            Err(format!(
                "{name} has the UNIT {unit_shown}, and its name must end in _ and that"
            ))
        }
    }
}

fn declared_name(family: &Declared) -> &str {
    &family.name
}

fn draft_name(target: &Target) -> &str {
    &target.draft.name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::openmetrics::encode;

    #[test]
    fn what_is_written_is_read() {
        let text = "\
            # HELP a Say \\\"a\\\\b\\\"\\nand more.\n# TYPE a counter\na_total{b=\"\\\"\\n\"} 1\na_total 2.5\n\
            # TYPE b unknown\nb 1\n\
            # TYPE e histogram\ne_bucket{le=\"1\"} 1\ne_bucket{le=\"+Inf\"} 2\ne_sum 3\ne_count 2\n\
            # TYPE f summary\nf{quantile=\"0.5\"} 1\nf_sum 3\nf_count 2\n\
            # EOF\n";
        let input = parse(text.as_bytes()).unwrap();
        assert_eq!(input.remarks, Remarks::default());
        assert_eq!(encode(&input.families), text);
    }

    #[test]
    fn families_may_be_mixed() {
        let mixed = "# TYPE a info\n# TYPE b counter\nb_total 1\na_info{x=\"1\"} 1\nb_total{x=\"1\"} 2\n\
                     # HELP b Text.\na_info 1\n# EOF";
        let families = parse(mixed.as_bytes()).unwrap().families;
        let shown: Vec<_> = families
            .iter()
            .map(|family| (&*family.name, &*family.help, family.metrics.len()))
            .collect();
        assert_eq!(shown, [("b_total", "Text.", 2), ("a_info", "", 2)]);
    }

    /// A family with the sample's exact name wins over one with a suffix, if its type has such samples.
    #[test]
    fn names_that_two_families_can_have() {
        let problem = |text: &str| {
            parse(format!("{text}# EOF\n").as_bytes())
                .unwrap_err()
                .problem
        };
        let gauge = "# TYPE a counter\n# TYPE a_total gauge\na_total -1\n# EOF\n";
        assert_eq!(
            parse(gauge.as_bytes()).unwrap().families[0].kind,
            Kind::Gauge
        );
        let counter = "# TYPE a counter\n# TYPE a_total counter\na_total 1\n# EOF\n";
        let input = parse(counter.as_bytes()).unwrap();
        assert_eq!(input.families[0].kind, Kind::Counter);
        assert_eq!(input.remarks.without_samples, ["a_total"]);
        let text = "# TYPE a counter\na_total 1\n# TYPE a_total gauge\na_total{x=\"1\"} 1\n";
        assert_eq!(problem(text), "a_total has the samples of a and of a_total");
    }

    #[test]
    fn hostile_sizes_take_linear_time() {
        let many: String = (0..50_000)
            .flat_map(|n| ["# TYPE", "# HELP"].map(|word| format!("{word} m{n} counter\n")))
            .collect();
        let samples = ["_total", "_created"].iter();
        let samples: String = samples
            .flat_map(|part| (0..50_000).map(move |n| format!("m{n}{part} 1 # {{}} 1\n")))
            .collect();
        let input = parse(format!("{many}{samples}# EOF").as_bytes()).unwrap();
        assert_eq!(input.families.len(), 50_000);
        for line in input.remarks.lines() {
            assert!(line.len() < 2000, "{line}");
        }
        let long = "x".repeat(1_000_000);
        for text in [
            format!("{long}\n"),
            format!("# {long}\n"),
            format!("# TYPE {long} {long}\n"),
            format!("# TYPE {long} counter\n{long} 1\n"),
            format!("# TYPE {long}_total counter\n{long}_total 1\n"),
            format!("# UNIT {long} {long}\n"),
            format!("# TYPE {long} stateset\n{long}{{a=\"{long}\"}} 1\n"),
            format!("a 1 {long}\n"),
            format!("a 1 # {long}\n"),
            format!("a 1 # {{}} 1 1 {long}\n"),
            format!("a{{b=\"{long}\"}} 1 1\n"),
            format!("# EOF {long}\n"),
            format!("# HELP {long} a\n# HELP {long} a\n"),
        ] {
            let error = parse(text.as_bytes()).unwrap_err();
            assert!(error.problem.len() < 400, "{error}");
        }
    }
}
