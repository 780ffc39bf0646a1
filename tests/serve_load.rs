//! `serve` under load: many clients read while runs go on. `scripts/soak` does it for ten minutes and more.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use super::common::campaign::rounds;
use super::common::own_server::{OwnServer, job};
use super::common::{Sandbox, kib};

const CLIENTS: usize = 50;

/// What they ask for, in turns.
const PATHS: [&str; 6] = [
    "/metrics",
    "/api/v1/jobs",
    "/api/v1/jobs/job-1/runs",
    "/",
    "/api/v1/jobs/job-2",
    "/health",
];

/// For how long, in seconds, in `scripts/test`; `scripts/soak` has twenty times as much.
const SECONDS: usize = 30;

/// What the memory may grow by after the first fifth of the time, as allocators and caches settle.
const SLACK: f64 = 8e6;

#[test]
fn fifty_clients_while_jobs_run() {
    let sandbox = Sandbox::new();
    for number in 0..20 {
        let lines = "every = '250ms'\nkeep = 50\noverlap = 'allow'";
        job(&sandbox, &format!("job-{number}"), lines, "echo done >&2");
    }
    let server = OwnServer::start(&sandbox, "--log-window=0");
    let time = Duration::from_secs(rounds(SECONDS) as u64);
    let (is_over, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut memory = Vec::new();
    let start = Instant::now();
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (server, is_over, answered) = (&server, &is_over, &answered);
            scope.spawn(move || {
                for path in PATHS.iter().cycle().skip(client) {
                    let answer = server.get(path);
                    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
                    answered.fetch_add(1, Relaxed);
                    if is_over.load(Relaxed) {
                        return;
                    }
                }
            });
        }
        while start.elapsed() < time {
            thread::sleep(time / 100);
            memory.push(resident(server.pid()));
        }
        is_over.store(true, Relaxed);
    });
    let settled = memory[memory.len() / 5];
    let last = memory[memory.len() - memory.len() / 10..].iter();
    let last = last.copied().fold(f64::INFINITY, f64::min);
    let ended = server.sum("batch_job_runs_total");
    println!(
        "{} s: {} answers, {ended} runs, {:.1} MB after a fifth of it, {:.1} MB at the end",
        time.as_secs(),
        answered.load(Relaxed),
        settled / 1e6,
        last / 1e6,
    );
    assert!(last < settled * 1.1 + SLACK, "{memory:?}");
    assert_eq!(
        server.log().matches("level=error").count(),
        0,
        "{}",
        server.log()
    );
    assert!(ended > 0.0);
    let errors = server.samples("errors_total");
    assert!(errors.values().all(|count| *count == 0.0), "{errors:?}");
}

/// Bytes of memory.
fn resident(pid: u32) -> f64 {
    kib(pid, "VmRSS") as f64 * 1024.0
}
