//! Labels and grouping keys.

use maud::{Markup, html};

use metricsjob_metrics::GroupingKey;
use metricsjob_metrics::text::encode;
use metricsjob_web::page::text::{cut, visible};

/// How many labels of one series or group are shown.
const LABELS: usize = 30;

/// Labels as chips, each `name="value"`.
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

/// All of a grouping key: `job="…",db="…"`. Where a label is written from right to left, it moves no
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
