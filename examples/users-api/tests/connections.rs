//! Connections: their timeouts, and the end of the server.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use examples_harness::{PATIENCE, Program, Signal, awaited, output_of};

use crate::{PROGRAM, USERS};

/// Returns how long the server has left the connection open since `start`.
fn closed_after(start: Instant, mut stream: TcpStream) -> Duration {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
    start.elapsed()
}

#[test]
fn timeouts() {
    let help = output_of(PROGRAM, &["--help"]);
    let default: Vec<&str> = help.split_whitespace().collect();
    let default = default.join(" ");
    assert_eq!(default.matches("[default: 15s]").count(), 2, "{default}");
    assert_eq!(default.matches("[default: 60s]").count(), 1, "{default}");
    let api = Program::start(
        PROGRAM,
        &[
            "--read-timeout",
            "1s",
            "--write-timeout",
            "1s",
            "--idle-timeout",
            "3s",
        ],
    );
    let connected = |bytes: &[u8]| {
        let start = Instant::now();
        let mut stream = TcpStream::connect(api.address()).unwrap();
        stream.write_all(bytes).unwrap();
        (start, stream)
    };
    let (second, three) = (Duration::from_secs(1), Duration::from_secs(3));
    let all = [
        // Nothing, part of a head, part of a body.
        (connected(b""), second),
        (connected(b"GET / HTTP/1.1\r\nHost: a"), second),
        (
            connected(
                b"POST /api/v1/users HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
                  Content-Length: 9\r\n\r\n{",
            ),
            second,
        ),
        // A whole request, and then nothing.
        (connected(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"), three),
    ];
    let threads = all.map(|((start, stream), least)| {
        (thread::spawn(move || closed_after(start, stream)), least)
    });
    for (n, (thread, least)) in threads.into_iter().enumerate() {
        let took = thread.join().unwrap();
        assert!(took >= least, "{n}: {took:?}");
        assert!(took < PATIENCE / 2, "{n}: {took:?}");
    }
    api.terminate();
}

/// A client that does not read what it has asked for.
#[test]
fn responses_that_are_not_read() {
    let api = Program::start(PROGRAM, &["--write-timeout", "1s", "--read-timeout", "1h"]);
    let mut stream = TcpStream::connect(api.address()).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    // Many requests, until the server no longer reads because it cannot write, and then cuts the connection off.
    let start = Instant::now();
    let requests = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1000);
    let end = loop {
        if let Err(error) = stream.write_all(&requests) {
            break error.kind();
        }
        assert!(start.elapsed() < PATIENCE, "it goes on reading");
    };
    assert!(
        [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe].contains(&end),
        "{end}"
    );
    api.terminate();
}

#[test]
fn it_ends_in_order() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut api = Program::start(PROGRAM, &[]);
        let idle = TcpStream::connect(api.address()).unwrap();
        // A request in flight is answered: it takes until its body has arrived.
        let mut stream = TcpStream::connect(api.address()).unwrap();
        let body = br#"{"name": "a", "email": "a@b"}"#;
        let head = format!(
            "POST {USERS} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        api.shows("http_requests_in_flight", 1.0);
        api.signal(signal);
        awaited("the end of the listener", || {
            TcpStream::connect(api.address()).err()
        });
        stream.write_all(body).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
        assert!(api.wait().success());
        assert!(!api.stderr().contains("cut off"), "{}", api.stderr());
        drop(idle);
    }
}
