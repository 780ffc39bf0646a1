//! What servers share: listeners, connections, timeouts, the end.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use metricsjob_web::{Server, Settings};

use crate::common::web_server::{WebServer, exchange, request, settings};
use crate::common::{Sandbox, eventually};

/// Sends a request on a connection that goes on, and reads the answer, which ends with `end`.
#[track_caller]
fn ask(stream: &mut TcpStream, end: &str) {
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    read_until(stream, end);
}

/// Returns what was read.
#[track_caller]
fn read_until(stream: &mut impl Read, end: &str) -> String {
    let mut answer = String::new();
    while !answer.ends_with(end) {
        let mut bytes = [0; 1024];
        let count = stream.read(&mut bytes).unwrap();
        assert!(count > 0, "it ended after {answer:?}");
        answer.push_str(str::from_utf8(&bytes[..count]).unwrap());
    }
    answer
}

/// Waits until the server closes the connection, without having sent anything more.
#[track_caller]
fn is_closed(stream: &mut TcpStream) {
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    match stream.read(&mut [0; 16]) {
        Ok(0) => {}
        Ok(_) => panic!("it sent something"),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
}

/// Whether the connection is still there.
fn is_open(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let read = stream.peek(&mut [0]);
    stream.set_nonblocking(false).unwrap();
    read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

#[test]
fn several_listeners() {
    let server = WebServer::start(&Settings {
        listen_addresses: vec!["localhost:0".into(), ":0".into(), "127.0.0.1:0".into()],
        ..settings(None)
    });
    assert_eq!(server.addresses().len(), 3);
    for address in server.addresses() {
        assert_ne!(address.port(), 0);
        let stream = TcpStream::connect(("127.0.0.1", address.port())).unwrap();
        let answer = exchange(stream, &request("/", ""));
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
        let line = format!("level=info msg=\"Listening on\" address={address}\n");
        assert!(server.log().contains(&line), "{}", server.log());
    }
    // Bound before it serves, and nobody else can have the port.
    let taken = Settings {
        listen_addresses: vec![server.address().to_string()],
        ..settings(None)
    };
    let error = Server::bind(&taken).map(drop).unwrap_err();
    assert!(error.to_string().contains("address already in use"));
}

#[test]
fn requests_on_one_connection() {
    let server = WebServer::start(&settings(None));
    let mut stream = server.connect();
    for _ in 0..3 {
        ask(&mut stream, "hello");
    }
    // Several at once, and one in pieces.
    stream
        .write_all(
            "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
                .repeat(20)
                .as_bytes(),
        )
        .unwrap();
    let mut answers = String::new();
    while answers.matches("hello").count() < 20 {
        let mut bytes = [0; 1024];
        let count = stream.read(&mut bytes).unwrap();
        answers.push_str(str::from_utf8(&bytes[..count]).unwrap());
    }
    for byte in b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody" {
        stream.write_all(&[*byte]).unwrap();
    }
    read_until(&mut stream, "body");
}

#[test]
fn clients_that_have_sent_all() {
    let server = WebServer::start(&Settings {
        max_connections: 1,
        ..settings(None)
    });
    // They may say so, and are answered.
    let post = "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody";
    for (message, end) in [
        ("GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n", "slow"),
        (&request("/slow", ""), "slow"),
        (post, "body"),
        (&post.repeat(2), "body"),
    ] {
        let mut stream = server.connect();
        stream.write_all(message.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        read_until(&mut stream, end);
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        assert!(rest.is_empty() || rest.ends_with("body"), "{rest}");
    }
    // Who goes away altogether keeps no place.
    for path in ["/slow", "/big"] {
        let mut stream = server.connect();
        stream.write_all(request(path, "").as_bytes()).unwrap();
        drop(stream);
        let start = Instant::now();
        assert!(server.get("").ends_with("hello"));
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}

#[test]
fn bodies_that_nobody_reads() {
    let sandbox = Sandbox::new();
    let hash = bcrypt::hash("password", 4).unwrap();
    let users = sandbox.write("web.yml", format!("basic_auth_users: {{alice: {hash}}}"));
    let open = WebServer::start(&settings(None));
    let closed = WebServer::start(&settings(Some(&users)));
    let post = |server: &WebServer, more: &str| {
        let mut stream = server.connect();
        let head = format!("POST /ignore HTTP/1.1\r\nHost: localhost\r\n{more}");
        stream.write_all(head.as_bytes()).unwrap();
        stream
    };
    for (server, end) in [(&open, "ignored"), (&closed, "Unauthorized\n")] {
        for more in [
            "Content-Length: 1000\r\n\r\n",
            "Content-Length: 1000\r\n\r\nsome",
            "Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n",
        ] {
            // The rest would be taken for a request, so the client is told that there can be none.
            let mut stream = post(server, more);
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(!answer.starts_with("HTTP/1.1 100 "), "{more}: {answer}");
            assert!(answer.contains("connection: close\r\n"), "{answer}");
            assert!(answer.ends_with(end), "{more}: {answer}");
        }
        // There is no rest.
        let mut stream = post(server, "Content-Length: 4\r\n\r\nsome");
        for _ in 0..2 {
            let answer = read_until(&mut stream, end);
            assert!(!answer.contains("connection: close"), "{answer}");
            let message =
                "POST /ignore HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nmore";
            stream.write_all(message.as_bytes()).unwrap();
        }
    }
}

#[test]
fn connections_that_pause() {
    let server = WebServer::start(&settings(None));
    let mut silent = server.connect();
    let mut idle = server.connect();
    ask(&mut idle, "hello");
    // What follows an answer that did not wait for the body is no request.
    let mut odd = server.connect();
    odd.write_all(b"POST /ignore HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nGET")
        .unwrap();
    read_until(&mut odd, "ignored");
    // One that has sent the beginning of a request with the former one.
    let mut begun = server.connect();
    begun
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HT")
        .unwrap();
    read_until(&mut begun, "hello");
    std::thread::sleep(Duration::from_millis(2500));
    ask(&mut silent, "hello");
    ask(&mut idle, "hello");
    ask(&mut idle, "hello");
    begun
        .write_all(b"TP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    read_until(&mut begun, "hello");
    is_closed(&mut odd);
}

#[test]
fn heads_that_take_long() {
    let server = WebServer::start(&Settings {
        read_timeout: Duration::from_millis(400),
        ..settings(None)
    });
    let start = Instant::now();
    let mut silent = server.connect();
    // A byte now and then does not help.
    let mut slow = server.connect();
    slow.write_all(b"GET / HTTP/1.1\r\nX: ").unwrap();
    while slow.write_all(b"x").is_ok() {
        assert!(start.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(20));
    }
    is_closed(&mut silent);
    assert!(start.elapsed() >= Duration::from_millis(400));
    // That is no limit for answers.
    let answer = exchange(server.connect(), &request("/slow", ""));
    assert!(answer.ends_with("slow"), "{answer}");
    // A second request on the same connection is cut off likewise, an idle one is not.
    let mut second = server.connect();
    ask(&mut second, "hello");
    std::thread::sleep(Duration::from_millis(1500));
    assert!(is_open(&second));
    second.write_all(b"GET /").unwrap();
    is_closed(&mut second);
}

#[test]
fn idle_connections() {
    let server = WebServer::start(&Settings {
        idle_timeout: Duration::from_millis(400),
        ..settings(None)
    });
    let mut stream = server.connect();
    ask(&mut stream, "hello");
    let start = Instant::now();
    is_closed(&mut stream);
    assert!(start.elapsed() >= Duration::from_millis(300));
}

#[test]
fn answers_that_are_not_taken() {
    let server = WebServer::start(&Settings {
        read_timeout: Duration::from_millis(400),
        ..settings(None)
    });
    let mut stream = server.connect();
    stream.write_all(request("/big", "").as_bytes()).unwrap();
    std::thread::sleep(Duration::from_secs(2));
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.len() < 64 << 20, "all of it came");
    // Slowly is fine.
    let mut stream = server.connect();
    stream.write_all(request("/big", "").as_bytes()).unwrap();
    let mut count = 0;
    let mut part = vec![0; 8 << 20];
    loop {
        match stream.read(&mut part).unwrap() {
            0 => break,
            read => count += read,
        }
        if count < 16 << 20 {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    assert!(count > 64 << 20);
}

#[test]
fn too_large_heads() {
    let server = WebServer::start(&settings(None));
    let header = format!("X: {}\r\n", "x".repeat(100_000));
    let answer = server.get(&header);
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431 "),
        "{answer}"
    );
    let answer = server.get(&"X: y\r\n".repeat(200));
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    assert!(server.get("").ends_with("hello"));
}

#[test]
fn the_connection_limit() {
    let server = WebServer::start(&Settings {
        max_connections: 4,
        ..settings(None)
    });
    // Nobody locks others out: not by silence, not between requests, not by half a head.
    let mut held: Vec<TcpStream> = Vec::new();
    for count in 0..20 {
        let mut stream = server.connect();
        match count % 3 {
            0 => {}
            1 => ask(&mut stream, "hello"),
            _ => stream.write_all(b"GET").unwrap(),
        }
        held.push(stream);
    }
    assert!(server.get("").ends_with("hello"));
    let is_held = |stream: &&TcpStream| is_open(stream);
    eventually("the oldest make way", || {
        held.iter().filter(is_held).count() <= 4
    });

    // Who is being served stays, and the others wait.
    let mut busy: Vec<TcpStream> = (0..4).map(|_| server.connect()).collect();
    for stream in &mut busy {
        stream.write_all(request("/slow", "").as_bytes()).unwrap();
    }
    server.has_begun(4);
    let start = Instant::now();
    assert!(server.get("").ends_with("hello"));
    assert!(
        start.elapsed() >= Duration::from_millis(100),
        "{:?}",
        start.elapsed()
    );
    for mut stream in busy {
        read_until(&mut stream, "slow");
    }
}

#[test]
fn a_graceful_end() {
    let mut server = WebServer::start(&settings(None));
    let mut idle = server.connect();
    ask(&mut idle, "hello");
    let mut silent = server.connect();
    let mut busy = server.connect();
    busy.write_all(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    server.has_begun(1);
    server.stop();
    is_closed(&mut idle);
    is_closed(&mut silent);
    // It is still being answered, while nobody else is.
    assert!(!server.has_ended());
    let is_refused = || TcpStream::connect(server.address()).is_err();
    eventually("nobody else is let in", is_refused);
    let mut answer = String::new();
    busy.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    assert!(answer.ends_with("slow"), "{answer}");
    eventually("it ends", || server.has_ended());
    assert!(!server.log().contains("Cut off"), "{}", server.log());
}

#[test]
fn the_grace_ends() {
    let mut server = WebServer::start(&settings(None));
    let mut busy = server.connect();
    busy.write_all(request("/endless", "").as_bytes()).unwrap();
    server.has_begun(1);
    let start = Instant::now();
    server.stop();
    is_closed(&mut busy);
    eventually("it ends", || server.has_ended());
    assert!(start.elapsed() >= Duration::from_millis(900));
    assert!(start.elapsed() < Duration::from_secs(20));
    let line = "level=warn msg=\"Cut off connections that were not done in time\" connections=1\n";
    assert!(server.log().contains(line), "{}", server.log());
}

#[test]
fn a_local_socket() {
    let sandbox = Sandbox::new();
    let hash = bcrypt::hash("password", 4).unwrap();
    let config = sandbox.write("web.yml", format!("basic_auth_users: {{alice: {hash}}}"));
    let path = sandbox.path().join("socket");
    let local = UnixListener::bind(&path).unwrap();
    let limited = Settings {
        max_connections: 1,
        ..settings(Some(&config))
    };
    let server = WebServer::with(&limited, Some(local));
    let answer = server.get("");
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    // It has places of its own.
    let mut busy = server.connect();
    let user = "Authorization: Basic YWxpY2U6cGFzc3dvcmQ=\r\n";
    busy.write_all(request("/slow", user).as_bytes()).unwrap();
    let answer = exchange(UnixStream::connect(&path).unwrap(), &request("/", ""));
    assert!(answer.ends_with("hello"), "{answer}");
    read_until(&mut busy, "slow");
}
