//! Rules as they are written: `job="web" without (instance) gauges max`.

use std::fmt;
use std::str::FromStr;

use crate::selector::{Selector, SelectorError, group_selectors};
use crate::{Labels, REMAINDER, is_label_name};

/// Which series are summed, and the labels that their sum does not have.
#[derive(Debug, Clone)]
pub struct AggregationRule {
    text: String,
    selector: Selector,
    without: Vec<String>,
    gauges: Gauges,
}

/// Value that stands for several gauges, or several values without a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Gauges {
    /// Their sum.
    Sum,
    /// The largest one.
    Max,
    /// The smallest one.
    Min,
    /// The value of the group with the newest push.
    #[default]
    Last,
}

/// A rule that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// A mistake in the matchers.
    #[error(transparent)]
    Selector(#[from] SelectorError),
    /// No `without`, or nothing behind it.
    #[error(
        "\"{0}\" does not say which labels the sum is without: end it with such as without (instance)"
    )]
    NoLabels(String),
    /// A label that cannot be one.
    #[error("{0:?} is no name of a label")]
    NoLabelName(String),
    /// A label that each sum has.
    #[error("the label {0} cannot be removed: each series of a gateway has it")]
    Kept(&'static str),
    /// Anything else behind the labels.
    #[error(
        "{0:?} follows the labels, where only gauges sum, gauges max, gauges min or gauges last can be"
    )]
    UnknownEnd(String),
    /// A rule that selects by a label that a rule removes.
    #[error(
        "the rule {rule:?} selects by the label {label}, which a rule removes: then it is not clear which series belong to \
         the sum"
    )]
    SelectedAndRemoved {
        /// The rule that selects.
        rule: String,
        /// The label.
        label: String,
    },
}

impl AggregationRule {
    /// Returns the selector of the series.
    pub fn selector(&self) -> &Selector {
        &self.selector
    }

    /// Returns the labels that a sum does not have.
    pub fn without(&self) -> impl Iterator<Item = &str> {
        self.without.iter().map(String::as_str)
    }

    /// Returns what becomes of several gauges.
    pub fn gauges(&self) -> Gauges {
        self.gauges
    }

    /// Returns the labels that a sum has of these. Empty ones are equivalent to none.
    pub fn reduced(&self, labels: &Labels) -> Labels {
        let removed = |name: &str| name == REMAINDER || self.without().any(|it| it == name);
        let labels = labels
            .iter()
            .filter(|(name, value)| !removed(name) && !value.is_empty());
        labels.collect()
    }
}

impl FromStr for AggregationRule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let text = text.trim();
        let no_labels = || RuleError::NoLabels(text.to_owned());
        let (matchers, rest) = split_at_without(text).ok_or_else(no_labels)?;
        let selector = match matchers.trim_end() {
            braced if braced.starts_with('{') => group_selectors(&[braced])?,
            matchers => group_selectors(&[format!("{{{matchers}}}")])?,
        };
        let (labels, end) = (rest.trim_start().strip_prefix('('))
            .and_then(|rest| rest.split_once(')'))
            .ok_or_else(no_labels)?;
        let labels = labels.split(',').map(str::trim);
        let without: Vec<String> = labels
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        if without.is_empty() {
            return Err(no_labels());
        }
        if let Some(name) = without.iter().find(|name| !is_label_name(name)) {
            return Err(RuleError::NoLabelName(name.clone()));
        }
        for kept in ["job", REMAINDER] {
            if without.iter().any(|name| name == kept) {
                return Err(RuleError::Kept(kept));
            }
        }
        let words: Vec<&str> = end.split_whitespace().collect();
        let gauges = match words[..] {
            [] => Gauges::default(),
            ["gauges", "sum"] => Gauges::Sum,
            ["gauges", "max"] => Gauges::Max,
            ["gauges", "min"] => Gauges::Min,
            ["gauges", "last"] => Gauges::Last,
            _ => return Err(RuleError::UnknownEnd(words.join(" "))),
        };
        let selector = selector.into_iter().next().ok_or_else(no_labels)?;
        Ok(AggregationRule {
            text: text.to_owned(),
            selector,
            without,
            gauges,
        })
    }
}

