//! Labels and grouping keys.

use maud::{Markup, html};

use metricsjob_metrics::GroupingKey;
use metricsjob_metrics::text::encode;
use metricsjob_web::page::text::{cut, visible};

/// Maximum number of labels shown of a series or group.
const LABELS: usize = 30;

/// Returns the labels as chips, each `name="value"`.
pub fn chips<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> Markup {
    let mut labels = labels.enumerate().peekable();
    html! {
        span .chips {
            @while let Some((_, (name, value))) = labels.next_if(|(index, _)| *index < LABELS) {
                " " bdi .chip dir="ltr" { (cut(&label(name, value))) }
            }
            @let more = labels.count();
            @if more > 0 { " and " (more) " more" }
        }
    }
}

/// Returns a complete grouping key: `job="…",db="…"`. A label with right-to-left text does not move any
/// other.
pub fn whole(key: &GroupingKey) -> Markup {
    html! {
        bdi dir="ltr" { (visible(&label("job", key.job()))) }
        @for (name, value) in key.labels() {
            "," bdi dir="ltr" { (visible(&label(name, value))) }
        }
    }
}

fn label(name: &str, value: &str) -> String {
    let mut out = String::new();
    encode::label(&mut out, name, value);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_escaped_cannot_be_written() {
        assert_eq!(visible(&label("a", "\u{202e}")), r#"a="\u{202e}""#);
        assert_eq!(visible(&label("a", r"\u{202e}")), r#"a="\\u{202e}""#);
    }
}
