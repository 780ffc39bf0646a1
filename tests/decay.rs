//! Bounds on what grows unnoticed, little by little. None of them depends on the clock.
//!
//! System calls are counted by `strace`, allocated bytes by functions in front of the C library's. How many statements
//! SQLite runs cannot be seen from outside the program, but how often it reads its files can.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;

use serde_json::{Value as Json, json};

use crate::common::own_gateway::{OwnGateway, gateway_command};
use crate::common::own_server::wrapped;
use crate::common::{FakeServer, Sandbox, US};

/// Measured quantities with their upper bounds: where one is not the same each time, about a tenth more than there was
/// when the line was last changed. Who makes something cheaper lowers its bound.
const BOUNDS: [(&str, u64); 11] = [
    ("system calls of a run", 385),
    ("files opened by a run", 14),
    ("syncs of a run", 2),
    ("system calls of exec", 670),
    ("files opened by exec", 20),
    ("syncs of exec", 2),
    // An index leads it to the groups that it could collide with.
    (
        "% of the reads beside 10 groups, of an embedded push beside 10000",
        150,
    ),
    ("bytes allocated by a push to the gateway", 77_000),
    ("crates of the program", 191),
    // prost and snap, for remote write, were among the crates before.
    ("direct dependencies of the program", 39),
    // 12 MB, which is the budget.
    ("KiB of the release build", 11_718),
];

#[track_caller]
fn is_bounded(what: &str, found: usize) {
    let (_, most) = BOUNDS.iter().find(|(name, _)| *name == what).unwrap();
    println!("{what}: {found}, of at most {most}");
    assert!(found > 0, "no {what}: it is not measured");
    assert!(found as u64 <= *most, "{what}: {found}, not {most} at most");
}

/// A home in which nothing of others is found, as the default directory of temporary files has it.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let tmp = sandbox.path().join("tmp");
    fs::create_dir(&tmp).unwrap();
    sandbox.variable("TMPDIR", tmp.display().to_string())
}

/// The lines of `strace` for the program with these arguments, which ends well.
#[track_caller]
fn traced(sandbox: &Sandbox, line: &str) -> Vec<String> {
    let trace = sandbox.path().join("trace");
    let strace = ["strace", "-f", "-y", "-qq", "-o", trace.to_str().unwrap()];
    let mut command = wrapped(&strace, &sandbox.command(line.split(' ')));
    let output = command.output().expect("strace (scripts/test installs it)");
    assert!(output.status.success(), "{output:?}");
    let trace = fs::read_to_string(trace).unwrap();
    let calls = trace.lines().filter_map(|line| line.split_once(' '));
    calls.map(|(_, call)| call.trim().to_owned()).collect()
}

/// How many calls there are of these, where only their begin counts if others came in between.
fn count(calls: &[String], is_counted: impl Fn(&str) -> bool) -> usize {
    let names = calls.iter().filter_map(|call| call.split_once('('));
    names.filter(|(name, _)| is_counted(name)).count()
}

/// Returns true for system calls whose number depends on the scheduler.
fn waits(name: &str) -> bool {
    let waiting = ["clock_nanosleep", "epoll_wait", "futex", "poll", "ppoll"];
    waiting.contains(&name) || name == "sched_yield" || name == "restart_syscall"
}

fn costs(job: &str, line: &str, by: &str) {
    let sandbox = sandbox();
    // The first one makes the state.
    sandbox.run(line).code(0);
    let calls = traced(&sandbox, line);
    let is_opened = |call: &&String| {
        let begins = call.starts_with("open") || call.starts_with("<... open");
        let result = call.rsplit_once(" = ").map(|(_, result)| result);
        begins && result.is_some_and(|result| result.starts_with(|c: char| c.is_ascii_digit()))
    };
    is_bounded(
        &format!("system calls of {job}"),
        count(&calls, |name| !waits(name)),
    );
    is_bounded(
        &format!("files opened by {by}"),
        calls.iter().filter(is_opened).count(),
    );
    is_bounded(
        &format!("syncs of {job}"),
        count(&calls, |name| ["fsync", "fdatasync"].contains(&name)),
    );
}

#[test]
fn a_run() {
    costs("a run", "run backup --set duration=0s --quiet", "a run");
}

#[test]
fn exec() {
    costs("exec", "exec --quiet -- true", "exec");
}

