//! How Grafana makes queries of a dashboard: it looks up the values of the variables, and puts what a reader has
//! chosen of them into the expressions. Read in the sources of its data source for Prometheus.

use std::collections::BTreeMap;

use serde_json::Value as Json;

/// Built-in variables for a data source that is scraped every second, and a panel with a point for each second.
const INTERVAL: &str = "1s";
const RATE_INTERVAL: &str = "10s";
const RANGE: &str = "600s";

/// Choice of a reader.
#[derive(Clone, PartialEq)]
pub enum Choice {
    One(String),
    All(Vec<String>),
    /// All, for which the dashboard has a regular expression.
    Pattern(String),
}

/// Choices by the name of the variable. One that has no values is not among them.
pub type Choices = BTreeMap<String, Choice>;

/// A query as Prometheus gets it.
pub struct SentQuery {
    /// Dashboard, panel and letter.
    pub place: String,
    pub expression: String,
    pub is_instant: bool,
    /// Seconds from one point to the next.
    pub step: u64,
    /// The panel has a text for no result.
    pub may_be_empty: bool,
}

/// The variables of a dashboard that have values.
fn variables(dashboard: &Json) -> impl Iterator<Item = &Json> {
    let list = dashboard["templating"]["list"].as_array().unwrap();
    list.iter().filter(|variable| variable["type"] == "query")
}

fn name(variable: &Json) -> &str {
    variable["name"].as_str().unwrap()
}

/// A value between the quotes of a regular expression in PromQL.
fn escaped(value: &str) -> String {
    let mut escaped = String::new();
    for c in value.chars() {
        match c {
            '\\' => escaped.push_str(r"\\\\"),
            _ if r"$^*{}[]+?.()|".contains(c) => {
                escaped.push_str(r"\\");
                escaped.push(c);
            }
            _ => escaped.push(c),
        }
    }
    escaped
}

fn shown(variable: &Json, choice: &Choice) -> String {
    match choice {
        Choice::One(value) if variable["includeAll"] == true => escaped(value),
        Choice::One(value) => value.replace('\\', r"\\"),
        Choice::All(values) if values.len() == 1 => escaped(&values[0]),
        Choice::All(values) => {
            let values: Vec<String> = values.iter().map(|value| escaped(value)).collect();
            format!("({})", values.join("|"))
        }
        Choice::Pattern(pattern) => pattern.clone(),
    }
}

/// `text` with the choices in place of their variables; `None` if one that it has is without values.
fn interpolated(dashboard: &Json, text: &str, choices: &Choices) -> Option<String> {
    let mut text = text.to_owned();
    for variable in variables(dashboard) {
        let name = name(variable);
        let forms = [format!("${{{name}}}"), format!("${name}")];
        if forms.iter().any(|form| text.contains(form)) {
            let choice = shown(variable, choices.get(name)?);
            for form in &forms {
                text = text.replace(form, &choice);
            }
        }
    }
    Some(text)
}

/// The values of a variable. `look_up` has those of a label in the series that a selector selects.
fn values(
    dashboard: &Json,
    variable: &Json,
    choices: &Choices,
    look_up: &dyn Fn(&str, &str) -> Vec<String>,
) -> Vec<String> {
    let query = variable["query"]["query"].as_str().unwrap();
    let arguments = query
        .strip_prefix("label_values(")
        .unwrap()
        .strip_suffix(')');
    let (selector, label) = arguments.unwrap().rsplit_once(", ").unwrap();
    let Some(selector) = interpolated(dashboard, selector, choices) else {
        return Vec::new();
    };
    let mut found = look_up(&selector, label);
    if let Some(pattern) = variable["regex"].as_str() {
        let suffix = pattern.strip_prefix("/(.+)").unwrap();
        let suffix = suffix.strip_suffix('/').unwrap();
        found = found
            .iter()
            .filter_map(|value| Some(value.strip_suffix(suffix)?.to_owned()))
            .collect();
    }
    found
}

/// The choices that a dashboard has at first, and then, for each value of each variable, those with that value and
/// else the first ones.
pub fn choices(dashboard: &Json, look_up: &dyn Fn(&str, &str) -> Vec<String>) -> Vec<Choices> {
    let variables: Vec<&Json> = variables(dashboard).collect();
    let mut found = Vec::new();
    extend(
        dashboard,
        &variables,
        Choices::new(),
        true,
        look_up,
        &mut found,
    );
    found
}

fn extend(
    dashboard: &Json,
    variables: &[&Json],
    chosen: Choices,
    may_vary: bool,
    look_up: &dyn Fn(&str, &str) -> Vec<String>,
    found: &mut Vec<Choices>,
) {
    let Some((variable, others)) = variables.split_first() else {
        found.push(chosen);
        return;
    };
    let values = values(dashboard, variable, &chosen, look_up);
    let mut next = |choice: Option<Choice>, may_vary: bool| {
        let mut chosen = chosen.clone();
        if let Some(choice) = choice {
            chosen.insert(name(variable).to_owned(), choice);
        }
        extend(dashboard, others, chosen, may_vary, look_up, found);
    };
    let first = match variable["allValue"].as_str() {
        Some(pattern) => Some(Choice::Pattern(pattern.to_owned())),
        None if values.is_empty() => None,
        None if variable["includeAll"] == true => Some(Choice::All(values.clone())),
        None => Some(Choice::One(values[0].clone())),
    };
    next(first, may_vary);
    // One of a variable that nobody sees is not chosen.
    if may_vary && variable["hide"] != 2 {
        for value in values {
            next(Some(Choice::One(value)), false);
        }
    }
}

/// The queries that the panels of a dashboard send.
pub fn queries(dashboard: &Json, choices: &Choices) -> Vec<SentQuery> {
    let mut sent = Vec::new();
    let mut row_repeat = None;
    for panel in dashboard["panels"].as_array().unwrap() {
        if panel["type"] == "row" {
            row_repeat = panel["repeat"].as_str();
            continue;
        }
        let repeated = panel["repeat"].as_str().or(row_repeat);
        for choices in repeated_for(repeated, choices) {
            for target in panel["targets"].as_array().unwrap() {
                let expression = target["expr"].as_str().unwrap();
                let Some(expression) = interpolated(dashboard, expression, &choices) else {
                    continue;
                };
                let (interval, step) = match panel["interval"].as_str() {
                    None => (INTERVAL, 1),
                    Some(interval) => {
                        assert_eq!(interval, "1d", "{panel}");
                        (interval, 24 * 3600)
                    }
                };
                sent.push(SentQuery {
                    place: format!(
                        "{} {} {} {}",
                        dashboard["title"], panel["id"], panel["title"], target["refId"]
                    ),
                    expression: expression
                        .replace("$__rate_interval", RATE_INTERVAL)
                        .replace("$__range", RANGE)
                        .replace("$__interval", interval),
                    is_instant: target["instant"].as_bool().unwrap(),
                    step,
                    may_be_empty: !panel["fieldConfig"]["defaults"]["noValue"].is_null(),
                });
            }
        }
    }
    sent
}

/// The choices for each repetition of a panel.
fn repeated_for(variable: Option<&str>, choices: &Choices) -> Vec<Choices> {
    let Some(variable) = variable else {
        return vec![choices.clone()];
    };
    match choices.get(variable) {
        Some(Choice::All(values)) => values
            .iter()
            .map(|value| {
                let mut choices = choices.clone();
                choices.insert(variable.to_owned(), Choice::One(value.clone()));
                choices
            })
            .collect(),
        Some(_) => vec![choices.clone()],
        None => Vec::new(),
    }
}
