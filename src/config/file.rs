//! Reads one config file.

use std::io::{self, Read};
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::receiver::Receivers;
use super::settings::{SETTINGS, SettingSpec, ValueKind};
use super::{Given, HostConfig};
use crate::job::file::{Key, Reader, SharedKeys, Value};
use crate::job::suggest;
use metricsjob_system::{files, trust};

/// A larger file is no config file.
const MAX_BYTES: u64 = 128 * 1024;

/// Reads the text of a config file. As root it must be one that nobody else can change.
pub fn read(path: &Path) -> io::Result<String> {
    let file = files::open_to_read(path)?;
    trust::check_for_root(path)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        let problem = format!("it is larger than {MAX_BYTES} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
    }
    let text = String::from_utf8(bytes);
    text.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

/// Puts what the file says over `config`, and notes what is wrong.
pub fn parse(text: &str, path: &Path, config: &mut HostConfig) {
    let mut reader = Reader {
        text,
        shown: path,
        problems: Vec::new(),
    };
    let (table, errors) = DeTable::parse_recoverable(text);
    if let Some(error) = errors.first() {
        let span = error.span().unwrap_or(0..0);
        let problem = format!("{}; the file is ignored", error.message().trim_end());
        reader.problem(span, problem);
        config.is_incomplete = true;
    } else {
        let mut shared = SharedKeys::default();
        for (key, value) in table.get_ref() {
            reader.config_key("", key, value, config, &mut shared);
        }
        shared.finish(&mut config.defaults);
        let problems = config.defaults.grouping.take_problems();
        let problems = problems.into_iter().map(|problem| {
            let problem = format!(
                "{}: grouping.{problem}; the label is left out",
                path.display()
            );
            (text.len(), problem)
        });
        reader.problems.extend(problems);
    }
    reader.problems.sort();
    let problems = reader.problems.into_iter().map(|(_, problem)| problem);
    config.problems.extend(problems);
}

impl<'a> Reader<'a> {
    fn config_key(
        &mut self,
        section: &str,
        key: &Key<'a>,
        value: &Value<'a>,
        config: &mut HostConfig,
        shared: &mut SharedKeys,
    ) {
        let name = key.get_ref().as_ref();
        let is_here = |setting: &&SettingSpec| setting.section == section && setting.is_in_config();
        let here = SETTINGS.iter().filter(is_here);
        let sections = SETTINGS.iter().map(|setting| setting.section);
        if section.is_empty() && !name.is_empty() && sections.clone().any(|known| known == name) {
            for (key, value) in self.table(key, value) {
                self.config_key(name, key, value, config, shared);
            }
            return;
        }
        let Some(setting) = here.clone().find(|setting| setting.name == name) else {
            let mut known: Vec<&str> = here.map(|setting| setting.name).collect();
            if section.is_empty() {
                known.extend(sections.filter(|section| !section.is_empty()));
                known.dedup();
            }
            let hint = suggest::hint(name, known);
            self.problem(
                key.span(),
                format!("unknown key {name:?}{hint}; it is ignored"),
            );
            return;
        };
        let before = self.problems.len();
        if setting.is_default_of_jobs() {
            self.shared_key(key, value, &mut config.defaults, shared);
        }
        if setting.kind == ValueKind::Receivers {
            let receivers = self.receivers(key, value);
            let mut problems = self.problems.split_off(before);
            problems.sort();
            let problems = problems.into_iter().map(|(_, problem)| problem).collect();
            config.receivers = Receivers {
                receivers,
                problems,
            };
        }
        let text = match setting.kind {
            ValueKind::Labels => None,
            ValueKind::Receivers => Some(config.receivers.names()),
            kind if self.problems.len() == before => self.text_of(kind, key, value),
            _ => None,
        };
        for (_, problem) in &mut self.problems[before..] {
            problem.push_str("; it is ignored");
        }
        if self.problems.len() > before {
            return;
        }
        let place = self.place(key.span().start);
        config.give(Given {
            setting,
            text: text.unwrap_or_default(),
            place: place.trim_end_matches(':').to_owned(),
        });
    }

    /// A value as a variable would have it.
    fn text_of(&mut self, kind: ValueKind, key: &Key<'a>, value: &Value<'a>) -> Option<String> {
        let text = match (value.get_ref(), kind) {
            (DeValue::String(text), _) => text.to_string(),
            (DeValue::Boolean(boolean), ValueKind::Boolean | ValueKind::Instance) => {
                boolean.to_string()
            }
            (DeValue::Integer(number), ValueKind::Count(_)) => number.to_string(),
            (DeValue::Float(number), ValueKind::Share) => number.as_str().to_owned(),
            (DeValue::Integer(number), ValueKind::Share) => number.to_string(),
            (
                DeValue::Array(_),
                ValueKind::List | ValueKind::Notify | ValueKind::Targets | ValueKind::Rules,
            ) => {
                let elements = self.array(key, value, "a list of strings")?;
                let elements: Option<Vec<String>> =
                    elements.map(|element| self.string(key, element)).collect();
                elements?.join(if kind == ValueKind::Rules { "\n" } else { "," })
            }
            (_, ValueKind::Boolean) => return self.boolean(key, value).map(|_| String::new()),
            (_, ValueKind::Count(_)) => {
                self.wrong_type(key, value, "a whole number");
                return None;
            }
            (_, ValueKind::Share) => {
                self.wrong_type(key, value, "a number");
                return None;
            }
            (_, ValueKind::List | ValueKind::Rules) => {
                self.wrong_type(key, value, "a string or a list of strings");
                return None;
            }
            _ => return self.string(key, value),
        };
        let result = kind.check(&text);
        self.checked(key.get_ref(), value.span(), &text, result)?;
        Some(text)
    }
}
