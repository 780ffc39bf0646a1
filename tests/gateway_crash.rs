//! The gateway is killed at any moment: whatever it has acknowledged is there when it runs again.
//!
//! `METRICSJOB_TEST_ROUNDS` is the rounds in thousandths of the normal, `METRICSJOB_TEST_SEED` the seed.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::ChaCha8Rng;

use crate::common::PATIENCE;
use crate::common::campaign::{random, rounds, seed};
use crate::common::http::{Answer, exchange};
use crate::common::own_gateway::OwnGateway;

const CLIENTS: usize = 4;

/// What a group has of the families `a`, which a PUT sets alone, and `b`, which a POST adds.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Values {
    a: Option<u64>,
    b: Option<u64>,
}

/// What is known of a group.
#[derive(Debug, Default, Clone, Copy)]
struct Known {
    acknowledged: Values,
    /// What it is, if the request that was not answered has come through.
    sent: Option<Values>,
}

/// What the clients send.
struct Load {
    groups: usize,
    /// How large the largest body is.
    padding: usize,
    /// How long it is until the gateway is killed, in milliseconds.
    millis: u64,
    /// For how long there was no load then.
    idle: Range<u64>,
}

/// Changes groups of its own, until it is to stop or the gateway has gone. Returns how many changes were
/// acknowledged.
fn client(
    address: &str,
    load: &Load,
    stop: &AtomicBool,
    groups: &mut BTreeMap<usize, Known>,
    random: &mut ChaCha8Rng,
    number: &mut u64,
) -> usize {
    let ids: Vec<usize> = groups.keys().copied().collect();
    for count in 0.. {
        if stop.load(Relaxed) {
            return count;
        }
        let id = ids[random.random_range(0..ids.len())];
        let known = groups.get_mut(&id).unwrap();
        *number += 1;
        let (method, name) = match random.random_range(0..10) {
            0..5 => ("PUT", "a"),
            5..8 => ("POST", "b"),
            _ => ("DELETE", ""),
        };
        let value = Some(*number);
        let mut body = String::new();
        let mut after = known.acknowledged;
        match method {
            "PUT" => after = Values { a: value, b: None },
            "POST" => after.b = value,
            _ => after = Values::default(),
        }
        if !name.is_empty() {
            body = format!("crash_{name} {number}\n");
            let padding = random.random_range(0..=load.padding) / 100;
            body += &format!("# {}\n", "p".repeat(97)).repeat(padding);
        }
        known.sent = Some(after);
        let path = format!("/metrics/job/crash/group/{id}");
        let answer = exchange(PATIENCE, address, method, &path, &[], body.as_bytes());
        let Ok(Answer { status, body, .. }) = answer else {
            return count;
        };
        match status {
            200 | 202 => {
                known.acknowledged = after;
                known.sent = None;
            }
            // It is ending.
            503 => return count,
            _ => panic!("{method} {path}: {status} {body}"),
        }
    }
    unreachable!()
}

/// What the gateway has.
fn found(gateway: &OwnGateway) -> BTreeMap<usize, Values> {
    let mut found: BTreeMap<usize, Values> = BTreeMap::new();
    for (series, value) in gateway.samples("crash_") {
        let (_, rest) = series.split_once("group=\"").unwrap();
        let id = rest.split_once('"').unwrap().0.parse().unwrap();
        let values = found.entry(id).or_default();
        if series.starts_with("crash_a") {
            values.a = Some(value as u64)
        } else {
            values.b = Some(value as u64)
        }
    }
    found
}

