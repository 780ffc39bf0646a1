//! Requests that no client of good will sends, and very many at once: each is answered, and what was accepted
//! takes place exactly once.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal::SIGTERM;
use serde_json::Value as Json;

use crate::common::own_server::{
    GATE, JSON, OwnServer, assert_shape, id, job, open, server_command, with_examples, wrapped,
};
use crate::common::{Sandbox, eventually, eventually_within};

const RUNS: &str = "/api/v1/jobs/backup/runs";

#[test]
fn bodies() {
    let sandbox = with_examples();
    let server = OwnServer::start(&sandbox, "");
    let deep = |open: &str, close: &str, levels| {
        let (open, close) = (open.repeat(levels), close.repeat(levels));
        format!("{{\"params\": {{\"records\": {open}1{close}}}}}")
    };
    let params = |text: &str| format!("{{\"params\": {text}}}");
    let many: Vec<String> = (0..5000).map(|n| format!("\"p{n}\":1")).collect();
    for (body, status) in [
        (deep("[", "]", 30_000), 400),
        (deep("{\"a\":", "}", 10_000), 400),
        ("[".repeat(65_536), 400),
        ("{\"a\":".repeat(13_000), 400),
        (
            params(&format!("{{\"records\": {}}}", "9".repeat(60_000))),
            400,
        ),
        (params("{\"records\": 1e999}"), 400),
        (params("{\"records\": -1e-999}"), 400),
        (params("{\"records\": 18446744073709551616}"), 400),
        (params("{\"records\": NaN}"), 400),
        (params("{\"records\": 0x7}"), 400),
        (params("{\"records\": \"7\\u0000\"}"), 400),
        (params("{\"dest\": \"a\\u0000b\", \"source\": \"c\"}"), 202),
        (params("{\"records\\u0000\": 7}"), 400),
        (params("{\"records\": \"\\ud800\"}"), 400),
        (params(&format!("{{{}}}", many[..3000].join(","))), 400),
        ("{\"grouping\": {\"db\": \"a\\u0000b\"}}".into(), 202),
        // The last one counts, as everywhere.
        (params("{\"records\": 1, \"records\": 7}"), 202),
        (
            "{\"params\": {\"records\": 1}, \"params\": {\"records\": 7}}".into(),
            202,
        ),
        ("\u{feff}{}".into(), 400),
        ("{}\0".into(), 400),
        ("{} \r\n\t".into(), 202),
    ] {
        let answer = server.post("backup", &body);
        let start: String = body.chars().take(80).collect();
        assert_eq!(answer.status, status, "{start}: {}", answer.body);
        match status {
            202 => assert_shape(&answer.json(202), "Run"),
            // What is quoted of the body is not all of it.
            _ => assert!(answer.error(status).len() < 2000, "{start}"),
        }
        if let Some(id) = serde_json::from_str::<Json>(&answer.body).unwrap()["run_id"].as_str() {
            let run = server.run_once(id, "finished");
            // No file is called so.
            let expected = if body.contains("dest") {
                "failure"
            } else {
                "success"
            };
            assert_eq!(run["outcome"], expected, "{run}");
            if body.contains('7') {
                assert_eq!(run["metrics"][0]["metrics"][0]["value"], 7, "{run}");
            }
        }
    }
    assert_eq!(server.get("/-/healthy").status, 200);
}

