//! Every method on every path.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::pair::beside;
use super::request::{put, request};
use crate::common::Server;

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

#[test]
fn what_pages_say_of_themselves() {
    // Without the flag ours lets no page of another origin read anything, see `differences`.
    let (real, ours) = (
        Server::pushgateway(&[]),
        Server::gateway(&["--web.cors.origin=*"]),
    );
    for (method, path) in [
        ("GET", "/metrics"),
        ("GET", "/api/v1/metrics"),
        ("GET", "/api/v1/status"),
        ("OPTIONS", "/api/v1/metrics"),
        ("GET", "/-/healthy"),
        ("GET", "/-/ready"),
        ("GET", "/status"),
    ] {
        let headers = |server: &Server| {
            let mut headers = server.exchange(method, path, &[], b"").headers;
            headers.retain(|name, value| {
                *value = value.replace("; ", ";").to_lowercase();
                name == "content-type" || name.starts_with("access-control-")
            });
            headers
        };
        assert_eq!(headers(&real), headers(&ours), "{method} {path}");
    }
}

#[test]
fn the_parts_of_the_status() {
    beside(&[], |pair| {
        // What is in them is each server's own.
        let keys = |server: &Server, of: &str| -> BTreeSet<String> {
            let status: Json = serde_json::from_str(&server.get("/api/v1/status")).unwrap();
            let parts = status.pointer(of).unwrap().as_object().unwrap();
            parts.keys().cloned().collect()
        };
        for of in ["", "/data"] {
            assert_eq!(keys(&pair.real, of), keys(&pair.ours, of), "{of}");
        }
    });
}
