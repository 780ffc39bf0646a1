//! Which group a path names, if it names one.

use super::pair::beside;
use super::request::{delete, get, post, put, request};

#[test]
fn pushes() {
    beside(&[], |pair| {
        pair.sequences(
            PATHS
                .iter()
                .map(|path| [put(path, "m 1\n"), post(path, "n 1\n")]),
        );
    });
}

#[test]
fn deletions() {
    beside(&[], |pair| {
        pair.sequences(PATHS.iter().map(|path| [put(path, "m 1\n"), delete(path)]));
        // Of a group that is not there.
        pair.sequences(
            PATHS
                .iter()
                .map(|path| [put("job/other", "m 1\n"), delete(path)]),
        );
    });
}

#[test]
fn a_bad_path_counts_before_a_bad_body() {
    beside(&[], |pair| {
        pair.sequences(PATHS.iter().map(|path| [put(path, "m{")]));
        pair.sequences(PATHS.iter().map(|path| [put(path, "m 1 1\n")]));
    });
}

#[test]
fn a_job_that_is_no_base64() {
    for path in [
        "job@base64/a+",
        "job@base64/Y",
        "job@base64/!!",
        "job@base64/a+/x/1",
    ] {
        for method in ["PUT", "POST", "DELETE"] {
            // The real one can be asked only once: see the differences.
            beside(&[], |pair| {
                pair.send(&put("job/other", "m 1\n"));
                pair.send(&request(method, &format!("/metrics/{path}"), "m 1\n"));
                pair.compare();
            });
        }
    }
}

#[test]
fn the_order_of_labels_does_not_count() {
    beside(&[], |pair| {
        pair.sequences([[put("job/a/x/1/y/2", "m 1\n"), put("job/a/y/2/x/1", "n 1\n")]]);
    });
}

#[test]
fn paths_of_no_group_are_not_found() {
    beside(&[], |pair| {
        for path in ["jobs/a", "job", "jobbase64/a", "job@base63/a", "x"] {
            pair.sequences([[
                put(path, "m 1\n"),
                delete(path),
                get(&format!("/metrics/{path}")),
            ]]);
        }
    });
}

#[test]
fn reads_with_slashes_too_many_are_redirected() {
    beside(&[], |pair| {
        for path in [
            "/metrics/",
            "//metrics",
            "/api//v1/metrics",
            "/-/healthy/",
            "/status/",
        ] {
            let [real, ours] = [&pair.real, &pair.ours]
                .map(|server| server.exchange("GET", path, &[], b""))
                .map(|answer| (answer.status, answer.headers.get("location").cloned()));
            assert_eq!(real, ours, "{path}");
            assert_eq!(real.0, 301, "{path}");
        }
    });
}

const PATHS: &[&str] = &[
    "job/a",
    "job/a/",
    "job/a/x/1",
    "job/a/x/1/",
    "job/a/x",
    "job/a/x/",
    "job/a/x/1/y",
    "job/a/x/1/y/",
    "job/a%20b",
    "job/a+b",
    "job/a%2Fx/1",
    "job/a%2fx%2f1",
    "job%2Fa",
    "job/a%25",
    "job/a%2525",
    "job/a%3Fx",
    "job/a%23x",
    "job/a%00",
    "job/a;b",
    "job/a=b&c",
    "job/a:80",
    "job/*",
    "job/:job",
    "job/...",
    "job/a.",
    "job/.a/x/1",
    "job/a/x/%E2%9C%93",
    "job/a/x/1?y=2",
    "job/a?",
    "job/a/x/1/x/2",
    "job/a/x/2/y/3/x/1",
    "job/a/job/b",
    "job/a/job/",
    "job/a/job@base64/!",
    "job/a/instance/",
    "job/a/instance/i",
    "job/a/instance/%20",
    "job/a/instance@base64/=",
    "job@base64/YS9i",
    "job@base64/YS9i/x@base64/YS9i",
    "job@base64/YQ==",
    "job@base64/YQ=",
    "job@base64/YQ",
    "job@base64/YQ%3D%3D",
    // Bits are left over.
    "job@base64/YR",
    "job@base64/=",
    "job@base64/==",
    "job@base64/4pyT",
    "job/a/x@base64/4pyT",
    "job/a/x@base64/=",
    "job/a/x@base64/",
    "job/a/x@base64/!!",
    "job/a/x@base64/a+b_",
    "job/a/x@base64/YQ%3D%3D",
    "job/a/x@base64/Y=Q",
    "job/a/x@base64/Y%0AQ",
    "job/a/x@base64/YQ%0A",
    "job/a/x@base64/YQ/x/1",
    "job/a/x@base64@base64/YQ",
    "job/a/__x/1",
    "job/a/__name__/1",
    "job/a/_x/1",
    "job/a/x-y/1",
    "job/a/1x/1",
    "job/a/%C3%A4/1",
    "job/a/x:y/1",
    "job/a/@base64/YQ",
    "job/a/x@base65/YQ",
    "job/a/le/1",
    "job/a/quantile/1",
    "job/a/x/%0A",
    "job/a/x/%22%5C",
    "job/a/x/a.b",
    "job/a/U__foo_2e_bar/1",
    "job/%",
    "job/%zz",
];
