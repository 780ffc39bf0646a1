//! Differences between a text and the push made of it, none of which is an error.

use crate::excerpt;

/// Differences between a text and the push made of it, so that nothing is lost silently.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remarks {
    /// Families with HELP, TYPE or UNIT, but without samples.
    pub(super) without_samples: Vec<String>,
    /// Families declared as in OpenMetrics, without the suffix of their samples: the declared name, and the samples'.
    pub(super) misnamed: Vec<[String; 2]>,
    /// Missing samples of summaries and histograms, which a gateway shows as 0.
    pub(super) made_up: Vec<String>,
    /// Families whose `_created` samples are dropped.
    pub(super) created: Vec<String>,
    /// Families whose exemplars are dropped.
    pub(super) exemplars: Vec<String>,
}

/// Most names listed in one message.
const LISTED: usize = 10;

impl Remarks {
    /// Returns messages for the user: one for each misnamed family, up to a limit, and one for each other kind of
    /// difference.
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
        // A mistake in one of them is mostly repeated in all.
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
