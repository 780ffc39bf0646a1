//! Pages of other sites at the gateway, names that lead to it, and heads and encodings that are none.

use std::io::{Read, Write};

use crate::common::PATIENCE;
use crate::common::http;
use crate::common::own_gateway::OwnGateway;

const PATH: &str = "/metrics/job/origin";
const FOREIGN: [(&str, &str); 1] = [("Origin", "http://evil.example")];
const CORS: &str = "access-control-allow-origin";

#[track_caller]
fn status(gateway: &OwnGateway, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
    gateway.request(method, path, headers, "m 1\n").0
}

#[test]
fn changes_for_pages_of_other_sites() {
    let listeners = [&[][..], &["--web.listen-address=0.0.0.0:0"]];
    for listener in listeners {
        let allow = ["--web.enable-lifecycle", "--web.enable-admin-api"];
        let gateway = OwnGateway::alone(&[&allow, listener].concat());
        gateway.put(PATH, "m 1\n");
        for address in gateway.addresses() {
            let exchange = |method: &str, path: &str, headers: &[(&str, &str)]| {
                let answer = http::exchange(PATIENCE, address, method, path, headers, b"m 2\n");
                answer.map(|answer| (answer.status, answer.body)).unwrap()
            };
            for (method, path) in [
                ("PUT", PATH),
                ("POST", PATH),
                ("DELETE", PATH),
                ("PUT", "/api/v1/admin/wipe"),
                ("PUT", "/-/quit"),
                ("POST", "/-/quit"),
            ] {
                for origin in ["http://evil.example", "null", "http://127.0.0.1:1"] {
                    let (status, why) = exchange(method, path, &[("Origin", origin)]);
                    assert_eq!(status, 403, "{method} {path} {origin}");
                    assert!(why.contains(origin), "{why}");
                }
            }
            // Its own page may, and who looks is no matter.
            let own = format!("http://{address}");
            assert_eq!(exchange("POST", PATH, &[("Origin", &own)]).0, 200);
            gateway.put(PATH, "m 1\n");
            assert_eq!(exchange("GET", "/metrics", &FOREIGN).0, 200);
        }
        assert_eq!(gateway.value("origin", "m"), Some(1.0));
    }
}

#[test]
fn names_that_lead_to_it() {
    let foreign = [("Host", "evil.example:9091")];
    let named = [("Host", "push.example")];
    let gateway = OwnGateway::alone(&["--web.listen-address=0.0.0.0:0"]);
    let [loopback, elsewhere] = gateway.addresses() else {
        unreachable!()
    };
    for (method, path) in [
        ("GET", "/metrics"),
        ("GET", "/"),
        ("PUT", PATH),
        ("GET", "/no"),
    ] {
        let at = |address: &str, headers: &[(&str, &str)]| {
            let answer = http::exchange(PATIENCE, address, method, path, headers, b"m 1\n");
            answer.map(|answer| (answer.status, answer.body)).unwrap()
        };
        let (status, why) = at(loopback, &foreign);
        assert_eq!(status, 403, "{method} {path}");
        assert!(why.contains("--web.allowed-hosts"), "{why}");
        // It is reached there by names that it cannot know.
        assert_ne!(at(elsewhere, &foreign).0, 403, "{method} {path}");
    }
    let gateway = OwnGateway::alone(&["--web.allowed-hosts=push.example"]);
    assert_eq!(status(&gateway, "PUT", PATH, &named), 200);
    assert_eq!(status(&gateway, "PUT", PATH, &foreign), 403);
    let out = "https://push.example/x/";
    let gateway = OwnGateway::alone(&[&format!("--web.external-url={out}")]);
    let path = format!("/x{PATH}");
    assert_eq!(status(&gateway, "PUT", &path, &named), 200);
    assert_eq!(status(&gateway, "PUT", &path, &foreign), 403);
    let from_page = [("Origin", "https://push.example")];
    assert_eq!(status(&gateway, "PUT", &path, &from_page), 200);
    assert_eq!(status(&gateway, "PUT", &path, &FOREIGN), 403);
}

#[test]
fn pages_that_read_the_api() {
    let allowed = |flags: &[&str], origin: &str| {
        let gateway = OwnGateway::alone(flags);
        let mut stream = gateway.connect();
        let head = format!("GET /api/v1/status HTTP/1.0\r\nOrigin: {origin}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
        assert_eq!(status(&gateway, "PUT", PATH, &[("Origin", origin)]), 403);
        let mut lines = answer
            .lines()
            .map(|line| line.split_once(": ").unwrap_or_default());
        lines
            .find(|(name, _)| *name == CORS)
            .map(|(_, value)| value.to_owned())
    };
    let ui = "https://ui.example";
    assert_eq!(allowed(&[], ui), None);
    assert_eq!(allowed(&["--web.cors.origin=*"], ui), Some("*".into()));
    let listed = ["--web.cors.origin", "http://a", "--web.cors.origin", ui];
    assert_eq!(allowed(&listed, ui), Some(ui.into()));
    assert_eq!(allowed(&listed, "http://ui.example"), None);
}

/// The status of the answer to a request with this head, and what follows it.
#[track_caller]
fn raw(gateway: &OwnGateway, request: &str) -> u16 {
    let mut stream = gateway.connect();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    answer[9..12].parse().unwrap_or_else(|_| panic!("{answer}"))
}

#[test]
fn heads_that_are_none() {
    let gateway = OwnGateway::alone(&[]);
    for (head, body, expected) in [
        ("Host: localhost\r\nContent-Length: 4\r\n", "m 1\n", 200),
        ("Content-Length: 4\r\n", "m 1\n", 400),
        (
            "Host: localhost\r\nHost: localhost\r\nContent-Length: 4\r\n",
            "m 1\n",
            400,
        ),
        (
            "Host: localhost\r\nTransfer-Encoding: chunked\r\n",
            "4\r\nm 1\n\r\n0\r\n\r\n",
            200,
        ),
        (
            "Host: localhost\r\nTransfer-Encoding: gzip, chunked\r\n",
            "4\r\nm 1\n\r\n0\r\n\r\n",
            501,
        ),
        (
            "Host: localhost\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
            "4\r\nm 1\n\r\n0\r\n\r\n",
            501,
        ),
    ] {
        // The connection goes on unless the server ends it, which it does for what it cannot tell the end of.
        let end = if expected == 501 {
            ""
        } else {
            "Connection: close\r\n"
        };
        let request = format!("PUT {PATH} HTTP/1.1\r\n{end}{head}\r\n{body}");
        assert_eq!(raw(&gateway, &request), expected, "{request}");
    }
    assert_eq!(raw(&gateway, "GET /metrics HTTP/1.0\r\n\r\n"), 200);
}

#[test]
fn encodings() {
    let gateway = OwnGateway::alone(&[]);
    for (encoding, expected) in [
        ("", 200),
        ("identity", 200),
        ("Identity", 200),
        ("br", 415),
        ("deflate", 415),
        ("zstd", 415),
        ("gzip, gzip", 415),
        ("x-gzip", 400),
        ("gzip", 400),
    ] {
        let given = [("Content-Encoding", encoding)];
        assert_eq!(
            status(&gateway, "PUT", PATH, &given),
            expected,
            "{encoding}"
        );
    }
    let (_, why) = gateway.request("PUT", PATH, &[("Content-Encoding", "br")], "m 1\n");
    assert!(why.contains("\"br\"") && why.contains("gzip"), "{why}");
}
