//! A path that names a group is written again as one that every client and gateway takes for the same.

use metricsjob::gateway::group_path::{self, PathError};
use metricsjob::metrics::Names;
use metricsjob::push::path;
use url::Url;

/// As few as an input of some bytes may have too many of.
const MAX_LABELS: usize = 4;

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
    let within = group_path::parse(decoded, MAX_LABELS, names);
    let key = match group_path::parse(decoded, usize::MAX, names) {
        Ok(key) => key,
        Err(error) => {
            is_short(&error);
            return is_short(&within.expect_err("what is wrong without a limit, too"));
        }
    };
    match within {
        Ok(within) => assert_eq!(within, key),
        Err(PathError::TooMany { .. }) => {}
        Err(error) => panic!("{error}"),
    }

    let written = path::group_path(&key);
    let decoded = group_path::decode(&written).expect("what was written");
    assert!(group_path::names_group(&decoded), "{written}");
    assert_eq!(
        group_path::parse(&decoded, key.labels().len(), names),
        Ok(key)
    );
    // URL libraries leave it as it is.
    let url = Url::parse(&format!("http://gateway{written}")).expect("a URL");
    assert_eq!(url.path(), written);
}

fn is_short(error: &PathError) {
    assert!(error.to_string().len() < 1000, "{error}");
}
