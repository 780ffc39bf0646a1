//! Every method on every path.

use super::pair::beside;
use super::request::{put, request};

const METHODS: [&str; 10] = [
    "GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "get",
];

#[test]
fn every_method_of_every_page() {
    beside(&[], |pair| {
        for path in [
            "/metrics/job/a",
            "/metrics/job/a/x/1",
            "/metrics/job/a/x",
            "/metrics/job@base64/YQ",
            "/metrics",
            "/api/v1/metrics",
            "/api/v1/status",
            "/api/v1/admin/wipe",
            "/-/healthy",
            "/-/ready",
            "/-/x",
            "/api/v2/metrics",
            "/nothing",
            "/status",
            "/",
        ] {
            pair.sequences(
                METHODS.map(|method| [put("job/b", "n 1\n"), request(method, path, "m 1\n")]),
            );
        }
    });
}

#[test]
fn the_end_without_its_flag() {
    beside(&[], |pair| {
        for method in ["PUT", "POST"] {
            pair.sequences([[request(method, "/-/quit", "")]]);
        }
    });
}