/// Splits at the word `without` that is in no quotes.
fn split_at_without(text: &str) -> Option<(&str, &str)> {
    const WORD: &str = "without";
    let mut quote = None;
    let mut is_escaped = false;
    let mut found = None;
    for (at, symbol) in text.char_indices() {
        match (quote, symbol) {
            (Some(_), _) if is_escaped => is_escaped = false,
            (Some('"' | '\''), '\\') => is_escaped = true,
            (Some(open), symbol) if open == symbol => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(symbol),
            (None, _) => {
                let before = text[..at].chars().next_back();
                let is_word =
                    before.is_none_or(|before| before.is_whitespace() || "}\"'`".contains(before));
                if is_word
                    && let Some(rest) = text[at..].strip_prefix(WORD)
                    && rest.trim_start().starts_with('(')
                {
                    found = Some((&text[..at], rest));
                }
            }
        }
    }
    found
}

/// The rule as it was written.
impl fmt::Display for AggregationRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Aggregation;
    use super::*;

    fn rule(text: &str) -> AggregationRule {
        text.parse()
            .unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn rules() {
        for (text, without, gauges) in [
            (
                r#"job="web" without (instance)"#,
                &["instance"][..],
                Gauges::Last,
            ),
            (
                r#"{job="web"} without(instance,pod) gauges sum"#,
                &["instance", "pod"],
                Gauges::Sum,
            ),
            (
                " job=~\"a|b\",env!=\"x\"\twithout ( pod , )  gauges   max ",
                &["pod"],
                Gauges::Max,
            ),
            (
                r#"job='without (x)' without (y) gauges min"#,
                &["y"],
                Gauges::Min,
            ),
            (
                r#"job="a\" without (x)" without (y) gauges last"#,
                &["y"],
                Gauges::Last,
            ),
            (r"job=`a\` without (y)", &["y"], Gauges::Last),
            (r#"job="x",without="1"without (y)"#, &["y"], Gauges::Last),
        ] {
            let rule = rule(text);
            assert_eq!(rule.without().collect::<Vec<_>>(), without, "{text}");
            assert_eq!(rule.gauges, gauges, "{text}");
            assert_eq!(rule.to_string(), text.trim());
        }
    }

    #[test]
    fn mistakes() {
        for (text, error) in [
            (
                "",
                "\"\" does not say which labels the sum is without: end it with such as without (instance)",
            ),
            (r#"job="web""#, "does not say which labels"),
            (r#"job="web" without"#, "does not say which labels"),
            (r#"job="web" without ()"#, "does not say which labels"),
            (r#"job="web" without (a"#, "does not say which labels"),
            ("without (instance)", "it selects everything"),
            (r#"job= without (instance)"#, "expected"),
            (r#"up{job="web"} without (instance)"#, "expected"),
            (
                r#"{__name__="up",job="web"} without (instance)"#,
                "groups have labels, but no metric name",
            ),
            (
                r#"job="web" without (a-b)"#,
                "\"a-b\" is no name of a label",
            ),
            (
                r#"job="web" without (job)"#,
                "the label job cannot be removed: each series of a gateway has it",
            ),
            (
                r#"job="web" without (a) gauges avg"#,
                "\"gauges avg\" follows the labels",
            ),
            (r#"job="web" without (a) b"#, "\"b\" follows the labels"),
        ] {
            let refused = text.parse::<AggregationRule>().unwrap_err().to_string();
            assert!(refused.contains(error), "{text}: {refused}");
        }
        for texts in [
            [r#"job="a",b="1" without (b)"#, r#"job="c" without (d)"#],
            [r#"job="c",d="1" without (b)"#, r#"job="c" without (d)"#],
        ] {
            let error = Aggregation::new(texts.map(rule).into())
                .unwrap_err()
                .to_string();
            assert!(error.contains("selects by the label "), "{error}");
        }
    }

    #[test]
    fn labels_of_a_sum() {
        let rule = rule(r#"job="web" without (instance, pod)"#);
        let labels = Labels::from([
            ("code", "200"),
            ("empty", ""),
            ("instance", "a"),
            ("job", "web"),
            (REMAINDER, "job"),
            ("pod", "b"),
        ]);
        let expected = Labels::from([("code", "200"), ("job", "web")]);
        assert_eq!(rule.reduced(&labels), expected);
    }
}
