//! What campaigns share: tests of many rounds with random choices, several at a time.

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
#[cfg(feature = "real-servers")]
use {super::gateway::Samples, super::server::Server, std::collections::BTreeSet, std::thread};

#[cfg(feature = "real-servers")]
pub const WORKERS: usize = 4;

/// `normal`, or as much more or less of it as is asked for.
pub fn rounds(normal: usize) -> usize {
    let rounds = std::env::var("METRICSJOB_TEST_ROUNDS");
    let thousandths = rounds.map_or(1000, |rounds| rounds.parse().unwrap());
    (normal * thousandths / 1000).max(1)
}

/// The seed of a test, which its output shows.
pub fn seed() -> u64 {
    let seed = std::env::var("METRICSJOB_TEST_SEED").map_or(1, |seed| seed.parse().unwrap());
    println!("METRICSJOB_TEST_SEED={seed}");
    seed
}

/// Random choices of their own for each `stream` of a seed.
pub fn random(seed: u64, stream: usize) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(stream as u64);
    random
}

#[cfg(feature = "real-servers")]
/// Has each worker do `work` at the same time, and returns what they return.
pub fn on_workers<T: Send>(work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let work = &work;
        let start = |worker| scope.spawn(move || work(worker));
        let workers: Vec<_> = (0..WORKERS).map(start).collect();
        workers.into_iter().map(|it| it.join().unwrap()).collect()
    })
}

#[cfg(feature = "real-servers")]
/// What jobs have pushed, without our metrics about delivery, which tell of the faults. What a clock
/// or the system measured is 1, so that it counts whether it is there; a failed push is never.
pub fn pushed(gateway: &Server) -> Samples {
    let samples = gateway.samples().into_iter();
    samples
        .filter(|(series, _)| !series.contains(r#"job="metricsjob""#))
        .map(|(series, value)| {
            let name = series.split('{').next().unwrap();
            let is_measured = name.ends_with("_seconds") || name.ends_with("_bytes");
            let value = if is_measured && name != "push_failure_time_seconds" {
                1.0
            } else {
                value
            };
            (series, value)
        })
        .collect()
}

#[cfg(feature = "real-servers")]
/// Asserts equality, and shows what differs.
#[track_caller]
pub fn assert_same(found: &Samples, expected: &Samples) {
    let all: BTreeSet<_> = found.keys().chain(expected.keys()).collect();
    let differing: Vec<String> = all
        .into_iter()
        .map(|series| (series, found.get(series), expected.get(series)))
        .filter(|(_, found, expected)| found != expected)
        .map(|(series, found, expected)| format!("{series}: {found:?} instead of {expected:?}"))
        .collect();
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}