/// Has clients change groups, and ends the gateway meanwhile or afterwards by `end`, again and again.
fn campaign(load: &Load, rounds: usize, end: impl Fn(&mut OwnGateway)) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let seed = seed();
    let mut choices = random(seed, CLIENTS);
    let mut clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let ids = (0..load.groups).filter(|id| id % CLIENTS == client);
            let groups: BTreeMap<_, _> = ids.map(|id| (id, Known::default())).collect();
            (groups, random(seed, client), 0)
        })
        .collect();
    let mut acknowledged = 0;
    for round in 0..rounds {
        let mut gateway = start_and_check(dir.path(), &mut clients, round);
        let address = gateway.address().to_owned();
        let millis = choices.random_range(1..=load.millis);
        let idle = if load.idle.is_empty() {
            None
        } else {
            Some(choices.random_range(load.idle.clone()))
        };
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let (address, stop) = (&address, &stop);
            let clients: Vec<_> = clients
                .iter_mut()
                .map(|(groups, random, number)| {
                    scope.spawn(move || client(address, load, stop, groups, random, number))
                })
                .collect();
            thread::sleep(Duration::from_millis(millis));
            if idle.is_none() {
                end(&mut gateway);
            }
            stop.store(true, Relaxed);
            for client in clients {
                acknowledged += client.join().unwrap();
            }
            if let Some(idle) = idle {
                thread::sleep(Duration::from_millis(idle));
                end(&mut gateway);
            }
        });
    }
    let gateway = start_and_check(dir.path(), &mut clients, rounds);
    let memory = gateway.peak_mib();
    println!("{acknowledged} changes were acknowledged in {rounds} rounds; {memory} MiB then");
    assert!(acknowledged > rounds, "{acknowledged}");
    // However often it was killed: it has some thousand groups of one line.
    assert!(memory < 100, "{memory} MiB");
    dir
}

type Client = (BTreeMap<usize, Known>, ChaCha8Rng, u64);

/// What was acknowledged is there; what was not may be.
fn start_and_check(dir: &Path, clients: &mut [Client], round: usize) -> OwnGateway {
    let gateway = OwnGateway::start(dir, &[]);
    assert!(
        !gateway.log().contains("level=error"),
        "round {round}: {}",
        gateway.log()
    );
    let found = found(&gateway);
    for (groups, _, _) in clients {
        for (id, known) in groups {
            let found = found.get(id).copied().unwrap_or_default();
            assert!(
                found == known.acknowledged || Some(found) == known.sent,
                "round {round}, group {id}: {found:?}, but {known:?}"
            );
            *known = Known {
                acknowledged: found,
                sent: None,
            };
        }
    }
    gateway
}

#[test]
fn killed_under_load() {
    let load = Load {
        groups: 100,
        padding: 1000,
        millis: 200,
        idle: 0..0,
    };
    campaign(&load, rounds(100), |gateway| gateway.kill());
}

/// The log grows so fast that it is folded all the time, in several transactions for so many groups.
#[test]
fn killed_while_the_log_is_folded() {
    let load = Load {
        groups: 3000,
        padding: 500_000,
        millis: 2000,
        idle: 0..0,
    };
    campaign(&load, rounds(10), |gateway| gateway.kill());
}

/// It folds the log a second after the last change.
#[test]
fn killed_while_it_tidies_up() {
    let load = Load {
        groups: 3000,
        padding: 10_000,
        millis: 500,
        idle: 1000..1050,
    };
    campaign(&load, rounds(10), |gateway| gateway.kill());
}

#[test]
fn terminated_under_load() {
    let load = Load {
        groups: 1000,
        padding: 10_000,
        millis: 500,
        idle: 0..0,
    };
    let dir = campaign(&load, rounds(5), |gateway| {
        assert_eq!(gateway.terminate(), Some(0), "{}", gateway.log());
    });
    let mut gateway = OwnGateway::start(dir.path(), &[]);
    gateway.put("/metrics/job/last", "last 1\n");
    assert_eq!(gateway.terminate(), Some(0), "{}", gateway.log());
    let database = rusqlite::Connection::open(dir.path().join("state.db")).unwrap();
    let count = |table: &str| -> i64 {
        let count = format!("SELECT count(*) FROM {table}");
        database.query_row(&count, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(count("push_log"), 0);
    assert!(count("groups") > 1);
}
