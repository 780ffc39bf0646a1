"""One push of a backup's report, from process start to exit, and what a wrapper adds to its command."""

import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

from .setting import BUILD, METRICSJOB, RIVALS, machine

# (name, our share of the rival's time at most)
BUDGETS = {"Go client_golang": 0.95}
MEMORY_BUDGET = 9_500_000
# What `exec` may add to a command that takes no time at all, in seconds.
EXEC_BUDGET = 0.002
# What the history and the outbox may add to a run, in seconds.
BOOKKEEPING_BUDGET = 0.001
# How long after its job's end a run may end whose gateway refuses connections, in seconds.
DEAD_GATEWAY_BUDGET = 0.05
BINARY_BUDGET = 12 * 1000 * 1000

PACKAGES = {
    "/usr/bin/time": "time",
    "prometheus-pushgateway": "prometheus-pushgateway",
    "hyperfine": "hyperfine",
    "curl": "curl",
    "cc": "gcc",
    "go": "golang-go",
    "/usr/share/gocode/src/github.com/prometheus/client_golang": "golang-github-prometheus-client-golang-dev",
    "/usr/lib/python3/dist-packages/prometheus_client": "python3-prometheus-client",
}


def build_rivals():
    """Those that have to be compiled."""
    environment = os.environ | {
        "GOPATH": "/usr/share/gocode",
        "GO111MODULE": "off",
        "GOCACHE": str(BUILD / "go-cache"),
        "GOFLAGS": "",
    }
    subprocess.run(
        ["go", "build", "-o", str(BUILD / "push-go"), str(RIVALS / "push.go")],
        env=environment,
        check=True,
    )
    subprocess.run(["cc", "-O2", "-o", str(BUILD / "spawn"), str(RIVALS / "spawn.c")], check=True)