/// A request for a run with these further lines in its head, and this much of its body.
fn begin(server: &OwnServer, head: &str, body: &[u8]) -> TcpStream {
    let address = server.address();
    let mut stream = TcpStream::connect(address).unwrap();
    let (name, value) = JSON;
    let request =
        format!("POST {RUNS} HTTP/1.1\r\nHost: {address}\r\n{name}: {value}\r\n{head}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    // It may answer before it has read all.
    let _ = stream.write_all(body);
    stream
}

/// The status of the answer, and its body as far as it has come.
#[track_caller]
fn answer(mut stream: TcpStream) -> (u16, String) {
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    // It ends with the error's closing brace, if not with the connection.
    while let Ok(length @ 1..) = stream.read(&mut piece) {
        answer.extend_from_slice(&piece[..length]);
        if answer.ends_with(b"}\n") {
            break;
        }
    }
    let answer = String::from_utf8(answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap_or_default();
    (
        status.parse().unwrap_or_else(|_| panic!("{answer:?}")),
        answer,
    )
}

#[test]
fn bodies_that_are_too_large() {
    let sandbox = with_examples();
    let server = OwnServer::start(&sandbox, "");
    // Whether it says so or not.
    let spaces = [b' '; 64 * 1024 + 1];
    let (status, text) = answer(begin(&server, "Content-Length: 65537\r\n", &spaces));
    assert_eq!(status, 413, "{text}");
    let chunks = [&b"10001\r\n"[..], &spaces, b"\r\n0\r\n\r\n"].concat();
    let (status, text) = answer(begin(&server, "Transfer-Encoding: chunked\r\n", &chunks));
    assert_eq!(status, 413, "{text}");
    // Nor does it wait for what it will not take.
    let (status, text) = answer(begin(&server, "Content-Length: 1000000000000\r\n", &spaces));
    assert_eq!(status, 413, "{text}");
    assert_eq!(server.listed("backup", ""), Vec::<Json>::new());
}

#[test]
fn bodies_that_do_not_come() {
    let sandbox = with_examples();
    let server = OwnServer::start(&sandbox, "");
    // All in one: none of them is waited for while others are.
    let gone = begin(&server, "Content-Length: 2\r\n", b"{");
    gone.shutdown(Shutdown::Write).unwrap();
    let unfinished = begin(&server, "Transfer-Encoding: chunked\r\n", b"2\r\n{}\r\n");
    unfinished.shutdown(Shutdown::Write).unwrap();
    let slow: Vec<TcpStream> = (0..100)
        .map(|_| begin(&server, "Content-Length: 2\r\n", b"{"))
        .collect();
    let dropped = begin(&server, "Content-Length: 2\r\n", b"{");
    drop(dropped);
    for stream in [gone, unfinished] {
        let (status, text) = answer(stream);
        assert_eq!(status, 400, "{text}");
        assert!(text.contains("cut off"), "{text}");
    }
    server.run("backup");
    for stream in slow {
        let (status, text) = answer(stream);
        assert_eq!(status, 408, "{text}");
        assert!(text.contains("{\"error\":"), "{text}");
    }
    let runs = server.listed("backup", "");
    assert_eq!(runs.len(), 1, "{runs:?}");
}

/// Paths that are no text, or lead elsewhere.
#[test]
fn paths() {
    let sandbox = with_examples();
    let server = OwnServer::start(&sandbox, "");
    for name in [
        "%FF",
        "%00",
        "%2F",
        "%2e%2e",
        "a%2F..%2Fbackup",
        "backup%00",
        "backup%20",
        "BACKUP",
        "%",
        "%zz",
        "%C3%28",
        ";",
        "backup;a=1",
        "\u{e4}",
    ] {
        server.get(&format!("/api/v1/jobs/{name}")).error(404);
        server.get(&format!("/api/v1/jobs/{name}/runs")).error(404);
        server.get(&format!("/api/v1/runs/{name}")).error(404);
        server.post(name, "{}").error(404);
    }
    let long = "a".repeat(60_000);
    server.get(&format!("/api/v1/jobs/{long}")).error(404);
    // It is the same name.
    assert_eq!(server.job("b%61ckup")["name"], "backup");
}

const AT_ONCE: usize = 2000;

#[test]
fn two_thousand_at_once() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "jobs/often.toml",
        "builtin = 'random'\noverlap = 'allow'\nkeep = 10000\n[params]\niterations = 1\ninterval = '0s'\n",
    );
    let server = OwnServer::start(&sandbox, "--concurrency=8");
    let address = server.address();
    let request = format!(
        "POST /api/v1/jobs/often/runs HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    let streams: Vec<TcpStream> = (0..AT_ONCE)
        .map(|_| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            stream
        })
        .collect();
    let mut accepted = BTreeSet::new();
    for stream in streams {
        let (status, text) = answer(stream);
        assert_eq!(status, 202, "{text}");
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        let run: Json = serde_json::from_str(body).unwrap();
        accepted.insert(id(&run).to_owned());
    }
    assert_eq!(accepted.len(), AT_ONCE);
    let waiting = || {
        let job = server.job("often");
        let running = job["running"].as_u64().unwrap();
        assert!(running <= 8, "{running}");
        // While runs begin and end, a list has each of them once.
        let listed = server.listed("often", "?limit=1000");
        let ids: BTreeSet<&str> = listed.iter().map(id).collect();
        assert_eq!(ids.len(), listed.len());
        running + job["queued"].as_u64().unwrap()
    };
    // However slow, as long as it goes on.
    let (mut left, mut deadline) = (u64::MAX, Instant::now());
    eventually_all(|| {
        let now = waiting();
        if now < left {
            (left, deadline) = (now, Instant::now() + Duration::from_secs(30));
        }
        assert!(Instant::now() < deadline, "{left} runs wait");
        now == 0
    });
    let outcomes = recorded_once(&sandbox, accepted);
    assert_eq!(outcomes, BTreeMap::from([("success".into(), AT_ONCE)]));
    assert_eq!(server.runs("often", "success"), AT_ONCE as f64);
}

/// Whatever waits when the server ends did not take place, and is recorded so, however many there are.
#[test]
fn what_waits_at_the_end() {
    let sandbox = with_examples();
    job(&sandbox, "many", "overlap = 'allow'\nkeep = 10000", GATE);
    let server = server_command(&sandbox, "--concurrency=8 --grace=1h");
    // Fewer files can be open than runs wait.
    let script = "ulimit -n 256; exec \"$@\"";
    let server = OwnServer::start_command(wrapped(&["sh", "-c", script, "sh"], &server));
    let mut accepted: BTreeSet<String> = (0..1000).map(|_| server.ask("many")).collect();
    accepted.extend((0..50).map(|_| server.ask("queued")));
    server.signal(SIGTERM);
    eventually("it takes no more", || {
        let answer = server.post("many", "{}");
        if answer.status == 202 {
            accepted.insert(id(&answer.json(202)).to_owned());
        }
        answer.status == 503
    });
    let skipped = accepted.len() - 8;
    open(&sandbox);
    server.ended();
    let outcomes = recorded_once(&sandbox, accepted);
    let expected = [("skipped".into(), skipped), ("success".into(), 8)];
    assert_eq!(outcomes, BTreeMap::from(expected));
}

/// How many runs in the history have which outcome, which are all of `accepted`, each once.
#[track_caller]
fn recorded_once(sandbox: &Sandbox, mut accepted: BTreeSet<String>) -> BTreeMap<String, usize> {
    let mut outcomes = BTreeMap::new();
    for run in sandbox.history() {
        assert!(
            accepted.remove(id(&run)),
            "it is there twice, or unasked: {run}"
        );
        let outcome = run["outcome"].as_str().unwrap().to_owned();
        *outcomes.entry(outcome).or_default() += 1;
    }
    assert!(accepted.is_empty(), "{accepted:?}");
    outcomes
}

fn eventually_all(happened: impl FnMut() -> bool) {
    eventually_within(Duration::from_secs(600), "all of it", happened);
}
