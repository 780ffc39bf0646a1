//! Suites of one JUnit XML file.
//!
//! There is no standard for such files, only what Ant once wrote and each test runner since then has changed. The counts of a
//! suite are its attributes; where one is missing, they are counted from its `testcase` elements. A suite that contains
//! others repeats their counts in its attributes, so only its own test cases count for it.

use std::ops::AddAssign;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

/// A suite and the results of its tests.
#[derive(Debug, Clone, PartialEq)]
pub struct JunitSuite {
    pub name: String,
    pub counts: SuiteCounts,
}

/// Results of a suite's tests.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SuiteCounts {
    pub tests: u64,
    pub failures: u64,
    pub errors: u64,
    pub skipped: u64,
    /// `None` if the file does not say.
    pub seconds: Option<f64>,
}

impl AddAssign for SuiteCounts {
    fn add_assign(&mut self, other: Self) {
        self.tests = self.tests.saturating_add(other.tests);
        self.failures = self.failures.saturating_add(other.failures);
        self.errors = self.errors.saturating_add(other.errors);
        self.skipped = self.skipped.saturating_add(other.skipped);
        self.seconds = sum(self.seconds, other.seconds);
    }
}

/// Error: a text from which no suites can be read.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum JunitError {
    #[error("it is empty: did the test runner end before it wrote?")]
    Empty,
    #[error(
        "line {0}: it has a document type declaration (<!DOCTYPE), which is not read because it can define entities: \
         let the test runner write none"
    )]
    Doctype(usize),
    #[error("line {line}: it is in {encoding}: let the test runner write UTF-8")]
    Encoding { line: usize, encoding: String },
    #[error(
        "line {line}: it is not XML: {problem} (was the test runner ended while it wrote, or did something else \
         write to the file?)"
    )]
    Malformed { line: usize, problem: String },
    #[error("line {line}: <{found}> is not <testsuites> or <testsuite>: is it a JUnit file?")]
    Root { line: usize, found: String },
    #[error("line {line}: {attribute} {value:?} is not {wanted}")]
    Number {
        line: usize,
        attribute: &'static str,
        value: String,
        wanted: &'static str,
    },
    #[error("it has no <testsuite>: were any tests run?")]
    NoSuite,
}

/// Reads the suites in `text`. One without a name gets `file_name`.
pub fn parse(text: &str, file_name: &str) -> Result<Vec<JunitSuite>, JunitError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        return Err(JunitError::Empty);
    }
    let mut reader = Reader::from_str(text);
    let mut document = Document {
        file_name,
        open: Vec::new(),
        has_root: false,
        suites: Vec::new(),
    };
    loop {
        let start = reader.buffer_position();
        let line = |position: u64| 1 + memchr::memchr_iter(b'\n', before(text, position)).count();
        let malformed = |problem: String, position: u64| JunitError::Malformed {
            line: line(position),
            problem,
        };
        let event = reader
            .read_event()
            .map_err(|error| malformed(error.to_string(), reader.error_position()))?;
        match event {
            Event::Start(element) => document.opens(&element, || line(start))?,
            Event::Empty(element) => {
                document.opens(&element, || line(start))?;
                document.closes()?;
            }
            Event::End(_) => document.closes()?,
            Event::DocType(_) => return Err(JunitError::Doctype(line(start))),
            Event::Decl(declaration) => {
                if let Some(Ok(encoding)) = declaration.encoding()
                    && !["utf-8", "utf8", "us-ascii", "ascii"]
                        .contains(&encoding.to_ascii_lowercase().as_str())
                {
                    return Err(JunitError::Encoding {
                        line: line(start),
                        encoding: encoding.into_owned(),
                    });
                }
            }
            Event::GeneralRef(reference) => {
                let name = reference.xml10_content();
                let is_known = reference.is_char_ref()
                    || quick_xml::escape::resolve_xml_entity(&name).is_some();
                if !is_known {
                    return Err(malformed(format!("&{name}; is not defined"), start));
                }
            }
            Event::Text(characters) if document.open.is_empty() => {
                if !characters.trim().is_empty() {
                    return Err(malformed("text outside of the root element".into(), start));
                }
            }
            Event::Eof => {
                if !document.open.is_empty() {
                    let problem = "it ends before its elements do".into();
                    return Err(malformed(problem, start));
                }
                break;
            }
            Event::Text(_) | Event::CData(_) | Event::Comment(_) | Event::PI(_) => {}
        }
    }
    if document.suites.is_empty() {
        return Err(JunitError::NoSuite);
    }
    Ok(document.suites)
}