/// How often a push reads the embedded gateway's files beside so many groups.
fn reads_beside(groups: usize) -> usize {
    let sandbox = sandbox();
    let group = |n: usize| {
        json!({
            "labels": {"job": "j", "n": n.to_string()},
            "last_push_successful": true,
            "push_time_seconds": {"type": "GAUGE", "metrics": [{"labels": {}, "value": "1e+09"}]},
            "m": {"type": "UNTYPED", "metrics": [{"labels": {"n": n.to_string()}, "value": "1"}]},
        })
    };
    let groups: Vec<Json> = (0..groups).map(group).collect();
    let all = json!({"status": "success", "data": groups}).to_string();
    let others = FakeServer::status("200 OK", &all);
    let import = format!("gateway import {} --push-timeout 1m", others.url());
    sandbox.run(&import).code(0);
    sandbox.write("body", "m 1\n");
    sandbox.run("push --job one --quiet body").code(0);
    let calls = traced(&sandbox, "push --job one --quiet body");
    let mut reads = calls;
    reads.retain(|call| call.contains("/state.db"));
    count(&reads, |name| ["pread64", "read"].contains(&name))
}

#[test]
fn an_embedded_push_beside_many_groups() {
    let (few, many) = (reads_beside(10), reads_beside(10_000));
    println!("{few} reads beside 10 groups, {many} beside 10000");
    is_bounded(BOUNDS[6].0, many * 100 / few);
}

/// Adds up what is asked of the C library in a file.
const COUNTER: &str = r#"
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t), *__libc_memalign(size_t, size_t);
static _Atomic unsigned long long before, *bytes = &before;
__attribute__((constructor)) static void start(void) {
    int file = open(getenv("ALLOCATED"), O_RDWR);
    void *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (page == MAP_FAILED) abort();
    bytes = page;
}
void *malloc(size_t size) { *bytes += size; return __libc_malloc(size); }
void *calloc(size_t n, size_t size) { *bytes += n * size; return __libc_calloc(n, size); }
void *realloc(void *old, size_t size) { *bytes += size; return __libc_realloc(old, size); }
void *memalign(size_t to, size_t size) { *bytes += size; return __libc_memalign(to, size); }
void *aligned_alloc(size_t to, size_t size) { return memalign(to, size); }
int posix_memalign(void **place, size_t to, size_t size) {
    return (*place = memalign(to, size)) ? 0 : ENOMEM;
}
"#;

fn counter(dir: &Path) -> std::path::PathBuf {
    let (source, library) = (dir.join("counter.c"), dir.join("counter.so"));
    fs::write(&source, COUNTER).unwrap();
    let cc = Command::new("cc")
        .args(["-O1", "-fno-builtin", "-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .output()
        .expect("cc (scripts/test installs it)");
    assert!(cc.status.success(), "{cc:?}");
    library
}

#[test]
fn a_push_to_the_gateway() {
    const PUSHES: usize = 200;
    let sandbox = Sandbox::new();
    let allocated = sandbox.write("allocated", [0; 4096]);
    let mut command = gateway_command(&sandbox.path().join("state"), &[]);
    command
        .env("LD_PRELOAD", counter(sandbox.path()))
        .env("ALLOCATED", &allocated);
    let gateway = OwnGateway::start_command(command);
    let mut stream = gateway.connect();
    let series = (0..100).map(|n| format!("a{{l=\"{n}\"}} {n}\n"));
    let body = format!("# TYPE a gauge\n{}", series.collect::<String>());
    let length = body.len();
    let mut push = |count: usize| {
        for n in 0..count {
            let group = n % 10;
            let head = format!("PUT /metrics/job/j/n/{group} HTTP/1.1\r\nHost: localhost\r\n");
            let message = format!("{head}Content-Length: {length}\r\n\r\n{body}");
            stream.write_all(message.as_bytes()).unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(b"\r\n\r\n") {
                let mut part = [0; 1024];
                let count = stream.read(&mut part).unwrap();
                answer.extend_from_slice(&part[..count]);
            }
            assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"), "{answer:?}");
        }
        let bytes = fs::read(&allocated).unwrap();
        u64::from_ne_bytes(bytes[..8].try_into().unwrap()) as usize
    };
    let before = push(PUSHES);
    let after = push(PUSHES);
    is_bounded(
        "bytes allocated by a push to the gateway",
        (after - before) / PUSHES,
    );
}

/// The names in `cargo tree` that are not of this workspace.
fn crates(options: &[&str]) -> usize {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--edges", "normal", "--prefix", "none"])
        .args(["--package", "metricsjob", "--format", "{p}"])
        .args(options)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let text = String::from_utf8(tree.stdout).unwrap();
    let names: BTreeSet<&str> = text.lines().filter_map(|it| it.split(' ').next()).collect();
    let others = names.iter().filter(|name| !name.starts_with("metricsjob"));
    others.count()
}

#[test]
fn what_it_is_built_on() {
    is_bounded("crates of the program", crates(&[]));
    is_bounded(
        "direct dependencies of the program",
        crates(&["--depth", "1"]),
    );
    // A debug build may be as large as it is.
    let program = Path::new(&*US);
    if program.parent().unwrap().ends_with("release") {
        let size = fs::metadata(program).unwrap().len();
        is_bounded("KiB of the release build", size as usize / 1024);
    }
}