class Pushgateway:
    """A real one, on a free port, without persistence."""

    def __enter__(self):
        self.process = subprocess.Popen(
            ["prometheus-pushgateway", "--web.listen-address=127.0.0.1:0", "--persistence.file="],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        for line in self.process.stderr:
            found = re.search(r'Listening on" address=(\S+)', line)
            if found:
                self.address = found[1]
                return self
        sys.exit("the Pushgateway did not start")

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def report_body(metricsjob, scratch):
    """What `run backup` pushes, as a file for curl."""
    printed = subprocess.run(
        [metricsjob, "run", "backup", "--set", "duration=0s", "--dry-run", "--quiet"],
        check=True,
        capture_output=True,
        text=True,
        env=clean_environment(scratch),
    ).stdout
    file = scratch / "body.prom"
    file.write_text(printed.split("\n\n", 1)[1])
    return file


def clean_environment(scratch):
    """A home without job files and without a proxy."""
    return {"HOME": str(scratch), "PATH": os.environ["PATH"]}


def measure(commands, rounds, scratch):
    """Medians in seconds by name; the commands take turns round by round."""
    times = {name: [] for name in commands}
    result = scratch / "hyperfine.json"
    for _ in range(rounds):
        for name, command in commands.items():
            runs = 10 if "Python" in str(name) else 60
            subprocess.run(
                ["hyperfine", "--shell=none", "--warmup=3", f"--runs={runs}", "--style=none",
                 f"--export-json={result}", " ".join(command)],
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=scratch,
                env=clean_environment(scratch),
            )
            times[name] += json.loads(result.read_text())["results"][0]["times"]
    return {name: statistics.median(all_times) for name, all_times in times.items()}


def wrappers(metricsjob):
    """`true`, alone and with something around it. The C program does nothing but start it and wait. Nobody
    listens at port 1."""
    true = shutil.which("true")
    return {
        "true": [true],
        "C program around it": [str(BUILD / "spawn"), true],
        "exec, recorded": [metricsjob, "exec", "--no-push", "--", true],
        "exec, recorded and pushed to the embedded gateway": [metricsjob, "exec", "--", true],
        "exec, its gateway dead": [metricsjob, "exec", "--gateway", "http://127.0.0.1:1", "--", true],
    }


def peak_memory(command, scratch):
    """The most memory that a command has resident, in bytes; the median of nine runs."""
    peaks = []
    for _ in range(9):
        timed = subprocess.run(
            ["/usr/bin/time", "--format=%M", *command],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            cwd=scratch,
            env=clean_environment(scratch),
        )
        peaks.append(int(timed.stderr.split()[-1]) * 1024)
    return statistics.median(peaks)


def bench(rounds):
    """Prints the tables. Returns the numbers, and which budgets do not hold."""
    rounds = rounds or 10
    build_rivals()
    metricsjob = METRICSJOB
    us = "metricsjob run"
    no_state = "metricsjob run, without state"
    with Pushgateway() as gateway, tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        url = f"http://{gateway.address}"
        body = report_body(metricsjob, scratch)
        commands = {
            us: [metricsjob, "run", "backup", "-g", "db=rust", "--set", "duration=0s",
                 "--quiet", "--gateway", url],
            # Neither history nor outbox, and a warning that nobody reads: what those two cost.
            no_state: [metricsjob, "run", "backup", "-g", "db=rust", "--set", "duration=0s",
                       "--quiet", "--gateway", url, "--state-dir", "/dev/null/none"],
            "Go client_golang": [str(BUILD / "push-go"), url],
            "curl": ["curl", "-sS", "--fail", "-X", "POST", "--data-binary", f"@{body}",
                     f"{url}/metrics/job/db_backup/db/curl"],
            "Python prometheus_client": ["/usr/bin/python3", str(RIVALS / "push.py"), url],
        }
        times = measure(commands, rounds, scratch)
        wrapped = measure(wrappers(metricsjob), rounds, scratch)
        memory = {name: peak_memory(command, scratch) for name, command in commands.items()}
    binary = os.path.getsize(metricsjob)

    print("One push of a backup's report to a Pushgateway on loopback, from process start to exit.")
    print(f"{machine()}; medians of {rounds} rounds.\n")
    print("| | time | metricsjob / it | budget | peak memory |")
    print("| --- | ---: | ---: | ---: | ---: |")
    failed = []
    for name, seconds in times.items():
        ratio = times[us] / seconds
        budget = BUDGETS.get(name)
        print(f"| {name} | {seconds * 1000:.2f} ms | {ratio:.2f} | "
              f"{f'≤ {budget}' if budget else ''} | {memory[name] / 1e6:.1f} MB |")
        if budget and ratio > budget:
            failed.append(f"{name}: {ratio:.2f} > {budget}")
    bookkeeping = times[us] - times[no_state]
    print(f"\nHistory and outbox: {bookkeeping * 1000:.2f} ms of it "
          f"(budget: {BOOKKEEPING_BUDGET * 1000:.0f} ms).")
    if bookkeeping > BOOKKEEPING_BUDGET:
        failed.append(f"history and outbox: {bookkeeping * 1000:.2f} ms")
    print(f"\nBinary: {binary / 1e6:.1f} MB (budget: {BINARY_BUDGET / 1e6:.0f} MB). "
          f"Peak memory: {memory[us] / 1e6:.1f} MB (budget: {MEMORY_BUDGET / 1e6:.1f} MB).")
    if memory[us] > MEMORY_BUDGET:
        failed.append(f"peak memory {memory[us]} > {MEMORY_BUDGET} bytes")
    if binary > BINARY_BUDGET:
        failed.append(f"binary {binary} > {BINARY_BUDGET} bytes")
    print("\nWhat a wrapper adds to `true`, which takes no time at all.\n")
    print("| | time | over bare true | budget |")
    print("| --- | ---: | ---: | ---: |")
    for name, seconds in wrapped.items():
        added = seconds - wrapped["true"]
        budget = {"exec, recorded": EXEC_BUDGET, "exec, its gateway dead": DEAD_GATEWAY_BUDGET}.get(name)
        print(f"| {name} | {seconds * 1000:.2f} ms | {added * 1000:.2f} ms | "
              f"{f'≤ {budget * 1000} ms' if budget else ''} |")
        if budget and added > budget:
            failed.append(f"{name}: {added * 1000:.2f} ms over bare true > {budget * 1000} ms")
    numbers = {
        "rounds": rounds,
        "binary_bytes": binary,
        "rivals": {
            name: {"seconds": times[name], "peak_memory_bytes": memory[name], "ratio": times[us] / times[name]}
            for name in times
        },
        "bookkeeping_seconds": bookkeeping,
        "wrappers": {name: {"seconds": wrapped[name]} for name in wrapped},
    }
    return numbers, failed