fn before(text: &str, position: u64) -> &[u8] {
    let position = usize::try_from(position).unwrap_or(text.len());
    &text.as_bytes()[..position.min(text.len())]
}

/// A document as far as it was read.
struct Document<'a> {
    file_name: &'a str,
    open: Vec<Element>,
    has_root: bool,
    suites: Vec<JunitSuite>,
}

/// An element that is open.
enum Element {
    Suite(Box<SuiteDraft>),
    Case(Case),
    Other,
}

/// A suite whose end was not read yet.
#[derive(Default)]
struct SuiteDraft {
    name: Option<String>,
    tests: Option<u64>,
    failures: Option<u64>,
    errors: Option<u64>,
    skipped: Option<u64>,
    seconds: Option<f64>,
    has_suites: bool,
    counted: SuiteCounts,
    /// A time of a test case that is no number, which matters if the suite has none.
    bad_time: Option<JunitError>,
}

#[derive(Default)]
struct Case {
    seconds: Option<f64>,
    bad_time: Option<JunitError>,
    has_failed: bool,
    has_error: bool,
    is_skipped: bool,
}

impl Document<'_> {
    fn opens(
        &mut self,
        element: &BytesStart<'_>,
        line: impl Fn() -> usize,
    ) -> Result<(), JunitError> {
        let name = element.local_name().into_inner();
        let attribute = |wanted: &str| attribute(element, wanted, &line);
        let opened = match (self.open.last_mut(), name) {
            (None, "testsuites") if !self.has_root => Element::Suite(Box::new(SuiteDraft {
                name: attribute("name")?,
                has_suites: true,
                ..SuiteDraft::default()
            })),
            (None, "testsuite") if !self.has_root => {
                Element::Suite(Box::new(suite(element, &line)?))
            }
            (None, _) if self.has_root => {
                return Err(JunitError::Malformed {
                    line: line(),
                    problem: format!("<{name}> follows the root element"),
                });
            }
            (None, found) => {
                return Err(JunitError::Root {
                    line: line(),
                    found: found.to_owned(),
                });
            }
            (Some(Element::Suite(parent)), "testsuite") => {
                parent.has_suites = true;
                Element::Suite(Box::new(suite(element, &line)?))
            }
            (Some(Element::Suite(_)), "testcase") => {
                let time = attribute("time")?;
                let (seconds, bad_time) = match seconds(time, &line) {
                    Ok(seconds) => (seconds, None),
                    Err(error) => (None, Some(error)),
                };
                Element::Case(Case {
                    seconds,
                    bad_time,
                    ..Case::default()
                })
            }
            (Some(Element::Case(case)), name) => {
                case.has_failed |= name == "failure";
                case.has_error |= name == "error";
                case.is_skipped |= name == "skipped";
                Element::Other
            }
            _ => Element::Other,
        };
        self.has_root = true;
        self.open.push(opened);
        Ok(())
    }

    fn closes(&mut self) -> Result<(), JunitError> {
        match self.open.pop() {
            Some(Element::Suite(draft)) => {
                let suite = draft.finish(self.file_name)?;
                self.suites.extend(suite);
            }
            Some(Element::Case(case)) => {
                if let Some(Element::Suite(suite)) = self.open.last_mut() {
                    suite.counted += SuiteCounts {
                        tests: 1,
                        failures: case.has_failed.into(),
                        errors: case.has_error.into(),
                        skipped: case.is_skipped.into(),
                        seconds: case.seconds,
                    };
                    suite.bad_time = suite.bad_time.take().or(case.bad_time);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl SuiteDraft {
    /// The suite, unless it only contains others.
    fn finish(self, file_name: &str) -> Result<Option<JunitSuite>, JunitError> {
        let counted = self.counted;
        if self.has_suites && counted.tests == 0 {
            return Ok(None);
        }
        let given = |count: Option<u64>, counted| match count {
            Some(count) if !self.has_suites => count,
            _ => counted,
        };
        let seconds = match (self.seconds, self.bad_time) {
            (Some(seconds), _) if !self.has_suites => Some(seconds),
            (_, Some(error)) => return Err(error),
            _ => counted.seconds,
        };
        Ok(Some(JunitSuite {
            counts: SuiteCounts {
                tests: given(self.tests, counted.tests),
                failures: given(self.failures, counted.failures),
                errors: given(self.errors, counted.errors),
                skipped: given(self.skipped, counted.skipped),
                seconds,
            },
            name: self.name.unwrap_or_else(|| file_name.to_owned()),
        }))
    }
}

fn suite(element: &BytesStart<'_>, line: &impl Fn() -> usize) -> Result<SuiteDraft, JunitError> {
    let count = |name: &'static str| match attribute(element, name, line)? {
        None => Ok(None),
        Some(value) => value.parse().map(Some).map_err(|_| JunitError::Number {
            line: line(),
            attribute: name,
            value,
            wanted: "a whole number",
        }),
    };
    Ok(SuiteDraft {
        name: attribute(element, "name", line)?,
        tests: count("tests")?,
        failures: count("failures")?,
        errors: count("errors")?,
        skipped: count("skipped")?,
        seconds: seconds(attribute(element, "time", line)?, line)?,
        ..SuiteDraft::default()
    })
}

/// The value of an attribute; `None` if it is missing or empty.
fn attribute(
    element: &BytesStart<'_>,
    wanted: &str,
    line: &impl Fn() -> usize,
) -> Result<Option<String>, JunitError> {
    let malformed = |problem: String| JunitError::Malformed {
        line: line(),
        problem,
    };
    for attribute in element.attributes() {
        let attribute = attribute.map_err(|error| malformed(error.to_string()))?;
        if attribute.key.as_ref() == wanted {
            let value = attribute.normalized_value(XmlVersion::Implicit1_0);
            let value = value.map_err(|error| malformed(error.to_string()))?;
            let value = value.trim();
            return Ok((!value.is_empty()).then(|| value.to_owned()));
        }
    }
    Ok(None)
}

/// Reads a time in seconds. Surefire writes commas between thousands.
fn seconds(value: Option<String>, line: impl Fn() -> usize) -> Result<Option<f64>, JunitError> {
    let Some(value) = value else {
        return Ok(None);
    };
    let number = if has_thousands(&value) {
        value.replace(',', "").parse()
    } else {
        value.parse()
    };
    match number {
        Ok(number) if f64::is_finite(number) => Ok(Some(number)),
        _ => Err(JunitError::Number {
            line: line(),
            attribute: "time",
            value,
            wanted: "a number of seconds",
        }),
    }
}

/// Returns true if commas separate groups of three digits. `0,5` is another language's way to write a fraction.
fn has_thousands(value: &str) -> bool {
    let whole = value.split_once('.').map_or(value, |(whole, _)| whole);
    let mut groups = whole.split(',');
    let first = groups.next().unwrap_or_default();
    let mut others = groups.peekable();
    let is_number = |group: &str| group.bytes().all(|byte| byte.is_ascii_digit());
    others.peek().is_some()
        && (1..=3).contains(&first.len())
        && is_number(first)
        && !first.starts_with('0')
        && others.all(|group| group.len() == 3 && is_number(group))
}

fn sum(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    }
}
