//! `gateway --group.aggregate`: sums are exact whatever happens on the way.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use metricsjob_client::Pusher;
use metricsjob_metrics::{Bucket, Count, Family, Kind, Labels, Value};
use rand::RngExt;

use crate::common::campaign::{random, rounds, seed};
use crate::common::own_gateway::{OwnGateway, gateway_command};
use crate::common::{Fault, FaultProxy, Port, Sandbox};

/// Ten instances push a thousand times through a proxy that breaks every other request, begin anew, and delete their
/// groups; the gateway is killed again and again.
#[test]
fn a_thousand_pushes_through_faults() {
    const INSTANCES: usize = 10;
    let pushes = rounds(100);
    let seed = seed();
    let sandbox = Sandbox::new();
    let port = Port::reserve();
    let listen = format!("--web.listen-address={}", port.address());
    let rule = "--group.aggregate=job=\"web\" without (instance)";
    let start = || {
        let mut command = gateway_command(sandbox.path(), &[rule]);
        command.arg(&listen);
        OwnGateway::start_command(command)
    };
    let mut gateway = start();
    let proxy = {
        let mut random = random(seed, INSTANCES);
        FaultProxy::new(&port.address(), move || match Fault::random(&mut random) {
            // It takes effect long after its client has given up.
            Fault::Hang => Fault::None,
            fault => fault,
        })
    };
    let is_over = AtomicBool::new(false);
    let pushed = AtomicUsize::new(0);
    let url = proxy.url();
    let expected: u64 = thread::scope(|scope| {
        let instances: Vec<_> = (0..INSTANCES)
            .map(|instance| {
                let (url, pushed) = (&url, &pushed);
                scope.spawn(move || {
                    let mut random = random(seed, instance);
                    let (mut value, mut total) = (0_u64, 0);
                    for _ in 0..pushes {
                        match random.random_range(0..10) {
                            // A counter that begins anew is below where it was.
                            0 if value > 1 => value = 0,
                            1 => {
                                pusher(url, instance).delete().unwrap();
                                value = 0;
                            }
                            _ => {}
                        }
                        let more = if value == 0 {
                            1
                        } else {
                            random.random_range(0..5)
                        };
                        value += more;
                        total += more;
                        let families = [counted(value), observed(value)];
                        pusher(url, instance).families(families).push().unwrap();
                        pushed.fetch_add(1, Ordering::Relaxed);
                    }
                    total
                })
            })
            .collect();
        let (is_over, pushed) = (&is_over, &pushed);
        let killing = scope.spawn(move || {
            let mut kills = 0;
            while !is_over.load(Ordering::Relaxed) {
                let before = pushed.load(Ordering::Relaxed);
                while pushed.load(Ordering::Relaxed) < before + 100
                    && !is_over.load(Ordering::Relaxed)
                {
                    thread::sleep(Duration::from_millis(1));
                }
                gateway.kill();
                gateway = start();
                kills += 1;
            }
            (gateway, kills)
        });
        let totals = instances
            .into_iter()
            .map(|instance| instance.join().unwrap());
        let expected = totals.sum();
        is_over.store(true, Ordering::Relaxed);
        let (gateway, kills) = killing.join().unwrap();
        println!(
            "{expected} counted, {kills} kills, faults: {:?}",
            proxy.counts()
        );
        assert!(kills >= pushes / 20, "{kills}");
        let value = |series: &str| gateway.value("web", series).unwrap() as u64;
        assert_eq!(value("c_total"), expected);
        assert_eq!(value("h_count"), expected);
        assert_eq!(value("h_sum"), 2 * expected);
        assert_eq!(value("h_bucket{le=\"1\"}"), expected);
        expected
    });
    assert!(expected > 0);
}

fn pusher(url: &str, instance: usize) -> Pusher {
    let pusher = Pusher::new(url, "web").unwrap();
    pusher
        .grouping("instance", format!("i{instance}"))
        .unwrap()
        .timeout(Duration::from_secs(2))
        .retry_for(Duration::from_secs(120))
}

fn counted(value: u64) -> Family {
    Family::counter("c_total", "", value as f64)
}

fn observed(count: u64) -> Family {
    let count = Count::Integer(count);
    let bucket = |upper_bound| Bucket { upper_bound, count };
    let value = Value::Histogram {
        count,
        sum: 2.0 * count.to_f64(),
        buckets: vec![bucket(1.0), bucket(f64::INFINITY)],
        native: None,
    };
    Family::new("h", "", Kind::Histogram, [(Labels::new(), value)])
}
