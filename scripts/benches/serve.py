"""The scheduler: memory while nothing runs, scrapes by number of jobs, and how late runs begin, beside
APScheduler, which starts the same commands."""

import json
import math
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from .server import Server
from .setting import BUILD, METRICSJOB, RIVALS, machine

PACKAGES = {"/usr/share/doc/python3-venv": "python3-venv"}

APSCHEDULER = "APScheduler==3.11.1"

# How long each turn is, in seconds.
TURN = 10

IDLE_JOBS = 100
IDLE_BUDGET = 15e6
SCRAPED_JOBS = 1_000
SCRAPE_BUDGET = 0.010
# Jobs and the interval in seconds: 100 runs/s, in bursts of 10 or of 100.
LOADS = [(10, 0.1), (100, 1.0)]
# A budget for the former: the latter is what the two processors need to start 100 processes at once.
LAG_BUDGETS = {10: 0.050}

NEVER = 'schedule = "0 0 1 1 *"\n'


class Serve(Server):
    name = "metricsjob serve"

    def __init__(self, directory, jobs, plan):
        super().__init__(directory)
        (directory / "jobs").mkdir(exist_ok=True)
        for number in range(jobs):
            text = f'command = ["true"]\n{plan}[grouping]\ndb = "customers-{number}"\n'
            (directory / "jobs" / f"job-{number}.toml").write_text(text)

    def command(self):
        return [METRICSJOB, "serve", "--jobs-dir", str(self.directory / "jobs"), "--state-dir",
                str(self.directory / "state"), "--log.level=error", f"--web.listen-address=127.0.0.1:{self.port}"]

    def numbers(self):
        """Those metrics whose series are without labels, and the buckets of the lag."""
        metrics = {}
        for line in self.get("/metrics")[1].decode().splitlines():
            if not line.startswith("#"):
                series, value = line.rsplit(" ", 1)
                metrics[series] = float(value)
        return metrics

    def cpu(self):
        """Seconds of processor time, its children's included."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return sum(map(int, fields[11:15])) / 100


def idle(scratch):
    server = Serve(scratch / "idle", IDLE_JOBS, NEVER)
    server.start()
    time.sleep(5)
    resident = server.resident()
    # As somebody looks at it now and then.
    for path in ["/metrics", "/", "/api/v1/jobs", "/health"]:
        server.get(path)
    looked_at = server.resident()
    server.stop()
    return {"resident_bytes": resident, "looked_at_resident_bytes": looked_at}


def scrapes(rounds, scratch):
    server = Serve(scratch / "scrape", SCRAPED_JOBS, NEVER)
    server.start()
    for number in range(SCRAPED_JOBS):
        status, body = server.request("POST", f"/api/v1/jobs/job-{number}/runs")
        if status != 202:
            sys.exit(f"{status}: {body}")
    while sum(1 for line in server.get("/metrics")[1].splitlines() if b"_success{" in line) < SCRAPED_JOBS:
        time.sleep(0.2)
    time.sleep(2)
    numbers = {}
    for name, headers in [("plain", {}), ("gzip", {"Accept-Encoding": "gzip"})]:
        taken = [server.scrape(headers) for _ in range(3 + 5 * rounds)][3:]
        numbers[name] = {"seconds": statistics.median(seconds for seconds, _ in taken), "bytes": taken[-1][1]}
    numbers["resident_bytes"] = server.resident()
    server.stop()
    return numbers


def quantile(buckets, wanted):
    """From the cumulative counts by upper bound, as PromQL interpolates it."""
    buckets = sorted(buckets.items())
    rank = wanted * buckets[-1][1]
    bound_below, count_below = 0.0, 0.0
    for bound, count in buckets:
        if count >= rank:
            if math.isinf(bound):
                return bound_below
            return bound_below + (bound - bound_below) * (rank - count_below) / max(count - count_below, 1)
        bound_below, count_below = bound, count


def ours(jobs, interval, scratch):
    server = Serve(scratch / f"lag-{jobs}-{time.monotonic_ns()}", jobs, f'every = "{interval * 1000:.0f}ms"\n')
    server.start()
    # What belongs to the start is over.
    time.sleep(2)
    before, cpu = server.numbers(), server.cpu()
    time.sleep(TURN)
    after, cpu = server.numbers(), server.cpu() - cpu
    server.stop()
    name = "metricsjob_schedule_lag_seconds"
    bounds = [series for series in after if series.startswith(name + "_bucket")]
    buckets = {
        float(series.split('le="')[1].split('"')[0].replace("+Inf", "inf")): after[series] - before[series]
        for series in bounds
    }
    runs = after[name + "_count"] - before[name + "_count"]
    outcomes = [series for series in after if series.startswith("batch_job_runs_total") and "success" not in series]
    return {
        "runs_per_second": runs / TURN,
        "lost": sum(after[series] for series in outcomes) + sum(
            value for series, value in after.items() if series.startswith("metricsjob_missed_runs_total")
        ),
        "lag_p50_seconds": quantile(buckets, 0.5),
        "lag_p99_seconds": quantile(buckets, 0.99),
        "cpu_seconds_per_run": cpu / runs,
    }


def theirs(jobs, interval):
    venv = BUILD / "apscheduler"
    python = venv / "bin" / "python3"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", APSCHEDULER]
        subprocess.run(pip, check=True)
    command = [str(python), str(RIVALS / "schedule.py"), str(jobs), str(interval), str(TURN)]
    result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    lags = result["lags"]
    return {
        "runs_per_second": result["runs"] / TURN,
        "lost": result["lost"],
        "lag_p50_seconds": lags[len(lags) // 2],
        "lag_p99_seconds": lags[int(len(lags) * 0.99)],
        "cpu_seconds_per_run": result["cpu_seconds"] / result["runs"],
    }


def medians(turns):
    return {name: statistics.median(turn[name] for turn in turns) for name in turns[0]}


def bench(rounds):
    """Prints the tables. Returns the numbers, and which budgets do not hold."""
    rounds = rounds or 3
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        memory = idle(scratch)
        scraped = scrapes(rounds, scratch)
        lags = {}
        for jobs, interval in LOADS:
            turns = {Serve.name: [], "APScheduler": []}
            for _ in range(rounds):
                turns[Serve.name].append(ours(jobs, interval, scratch))
                turns["APScheduler"].append(theirs(jobs, interval))
            lags[jobs] = {name: medians(values) for name, values in turns.items()}

    print(f"\n`metricsjob serve` on {machine()}; medians of {rounds} rounds.\n")
    print(f"Idle with {IDLE_JOBS} jobs: {memory['resident_bytes'] / 1e6:.1f} MB resident, "
          f"{memory['looked_at_resident_bytes'] / 1e6:.1f} MB after a look at each page.")
    for name in ["plain", "gzip"]:
        number = scraped[name]
        print(f"Scrape of {SCRAPED_JOBS:,} jobs that have run, {name}: {number['seconds'] * 1000:.1f} ms, "
              f"{number['bytes'] / 1e6:.2f} MB.")
    print(f"Resident with them: {scraped['resident_bytes'] / 1e6:.0f} MB.\n")
    print("| 100 runs/s of `true` | runs/s | lost | lag p50 | lag p99 | CPU per run |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for jobs, by_name in lags.items():
        for name, number in by_name.items():
            print(f"| {name}, {jobs} at a time | {number['runs_per_second']:.0f} | {number['lost']:.0f} "
                  f"| {number['lag_p50_seconds'] * 1000:.1f} ms | {number['lag_p99_seconds'] * 1000:.1f} ms "
                  f"| {number['cpu_seconds_per_run'] * 1000:.1f} ms |")
    numbers = {"rounds": rounds, "idle": memory, "scrape": scraped, "lag": lags}
    return numbers, over_budget(memory, scraped, lags)


def over_budget(memory, scraped, lags):
    failed = []
    if memory["resident_bytes"] > IDLE_BUDGET:
        failed.append(f"{memory['resident_bytes'] / 1e6:.1f} MB idle > {IDLE_BUDGET / 1e6:.0f} MB")
    if scraped["plain"]["seconds"] > SCRAPE_BUDGET:
        failed.append(f"scrape of {SCRAPED_JOBS:,} jobs: {scraped['plain']['seconds'] * 1000:.1f} ms > "
                      f"{SCRAPE_BUDGET * 1000:.0f} ms")
    for jobs, by_name in lags.items():
        number = by_name[Serve.name]
        budget = LAG_BUDGETS.get(jobs, math.inf)
        if number["lag_p99_seconds"] > budget:
            failed.append(f"lag p99 with {jobs} at a time: {number['lag_p99_seconds'] * 1000:.0f} ms > "
                          f"{budget * 1000:.0f} ms")
        if number["lost"]:
            failed.append(f"{number['lost']:.0f} runs lost with {jobs} at a time")
    return failed
