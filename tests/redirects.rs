//! Redirects: followed within a gateway, where the request stays what it is.

use crate::common::{FakeServer, Finished, Sandbox};

fn push(options: &str) -> Finished {
    let line = format!("push --job j --method put {options}");
    Sandbox::new().run_with_input(&line, "m 1\n")
}

#[test]
fn within_the_gateway_the_same_request_follows() {
    for status in ["307 Temporary Redirect", "308 Permanent Redirect"] {
        for relative in [true, false] {
            let server = FakeServer::redirecting(status, |url| {
                if relative {
                    "/pre/metrics/job/j".into()
                } else {
                    format!("{url}/pre/metrics/job/j")
                }
            });
            let gateway = format!("me:s3cr%40t@{}", server.address());
            let push = push(&format!("--gateway {gateway} --header x:y"));
            assert_eq!(push.code(0).stderr(), "");
            let requests = server.requests();
            assert_eq!(requests[0].line, "PUT /metrics/job/j HTTP/1.1");
            assert_eq!(requests[1].line, "PUT /pre/metrics/job/j HTTP/1.1");
            assert_eq!(requests[0].headers, requests[1].headers);
            assert_eq!(requests[0].body, requests[1].body);
        }
    }
}

#[test]
fn no_other_is_followed() {
    let elsewhere = FakeServer::status("200 OK", "");
    let port = elsewhere.address();
    for (status, target) in [
        ("301 Moved Permanently", "/login"),
        ("302 Found", "/login"),
        ("303 See Other", "/login"),
        ("307 Temporary Redirect", &format!("http://{port}/login")),
        (
            "308 Permanent Redirect",
            &format!("http://me:s3cret%ff@{port}/login"),
        ),
        ("307 Temporary Redirect", "http://localhost:1/login"),
        ("307 Temporary Redirect", "//localhost:1/login"),
    ] {
        let server = FakeServer::redirecting(status, |_| target.into());
        let push = push(&format!("--gateway me:s3cret@{}", server.address()));
        push.code(69)
            .err(&format!("responded with {status}: it redirects to http://"))
            .err("/login, give that gateway's URL instead");
        assert!(!push.stderr().contains("s3cret"));
        assert_eq!(server.requests().len(), 1);
    }
    assert!(elsewhere.requests().is_empty());

    // Its own address, but as somebody else, or over TLS.
    let server = FakeServer::redirecting("307 Temporary Redirect", |url| {
        url.replace("http://", "http://you:s3cret@")
    });
    let run = push(&format!("--gateway {}", server.url()));
    run.code(69).err("it redirects to http://127.0.0.1");
    assert!(!run.stderr().contains("s3cret"));
    let server = FakeServer::redirecting("308 Permanent Redirect", |url| {
        url.replace("http://", "https://")
    });
    push(&format!("--gateway {}", server.url()))
        .code(69)
        .err("it redirects to https://127.0.0.1");
}

#[test]
fn an_endless_chain() {
    let server = FakeServer::status(
        "308 Permanent Redirect\r\nLocation: /again\r\nConnection: close",
        "",
    );
    push(&format!("--gateway {}", server.url()))
        .code(69)
        .err("responded with 308 Permanent Redirect: it redirects more than 5 times");
    assert_eq!(server.requests().len(), 6);
}
