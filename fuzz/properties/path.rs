//! A path that names a group is written again as one that every client and gateway takes for the same.

use metricsjob_gateway::group_path::{self, PathError};
use metricsjob_metrics::Names;
use metricsjob_metrics::path;
use metricsjob_metrics::text::Limits;
use url::Url;

/// As little as an input of some bytes may have too much of.
const LIMITS: Limits = Limits {
    max_labels: 4,
    max_label_value_bytes: 10,
    max_name_bytes: 10,
    max_series: usize::MAX,
};

pub fn check(input: &[u8]) {
    let Ok(input) = str::from_utf8(input) else {
        return;
    };
    // Whatever begins otherwise names no group.
    let decoded = match group_path::decode(&format!("/metrics/job{input}")) {
        Ok(decoded) => decoded,
        Err(error) => return is_short(&error),
    };
    if !group_path::names_group(&decoded) {
        return;
    }
    check_names(&decoded, Names::Legacy);
    check_names(&decoded, Names::Utf8);
}

fn check_names(decoded: &str, names: Names) {
    let within = group_path::parse(decoded, &LIMITS, names);
    let key = match group_path::parse(decoded, &Limits::default(), names) {
        Ok(key) => key,
        Err(error) => {
            is_short(&error);
            return is_short(&within.expect_err("what is wrong without a limit, too"));
        }
    };
    match within {
        Ok(within) => assert_eq!(within, key),
        Err(PathError::TooMany { .. } | PathError::TooLong(_)) => {}
        Err(error) => panic!("{error}"),
    }

    let written = path::group_path(&key);
    let decoded = group_path::decode(&written).expect("what was written");
    assert!(group_path::names_group(&decoded), "{written}");
    assert_eq!(
        group_path::parse(&decoded, &Limits::default(), names),
        Ok(key)
    );
    // URL libraries leave it as it is.
    let url = Url::parse(&format!("http://gateway{written}")).expect("a URL");
    assert_eq!(url.path(), written);
}

fn is_short(error: &PathError) {
    assert!(error.to_string().len() < 1000, "{error}");
}
