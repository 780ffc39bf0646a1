//! The collector with a real Redis.
#![cfg(feature = "real-servers")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use examples_harness::{Program, awaited};
use redis::{Connection, Value};
use serde_json::Value as Json;

const PROGRAM: &str = env!("CARGO_BIN_EXE_stream-collector");
const STREAMS: [&str; 3] = ["market:ticker", "market:book", "market:trades"];

/// A Redis at a socket in a directory of its own, whose data outlives it.
struct Redis {
    child: Child,
    socket: PathBuf,
}

impl Redis {
    fn start(directory: &Path) -> Redis {
        let socket = directory.join("redis.sock");
        let child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "yes"])
            // A reply comes after the write, which a kill does not undo.
            .args(["--appendfsync", "no"])
            .arg("--unixsocket")
            .arg(&socket)
            .arg("--dir")
            .arg(directory)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        let redis = Redis { child, socket };
        awaited("Redis", || redis.connection());
        redis
    }

    fn url(&self) -> String {
        format!("redis+unix://{}", self.socket.display())
    }

    fn connection(&self) -> Option<Connection> {
        let mut connection = redis::Client::open(self.url())
            .unwrap()
            .get_connection()
            .ok()?;
        // While it loads its data, it responds with an error.
        redis::cmd("PING").query::<String>(&mut connection).ok()?;
        Some(connection)
    }

    /// Numbers of the messages in all streams, and how many entries there are.
    fn messages(&self) -> (BTreeSet<u64>, usize) {
        let mut connection = self.connection().unwrap();
        let (mut ids, mut count) = (BTreeSet::new(), 0);
        for stream in STREAMS {
            let mut range = redis::cmd("XRANGE");
            range.arg(stream).arg("-").arg("+");
            let entries: Vec<(String, Vec<String>)> = range.query(&mut connection).unwrap();
            for (_, fields) in entries {
                let [symbol_name, symbol, data_name, data] = &fields[..] else {
                    panic!("{fields:?}")
                };
                assert_eq!(
                    (symbol_name.as_str(), data_name.as_str()),
                    ("symbol", "data")
                );
                let data: Json = serde_json::from_str(data).unwrap();
                assert_eq!(data["symbol"], symbol.as_str());
                assert_eq!(
                    format!("market:{}", data["channel"].as_str().unwrap()),
                    stream
                );
                ids.insert(data["id"].as_u64().unwrap());
                count += 1;
            }
        }
        (ids, count)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collector(redis: &Redis) -> Program {
    let url = format!("--redis={}", redis.url());
    let good = [
        "--exchange-rate=200",
        "--exchange-drops=0",
        "--exchange-broken=0",
    ];
    Program::start(PROGRAM, &[&good[..], &[&url]].concat())
}

fn published(collector: &Program) -> f64 {
    let text = collector.get("/metrics").text();
    let lines = text.lines();
    let lines = lines.filter(|line| line.starts_with("collector_messages_published_total{"));
    let values = lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>());
    values.map(Result::unwrap).sum()
}

#[test]
fn messages_are_in_streams() {
    let directory = tempfile::tempdir().unwrap();
    let redis = Redis::start(directory.path());
    let mut collector = collector(&redis);
    awaited("messages", || (published(&collector) > 30.0).then_some(()));
    assert_eq!(collector.stdout(), "");
    collector.signal(examples_harness::Signal::SIGTERM);
    assert!(collector.wait().success());
    let (ids, count) = redis.messages();
    assert_eq!(ids.len(), count);
    assert_eq!(ids, (1..=count as u64).collect());
    let windows = collector.stderr();
    let window = windows.lines().find(|line| line.starts_with('{'));
    let window: Json = serde_json::from_str(window.unwrap()).unwrap();
    assert_eq!(window["metrics"]["published"], count);
}

#[test]
fn an_outage_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let redis = Redis::start(directory.path());
    let collector = collector(&redis);
    awaited("messages", || (published(&collector) > 10.0).then_some(()));
    drop(redis);
    let errors = "collector_errors_total{error_type=\"publish_error\"}";
    let buffer = "collector_redis_buffer_messages";
    awaited("errors", || collector.value(errors).filter(|n| *n >= 2.0));
    awaited("a buffer", || {
        collector.value(buffer).filter(|n| *n >= 20.0)
    });
    let before = published(&collector);
    assert_eq!(collector.get("/healthz").text(), "ok");
    let redis = Redis::start(directory.path());
    awaited("more messages", || {
        (published(&collector) > before + 20.0).then_some(())
    });
    awaited("an empty buffer", || {
        collector.value(buffer).filter(|n| *n <= 1.0)
    });
    collector.terminate();
    let (ids, _) = redis.messages();
    assert_eq!(ids, (1..=ids.len() as u64).collect());
}

#[test]
fn a_stream_that_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let redis = Redis::start(directory.path());
    let mut connection = redis.connection().unwrap();
    let mut set = redis::cmd("SET");
    let _: Value = set.arg(STREAMS[0]).arg("x").query(&mut connection).unwrap();
    let collector = collector(&redis);
    let errors = "collector_errors_total{error_type=\"publish_error\"}";
    awaited("errors", || collector.value(errors).filter(|n| *n >= 2.0));
    assert!(collector.stderr().contains("WRONGTYPE"));
    let _: Value = redis::cmd("DEL")
        .arg(STREAMS[0])
        .query(&mut connection)
        .unwrap();
    awaited("messages", || (published(&collector) > 30.0).then_some(()));
    collector.terminate();
}
