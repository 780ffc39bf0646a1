//! Flags that change what a gateway does.

use crate::common::http::exchange;
use crate::common::{PATIENCE, Server};

use super::pair::beside;
use super::request::{delete, get, post, put, request, wipe};

#[test]
fn a_wipe_needs_its_flag() {
    for server in [Server::pushgateway(&[]), Server::gateway(&[])] {
        assert_eq!(server.request("PUT", "/api/v1/admin/wipe", "").0, 404);
    }
}

#[test]
fn the_end_with_its_flag() {
    for method in ["PUT", "POST"] {
        let flags = ["--web.enable-lifecycle"];
        let (status, body) = Server::gateway(&flags).request(method, "/-/quit", "");
        assert_eq!(status, 200);
        // A Pushgateway does not wait for its answer to be sent: now and then it ends first.
        let real = (0..5).find_map(|_| {
            let real = Server::pushgateway(&flags);
            exchange(PATIENCE, real.address(), method, "/-/quit", &[], b"").ok()
        });
        let real = real.unwrap();
        assert_eq!((real.status, real.body), (status, body));
    }
}

#[test]
fn a_wipe_leaves_nothing_of_any_group() {
    beside(&[], |pair| {
        pair.sequences([[
            put("job/a", "m 1\n"),
            put("job/b/x/1", "m 1\n"),
            put("job/c", "m 1 1\n"),
            wipe(),
            post("job/a", "n 1\n"),
        ]]);
    });
}

#[test]
fn pushes_without_the_check() {
    beside(&["--push.disable-consistency-check"], |pair| {
        pair.sequences([[
            put("job/a", "m 1\n"),
            post("job/a", "n 1\n"),
            put("job/b", "m{"),
            put("job/a/x", "m 1\n"),
            delete("job/a"),
            post("job/c", "m 1\n"),
        ]]);
    });
}

#[test]
fn another_path_of_the_metrics() {
    let flags = ["--web.telemetry-path=/m"];
    let (real, ours) = (Server::pushgateway(&flags), Server::gateway(&flags));
    for request in [
        put("job/a", "m 1\n"),
        get("/m"),
        get("/metrics"),
        request("GET", "/m/", ""),
    ] {
        let [real, ours] = [&real, &ours].map(|server| {
            server
                .exchange(request.method, &request.path, &[], &request.body)
                .status
        });
        assert_eq!(real, ours, "{request:?}");
    }
}
