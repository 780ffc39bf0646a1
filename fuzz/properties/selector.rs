//! A selector that is accepted selects less than everything, and its mistakes are short and within the text.

use metricsjob_metrics::selector::{group_selectors, series_selectors};

pub fn check(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else {
        return;
    };
    let selector = match series_selectors(&[text]) {
        Ok(mut selectors) => selectors.remove(0),
        Err(error) => {
            assert!(error.to_string().len() < 1000, "{error}");
            assert!(
                (1..=text.chars().count() + 1).contains(&error.position),
                "{error}"
            );
            assert_eq!(group_selectors(&[text]).unwrap_err(), error);
            return;
        }
    };
    assert_eq!(selector.judge(&|_| Some("")), Some(false));
    // As soon as a value is known not to match, others do not matter.
    for value in ["", "a", "ci", "feature/a\nb", text] {
        let all = selector.judge(&|_| Some(value));
        assert!(all.is_some());
        for known in ["job", "__name__", "a"] {
            let some = selector.judge(&|label| (label == known).then_some(value));
            assert!(some.is_none() || some == Some(false) || some == all);
            assert!(some != Some(false) || all == Some(false));
        }
    }
    assert_eq!(selector.is_by_name(), group_selectors(&[text]).is_err());
    // It is written as it was read.
    let again = series_selectors(&[selector.to_string()]).expect("the same text");
    assert_eq!(again[0].to_string(), text);
}
