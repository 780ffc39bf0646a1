//! Clients that would harm the gateway: each is refused, the others are served, nothing has changed.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;

use crate::common::eventually;
use crate::common::http::receive;
use crate::common::own_gateway::OwnGateway;

/// The status and the body of an answer.
fn answer(stream: &mut TcpStream) -> io::Result<(u16, String)> {
    let answer = receive(stream, "GET")?;
    Ok((answer.status, answer.body))
}

const PATH: &str = "/metrics/job/hostile";

struct Target {
    gateway: OwnGateway,
}

impl Target {
    fn new(flags: &[&str]) -> Self {
        let gateway = OwnGateway::alone(flags);
        gateway.put("/metrics/job/kept", "kept 1\n");
        Target { gateway }
    }

    /// Sends `bytes` as they are, as far as they are taken. Returns the answer.
    #[track_caller]
    fn send(&self, bytes: impl AsRef<[u8]>) -> (u16, String) {
        let mut stream = self.gateway.connect();
        let _ = stream.write_all(bytes.as_ref());
        answer(&mut stream).unwrap()
    }

    #[track_caller]
    fn push(&self, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> (u16, String) {
        self.gateway.request("PUT", PATH, headers, body)
    }

    /// Others are served, and have what they had.
    #[track_caller]
    fn is_unharmed(&self) {
        let start = Instant::now();
        let series = |text: &str| -> Vec<String> {
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            lines
                .filter(|line| line.contains("job=\""))
                .map(str::to_owned)
                .collect()
        };
        let (status, text) = self.gateway.get("/metrics");
        assert_eq!(status, 200, "{text}");
        let series = series(&text);
        assert!(
            series.iter().all(|series| series.contains("job=\"kept\"")),
            "{series:?}"
        );
        assert!(series.contains(&"kept{instance=\"\",job=\"kept\"} 1".to_owned()));
        self.gateway.put("/metrics/job/kept", "kept 1\n");
        assert_eq!(self.gateway.get("/-/healthy").0, 200);
        let took = start.elapsed();
        assert!(took < Duration::from_secs(5), "{took:?}");
        let log = self.gateway.log();
        assert!(
            !log.contains("level=error") && !log.contains("panic"),
            "{log}"
        );
    }
}

fn head(more: &str) -> String {
    format!("PUT {PATH} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n")
}

#[test]
fn bodies_that_are_too_large() {
    let target = Target::new(&[]);
    // It is refused before it comes.
    let mut stream = target.gateway.connect();
    stream
        .write_all(head("Content-Length: 1073741824\r\n").as_bytes())
        .unwrap();
    let start = Instant::now();
    let (status, text) = answer(&mut stream).unwrap();
    assert_eq!(status, 413, "{text}");
    assert!(start.elapsed() < Duration::from_secs(5));
    assert!(text.contains("--push.max-body-size"), "{text}");
    target.is_unharmed();

    // It never ends.
    let mut stream = target.gateway.connect();
    let mut chunk = b"10000\r\n".to_vec();
    chunk.extend([b'#'; 0x10000]);
    chunk.extend(b"\r\n");
    stream
        .write_all(head("Transfer-Encoding: chunked\r\n").as_bytes())
        .unwrap();
    let mut sent = 0;
    while stream.write_all(&chunk).is_ok() {
        sent += 0x10000;
        assert!(sent < 1 << 30, "it takes a gigabyte");
    }
    // The answer may be lost, as the connection was reset while more was sent.
    if let Ok((status, text)) = answer(&mut stream) {
        assert_eq!(status, 413, "{text}");
    }
    target.is_unharmed();
    assert!(
        target.gateway.peak_mib() < 300,
        "{} MiB",
        target.gateway.peak_mib()
    );
}

#[test]
fn bodies_that_grow_when_they_are_decompressed() {
    let target = Target::new(&[]);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    let zeros = vec![0; 1 << 20];
    for _ in 0..1024 {
        gzip.write_all(&zeros).unwrap();
    }
    let bomb = gzip.finish().unwrap();
    let start = Instant::now();
    for _ in 0..3 {
        let (status, text) = target.push(&[("Content-Encoding", "gzip")], &bomb);
        assert_eq!(status, 413, "{text}");
        assert!(text.contains("decompressed"), "{text}");
        target.is_unharmed();
    }
    assert!(start.elapsed() < Duration::from_secs(60));
    assert!(
        target.gateway.peak_mib() < 300,
        "{} MiB",
        target.gateway.peak_mib()
    );
    let (status, text) = target.push(&[("Content-Encoding", "gzip")], "m 1\n");
    assert_eq!(status, 400, "{text}");
    target.is_unharmed();
}

#[test]
fn labels_and_text() {
    let target = Target::new(&[]);
    let labels: Vec<String> = (0..1_000_000).map(|n| format!("l{n}=\"1\"")).collect();
    let many = format!("m{{{}}} 1\n", labels.join(","));
    let long_value = format!("m{{l=\"{}\"}} 1\n", "v".repeat(10 << 20));
    let long_name = format!("{} 1\n", "m".repeat(10 << 20));
    for body in [
        many.as_bytes(),
        long_value.as_bytes(),
        long_name.as_bytes(),
        b"m{l=\"\xff\xfe\"} 1\n",
        b"\xff 1\n",
        &[0; 100_000],
    ] {
        let (status, text) = target.push(&[], body);
        assert_eq!(status, 400, "{text}");
        assert!(text.len() < 2000, "{} bytes", text.len());
        target.is_unharmed();
    }
    assert!(
        target.gateway.peak_mib() < 300,
        "{} MiB",
        target.gateway.peak_mib()
    );
}

#[test]
fn paths() {
    let target = Target::new(&[]);
    let components = format!("{PATH}{}", "/l/v".repeat(50_000));
    let encoded = format!("{PATH}/l@base64/{}", "A".repeat(1 << 20));
    let long = format!("{PATH}/l/{}", "v".repeat(1 << 20));
    for path in [&components, &encoded, &long] {
        let (status, _) = target.send(format!(
            "PUT {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 4\r\n\r\nm 1\n"
        ));
        assert!([400, 414, 431].contains(&status), "{status}");
        target.is_unharmed();
    }
    // Within what a head may be.
    let components: String = (0..5000).map(|n| format!("/l{n}/v")).collect();
    for path in [
        components.as_str(),
        "/l/%ff%fe",
        "/l@base64/_w",
        "/l@base64/!",
        "/%00/%00",
        "/l/%",
        "/__l/v",
        "/l",
    ] {
        let (status, text) = target
            .gateway
            .request("PUT", &format!("{PATH}{path}"), &[], "m 1\n");
        assert_eq!(status, 400, "{path}: {text}");
        assert!(text.len() < 2000, "{} bytes", text.len());
        target.is_unharmed();
    }
}

#[test]
fn a_body_that_does_not_come() {
    let target = Target::new(&["--web.read-timeout=1s"]);
    let mut streams: Vec<TcpStream> = (0..50).map(|_| target.gateway.connect()).collect();
    for stream in &mut streams {
        let head = head("Content-Length: 1000\r\n");
        stream.write_all(format!("{head}m 1").as_bytes()).unwrap();
    }
    target.is_unharmed();
    for mut stream in streams {
        let (status, text) = answer(&mut stream).unwrap();
        assert_eq!(status, 408, "{text}");
    }
    // Nor does the head.
    let mut stream = target.gateway.connect();
    stream.write_all(b"PUT /metr").unwrap();
    let start = Instant::now();
    let _ = stream.read(&mut [0; 1000]);
    assert!(start.elapsed() < Duration::from_secs(10));
    // The client goes.
    for _ in 0..50 {
        let mut stream = target.gateway.connect();
        let head = head("Content-Length: 6\r\n");
        stream.write_all(format!("{head}m 1\n").as_bytes()).unwrap();
        let _ = stream.shutdown(Shutdown::Both);
    }
    target.is_unharmed();
}

#[test]
fn idle_connections() {
    // A soft limit of 1024 is usual.
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    assert!(hard > 12_000, "see ulimit -Hn");
    for flags in [&[][..], &["--web.max-connections=100"]] {
        let target = Target::new(flags);
        let mut idle: Vec<TcpStream> = (0..10_000).map(|_| target.gateway.connect()).collect();
        for stream in idle.iter_mut().step_by(2) {
            let _ = stream.write_all(b"PUT /metrics/job/hostile HTTP/1.1\r\n");
        }
        for _ in 0..5 {
            target.is_unharmed();
        }
        drop(idle);
        target.is_unharmed();
        assert!(
            target.gateway.peak_mib() < 150,
            "{} MiB",
            target.gateway.peak_mib()
        );
    }
}

#[test]
fn what_is_no_http() {
    let target = Target::new(&[]);
    let tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    for bytes in [&tls[..], &[0xff; 1000], b"\r\n\r\n\r\n garbage\r\n\r\n"] {
        let mut stream = target.gateway.connect();
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        match answer(&mut stream) {
            Ok((status, text)) => assert_eq!(status, 400, "{text}"),
            Err(error) => println!("{error}"),
        }
        target.is_unharmed();
    }
    // Two lengths, and one that is none: no second request is smuggled.
    for more in [
        "Content-Length: 4\r\nContent-Length: 40\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 4\r\nTransfer-Encoding: chunked, identity\r\n",
    ] {
        let (status, text) = target.send(format!("{}m 1\n", head(more)));
        assert_eq!(status, 400, "{more}: {text}");
        target.is_unharmed();
    }
}

#[test]
fn more_at_once_than_may_be_pending() {
    let target = Target::new(&["--push.max-pending-size=1MiB"]);
    let begun = || {
        let mut stream = target.gateway.connect();
        let head = head("Content-Length: 1000000\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let _ = stream.write_all(&[b'#'; 900_000]);
        stream
    };
    let mut pending = begun();
    let body = format!("# {}\n", "p".repeat(400_000));
    let start = Instant::now();
    loop {
        let mut stream = target.gateway.connect();
        let length = body.len();
        let head = format!(
            "PUT {PATH} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let _ = stream.write_all(body.as_bytes());
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        if answer.starts_with("HTTP/1.1 503") {
            assert!(answer.contains("retry-after: 1\r\n"), "{answer}");
            break;
        }
        // It came before the other one, which was refused instead.
        assert!(start.elapsed() < Duration::from_secs(30), "{answer}");
        target.gateway.request("DELETE", PATH, &[], "");
        pending = begun();
    }
    target.is_unharmed();
    drop(pending);
    // What it had reserved is free again.
    let start = Instant::now();
    while target.push(&[], &body).0 != 200 {
        assert!(start.elapsed() < Duration::from_secs(30));
    }
}

/// How many of these have been answered, which is by 503.
#[track_caller]
fn refused(streams: &mut [TcpStream]) -> usize {
    let mut refused = 0;
    for stream in streams {
        stream.set_nonblocking(true).unwrap();
        let mut status = [0; 12];
        if let Ok(12) = stream.read(&mut status) {
            assert_eq!(&status, b"HTTP/1.1 503");
            refused += 1;
        }
    }
    refused
}

/// Memory grows with what came, and where there is none, the push is refused, and the gateway goes on.
#[test]
fn announced_bodies_under_a_memory_limit() {
    let target = Target::new(&["--push.max-body-size=64MiB", "--push.max-pending-size=1GiB"]);
    let pid = Pid::from_raw(target.gateway.pid().try_into().unwrap());
    let before = target.gateway.peak_mib();
    let size = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
    let pages: u64 = size.split(' ').next().unwrap().parse().unwrap();
    let limit = nix::libc::rlimit {
        rlim_cur: pages * 4096 + (200 << 20),
        rlim_max: nix::libc::RLIM_INFINITY,
    };
    // SAFETY: it reads the limit, and writes nothing.
    let result = unsafe {
        nix::libc::prlimit(
            pid.as_raw(),
            nix::libc::RLIMIT_AS,
            &limit,
            std::ptr::null_mut(),
        )
    };
    assert_eq!(result, 0);
    let announce = |part: &[u8]| {
        let mut stream = target.gateway.connect();
        stream
            .write_all(head("Content-Length: 33000000\r\n").as_bytes())
            .unwrap();
        let _ = stream.write_all(part);
        stream
    };
    // Announced only: 6.6 GB in all.
    let mut announced: Vec<_> = (0..200).map(|_| announce(&[b'#'; 20_000])).collect();
    target.is_unharmed();
    let grown = target.gateway.peak_mib() - before;
    assert!(grown < 64, "{grown} MiB for 4 MB that came");
    assert_eq!(
        refused(&mut announced),
        0,
        "no memory for what did not come"
    );
    drop(announced);
    // All of it comes, more than there is memory for.
    let mut received: Vec<_> = (0..100).map(|_| announce(&vec![b'#'; 4_000_000])).collect();
    target.is_unharmed();
    let refused = refused(&mut received);
    assert!(refused >= 10, "{refused}");
    drop(received);
    target.is_unharmed();
}

#[test]
fn what_could_never_be_pending() {
    let target = Target::new(&["--push.max-pending-size=1MiB"]);
    let zeros = vec![b'#'; 2 << 20];
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&zeros).unwrap();
    let gzip = gzip.finish().unwrap();
    let mut chunked = head("Transfer-Encoding: chunked\r\n").into_bytes();
    chunked.extend(b"200000\r\n");
    chunked.extend(&zeros);
    chunked.extend(b"\r\n0\r\n\r\n");
    for (status, text) in [
        target.push(&[], &zeros),
        target.push(&[("Content-Encoding", "gzip")], gzip),
        target.send(chunked),
    ] {
        assert_eq!(status, 413, "{text}");
        assert!(text.contains("--push.max-pending-size"), "{text}");
        target.is_unharmed();
    }
}

/// Asks for all metrics.
fn ask(stream: &mut TcpStream, more: &str) {
    let request =
        format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
}

#[track_caller]
fn is_answered(mut stream: TcpStream) {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    assert!(all.starts_with(b"HTTP/1.1 200 "), "{} bytes", all.len());
}

#[test]
fn scrapes_that_nobody_waits_for() {
    let target = Target::new(&[]);
    let mut body = String::new();
    for n in 0..20_000 {
        body += &format!("m{{a=\"{n}\",b=\"some value\",c=\"another value\"}} {n}\n");
    }
    target.gateway.put("/metrics/job/kept/large/1", &body);
    const PROTOBUF: &str = "Accept: application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited\r\n";
    let ask_for_protobuf = || {
        let mut stream = target.gateway.connect();
        ask(&mut stream, PROTOBUF);
        stream
    };
    is_answered(ask_for_protobuf());
    let before = target.gateway.peak_mib();
    for _ in 0..40 {
        let stream = ask_for_protobuf();
        // Long enough that it is begun, if it can be.
        thread::sleep(Duration::from_millis(20));
        drop(stream);
    }
    // After all of them.
    is_answered(ask_for_protobuf());
    let after = target.gateway.peak_mib();
    println!("{before} MiB before, {after} MiB after");
    assert!(after < 3 * before + 50, "{before} MiB, then {after} MiB");
    target.is_unharmed();
}

#[test]
fn slow_readers() {
    let target = Target::new(&[]);
    // Few series, so that it takes no time.
    let value = "v".repeat(60_000);
    let mut body = String::new();
    for n in 0..500 {
        body += &format!("m{{n=\"{n}\",v=\"{value}\"}} 1\n");
    }
    target.gateway.put("/metrics/job/kept/large/1", &body);
    target.gateway.put("/metrics/job/kept/large/2", &body);
    let mut readers: Vec<TcpStream> = Vec::new();
    for _ in 0..12 {
        let mut stream = target.gateway.connect();
        ask(&mut stream, "");
        // It has its answer, and takes no more of it.
        let mut start = [0; 500];
        let count = stream.read(&mut start).unwrap();
        let start = String::from_utf8_lossy(&start[..count]);
        if start.starts_with("HTTP/1.1 503 ") {
            assert!(start.contains("retry-after: 1\r\n"), "{start}");
            break;
        }
        readers.push(stream);
    }
    println!(
        "{} readers, {} MiB",
        readers.len(),
        target.gateway.peak_mib()
    );
    assert!(
        (4..12).contains(&readers.len()),
        "{} readers",
        readers.len()
    );
    assert!(
        target.gateway.peak_mib() < 700,
        "{} MiB",
        target.gateway.peak_mib()
    );
    // They get what they were promised.
    let mut stream = readers.pop().unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(rest.len() > 60_000_000, "{} bytes", rest.len());
    // What they held is free again.
    drop(readers);
    eventually("a scrape", || target.gateway.get("/metrics").0 == 200);
    target.is_unharmed();
}

/// Sends a body byte by byte until the connection ends, and returns what was answered, if it was.
fn trickle(mut stream: TcpStream, beginning: usize) -> thread::JoinHandle<Option<u16>> {
    thread::spawn(move || {
        let head = head("Content-Length: 1000000\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let _ = stream.write_all(&vec![b'#'; beginning]);
        while stream.write_all(b"#").is_ok() {
            stream
                .set_read_timeout(Some(Duration::from_millis(40)))
                .unwrap();
            if let Ok(1..) = stream.peek(&mut [0]) {
                break;
            }
        }
        let _ = stream.set_read_timeout(None);
        answer(&mut stream).ok().map(|(status, _)| status)
    })
}

#[test]
fn bodies_that_trickle() {
    // They hold as much as may be pending, and have brought it quickly.
    let flags = ["--web.read-timeout=4s", "--push.max-pending-size=1MiB"];
    let target = Target::new(&flags);
    let start = Instant::now();
    let slow = trickle(target.gateway.connect(), 900_000);
    let body = format!("# {}\n", "p".repeat(400_000));
    // Nothing tells how much of a body has come.
    thread::sleep(Duration::from_secs(1));
    assert_eq!(target.push(&[], &body).0, 503);
    assert_eq!(slow.join().unwrap(), Some(408));
    let took = start.elapsed();
    assert!(took > Duration::from_secs(4), "{took:?}");
    assert!(took < Duration::from_secs(20), "{took:?}");
    eventually("others are taken", || target.push(&[], &body).0 == 200);
    target.gateway.request("DELETE", PATH, &[], "");
    target.is_unharmed();

    // Who is slow, but not that slow, is taken.
    let mut stream = target.gateway.connect();
    let body = format!("# {}\nslow 1\n", "s".repeat(100_000));
    let head = format!(
        "PUT {PATH} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    for part in body.as_bytes().chunks(4000) {
        thread::sleep(Duration::from_millis(150));
        stream.write_all(part).unwrap();
    }
    assert_eq!(answer(&mut stream).unwrap().0, 200);
}

#[test]
fn bodies_that_trickle_on_all_connections() {
    let target = Target::new(&["--web.max-connections=4"]);
    let mut slow = Vec::new();
    for _ in 0..4 {
        slow.push(trickle(target.gateway.connect(), 10));
        thread::sleep(Duration::from_millis(50));
    }
    thread::sleep(Duration::from_millis(500));
    for _ in 0..5 {
        target.is_unharmed();
    }
    let ended = slow.iter().filter(|slow| slow.is_finished()).count();
    assert!(ended >= 1, "nobody made way");
    drop(target);
    for slow in slow {
        assert_eq!(slow.join().unwrap(), None);
    }
}
