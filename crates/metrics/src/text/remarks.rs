//! Changes to a text on its way into a push, none of which is an error.

use crate::excerpt;

/// Differences between a text and the push that is made of it. Nothing is lost in silence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remarks {
    /// Families with HELP, TYPE or UNIT, and no samples.
    pub(super) without_samples: Vec<String>,
    /// Families whose samples have a suffix that only OpenMetrics knows: the declared name and that of the samples.
    pub(super) misnamed: Vec<[String; 2]>,
    /// Samples of summaries and histograms that are not there, and that a gateway has as 0.
    pub(super) made_up: Vec<String>,
    /// Families whose `_created` samples are left out.
    pub(super) created: Vec<String>,
    /// Families whose exemplars are left out.
    pub(super) exemplars: Vec<String>,
}

/// How many names are listed.
const LISTED: usize = 10;

impl Remarks {
    /// One line for each kind of difference.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for [declared, sample] in &self.misnamed {
            lines.push(format!(
                "HELP and TYPE of {} are left out: they must name its samples, {} \
                 (only OpenMetrics, whose last line is # EOF, has them as here)",
                excerpt::word(declared),
                excerpt::word(sample)
            ));
        }
        // What is wrong with one of them is mostly wrong with all.
        if lines.len() > LISTED {
            let more = lines.len() - LISTED;
            lines.truncate(LISTED);
            lines.push(format!(
                "HELP and TYPE of {more} more are left out for that"
            ));
        }
        let mut add = |names: &[String], line: &dyn Fn(String) -> String| {
            if !names.is_empty() {
                lines.push(line(list(names)));
            }
        };
        add(&self.without_samples, &|names| {
            format!("there are no samples of {names}, so HELP and TYPE are left out")
        });
        add(&self.made_up, &|names| {
            format!("the text does not have {names}, and a gateway shows 0 for that")
        });
        let left_out = [
            ("the times of creation", &self.created),
            ("the exemplars", &self.exemplars),
        ];
        let left_out: Vec<String> = left_out
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(what, names)| format!("{what} of {}", list(names)))
            .collect();
        if !left_out.is_empty() {
            let left_out = left_out.join(", and ");
            lines.push(format!("{left_out} are left out: no gateway keeps them"));
        }
        lines
    }
}

fn list(names: &[String]) -> String {
    let listed = names.iter().take(LISTED).map(|name| excerpt::word(name));
    let listed = listed.collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(LISTED) {
        0 => listed,
        more => format!("{listed} and {more} more"),
    }
}
