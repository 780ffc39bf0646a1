//! The API under real requests.

use std::io::Write;
use std::net::TcpStream;

use examples_harness::{Program, Signal};

const PROGRAM: &str = env!("CARGO_BIN_EXE_random-api");

#[test]
fn a_third_of_each() {
    let api = Program::start(PROGRAM, &[]);
    assert_eq!(api.value("request_count_total"), Some(0.0));
    assert_eq!(api.value("request_error_count_total"), Some(0.0));
    let mut counts = [0; 3];
    for _ in 0..300 {
        let response = api.get("/");
        assert_eq!(response.status, 200);
        let all = ["OK", "Normal", "Error"];
        let text = response.text();
        counts[all.iter().position(|known| *known == text).unwrap()] += 1;
    }
    // Six standard deviations of 8.2 around 100.
    assert!(
        counts.iter().all(|count| (51..150).contains(count)),
        "{counts:?}"
    );
    assert_eq!(api.value("request_count_total"), Some(300.0));
    assert_eq!(
        api.value("request_error_count_total"),
        Some(f64::from(counts[2]))
    );
    api.terminate();
}

#[test]
fn bad_requests() {
    let api = Program::start(PROGRAM, &[]);
    for path in ["/unknown", "/metrics/", "//", "/%00", "/..%2f"] {
        assert_eq!(api.get(path).status, 404, "{path}");
    }
    for (path, method) in [("/", "POST"), ("/", "BREW"), ("/metrics", "PUT")] {
        let response = api.request(method, path, &[], b"body");
        assert_eq!(response.status, 405, "{method} {path}");
        assert!(response.header("allow").unwrap().contains("GET"));
    }
    assert_eq!(api.value("request_count_total"), Some(0.0));
    assert_eq!(api.request("HEAD", "/", &[], b"").status, 200);
    assert_eq!(api.value("request_count_total"), Some(1.0));
}

#[test]
fn it_ends_in_order_at_each_signal() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut api = Program::start(PROGRAM, &[]);
        // A connection that is idle does not hold it up.
        let _idle = TcpStream::connect(api.address()).unwrap();
        let mut kept = TcpStream::connect(api.address()).unwrap();
        kept.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .unwrap();
        api.shows("request_count_total", 1.0);
        api.signal(signal);
        assert!(api.wait().success());
    }
}

#[test]
fn addresses_that_cannot_be_used() {
    let api = Program::start(PROGRAM, &[]);
    let taken = api.address().to_string();
    for (address, code) in [(taken.as_str(), 1), ("nowhere", 2)] {
        let second = std::process::Command::new(PROGRAM)
            .args(["--listen", address])
            .output()
            .unwrap();
        assert_eq!(second.status.code(), Some(code));
        assert!(String::from_utf8_lossy(&second.stderr).contains(address));
    }
}
