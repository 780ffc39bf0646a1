"""The gateway: pushes per second, scrapes, memory and start-up, by number of groups, beside the Pushgateway
and VictoriaMetrics.

A push is a backup's report of four series to a random group. Ours checks it against all groups and answers
once it is synced to the disk. The Pushgateway keeps it in memory, and VictoriaMetrics neither checks nor syncs.
"""

import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from .server import Server
from .setting import METRICSJOB, RIVALS, machine

PACKAGES = {
    "prometheus-pushgateway": "prometheus-pushgateway",
    "victoria-metrics": "victoria-metrics",
    "wrk": "wrk",
}

GROUPS = [10, 1_000, 10_000, 100_000]
CONNECTIONS = [64, 8]
# How long each turn is, in seconds.
TURN = 5

PUSHES_BUDGET = 30_000
# How far from each other the fastest and the slowest number of groups may be.
EVENNESS_BUDGET = 0.8
SCRAPE_BUDGET = 0.020
MEMORY_BUDGETS = {10_000: 50e6, 100_000: 200e6}
START_BUDGET = 2.0

BODY = """\
# HELP db_backup_duration_seconds How long the last run took.
# TYPE db_backup_duration_seconds gauge
db_backup_duration_seconds 12.503117
# HELP db_backup_last_completion_timestamp_seconds When the last run ended, in seconds since the epoch.
# TYPE db_backup_last_completion_timestamp_seconds gauge
db_backup_last_completion_timestamp_seconds 1795271699.17
# HELP db_backup_last_success_timestamp_seconds When a run last succeeded, in seconds since the epoch.
# TYPE db_backup_last_success_timestamp_seconds gauge
db_backup_last_success_timestamp_seconds 1795271699.17
# HELP db_backup_records_processed Records in the last backup.
# TYPE db_backup_records_processed gauge
db_backup_records_processed 42
"""
SERIES = 4


class Gateway(Server):
    """One that is pushed to."""

    method = "PUT"
    path = "/metrics/job/db_backup/db/db%d"

    def push(self, body, groups, connections, seconds, start=None):
        """What wrk measures."""
        environment = os.environ | {
            "METHOD": self.method,
            "PATH_OF_GROUP": self.path,
            "GROUPS": str(groups),
            "BODY": str(body),
        }
        if start is not None:
            environment["FROM"] = str(start)
        printed = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--timeout", "60", "-s", str(RIVALS / "push.lua"),
             f"http://127.0.0.1:{self.port}"],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        result = json.loads(printed.split("RESULT ")[1])
        if result["refused"] or result["broken"]:
            sys.exit(f"{self.name}: {result}")
        return result

    def fill(self, body, groups):
        """Pushes to each group."""
        done = 0
        while done < groups:
            # Those that were on their way when time was up are sent again.
            done += max(self.push(body, groups, 64, 1, start=done)["requests"] - 64, 0)

    def pushes_per_second(self, body, groups, connections):
        result = self.push(body, groups, connections, TURN)
        return result["requests"] / result["seconds"]


class Metricsjob(Gateway):
    name = "metricsjob, synced"
    most_groups = 100_000
    flags = []

    def command(self):
        return [METRICSJOB, "gateway", "--state-dir", str(self.directory / "state"),
                f"--web.listen-address=127.0.0.1:{self.port}", *self.flags]


class MetricsjobUnsynced(Metricsjob):
    name = "metricsjob, --storage.sync=os"
    flags = ["--storage.sync=os"]


class Pushgateway(Gateway):
    name = "Pushgateway"
    # A push takes as long as it has groups: 100,000 would take hours.
    most_groups = 10_000
    flags = []

    def command(self):
        return ["prometheus-pushgateway", f"--web.listen-address=127.0.0.1:{self.port}", "--web.enable-lifecycle",
                f"--persistence.file={self.directory / 'metrics'}", "--persistence.interval=1h", *self.flags]

    def fill(self, body, groups):
        # For the same reason the check is off until they are there.
        self.stop()
        self.flags, flags = ["--push.disable-consistency-check"], self.flags
        self.start()
        super().fill(body, groups)
        self.stop()
        self.flags = flags
        self.start()


class PushgatewayUnchecked(Pushgateway):
    name = "Pushgateway, unchecked"
    most_groups = 100_000
    flags = ["--push.disable-consistency-check"]

    def fill(self, body, groups):
        Gateway.fill(self, body, groups)


class VictoriaMetrics(Gateway):
    name = "VictoriaMetrics"
    method = "POST"
    path = "/api/v1/import/prometheus?extra_label=job=db_backup&extra_label=db=db%d"
    ready = "/health"
    most_groups = 100_000

    def command(self):
        return ["victoria-metrics", f"-httpListenAddr=127.0.0.1:{self.port}",
                f"-storageDataPath={self.directory / 'data'}"]

    def scrape(self):
        return None


RIVALS_OF_A_RUN = [Metricsjob, MetricsjobUnsynced, Pushgateway, PushgatewayUnchecked, VictoriaMetrics]


def with_groups(groups, body, rounds, scratch):
    """What each server does with so many groups, by name."""
    servers = [kind(scratch / f"{groups}-{at}") for at, kind in enumerate(RIVALS_OF_A_RUN) if groups <= kind.most_groups]
    numbers = {server.name: {"pushes_per_second": {}} for server in servers}
    try:
        for server in servers:
            server.start()
            server.fill(body, groups)
        for connections in CONNECTIONS:
            turns = {server.name: [] for server in servers}
            for _ in range(rounds):
                for server in servers:
                    turns[server.name].append(server.pushes_per_second(body, groups, connections))
            for name, values in turns.items():
                numbers[name]["pushes_per_second"][connections] = statistics.median(values)
        # What was pushed is tidied up for some seconds more.
        time.sleep(5)
        for server in servers:
            scrapes = [server.scrape() for _ in range(2 + 3 * rounds)][2:]
            if scrapes[0]:
                numbers[server.name]["scrape_seconds"] = statistics.median(seconds for seconds, _ in scrapes)
                numbers[server.name]["scrape_bytes"] = scrapes[-1][1]
            numbers[server.name]["resident_bytes"] = server.resident()
    finally:
        for server in servers:
            server.stop()
    return numbers


def start_up(groups, body, scratch):
    """Seconds until ours serves so many groups, after an orderly end and after none."""
    server = Metricsjob(scratch / "start")
    server.start()
    server.fill(body, groups)
    server.stop(signal.SIGKILL)
    killed = server.start()
    server.stop()
    ended = server.start()
    _, body = server.get("/metrics")
    server.stop()
    if body.count(b"\ndb_backup_records_processed{") != groups:
        sys.exit("groups were lost")
    return {"after_kill": killed, "after_end": ended}


def many_series(scratch):
    """Ours with a million series, in 10,000 groups."""
    lines = [f'queue_depth{{queue="q{n}"}} {n}\n' for n in range(100)]
    body = scratch / "series.prom"
    body.write_text("# HELP queue_depth Jobs that wait.\n# TYPE queue_depth gauge\n" + "".join(lines))
    server = Metricsjob(scratch / "series")
    server.start()
    try:
        server.fill(body, 10_000)
        time.sleep(5)
        scrapes = [server.scrape() for _ in range(5)][1:]
        return {
            "scrape_seconds": statistics.median(seconds for seconds, _ in scrapes),
            "scrape_bytes": scrapes[-1][1],
            "resident_bytes": server.resident(),
        }
    finally:
        server.stop()


def bench(rounds):
    """Prints the tables. Returns the numbers, and which budgets do not hold."""
    rounds = rounds or 3
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        body = scratch / "body.prom"
        body.write_text(BODY)
        by_groups = {groups: with_groups(groups, body, rounds, scratch) for groups in GROUPS}
        starts = start_up(100_000, body, scratch)
        series = many_series(scratch)

    print(f"\nPushes of {SERIES} series to random groups, on {machine()}; medians of {rounds} rounds.\n")
    for connections in CONNECTIONS:
        print(f"| pushes/s, {connections} connections | {' | '.join(f'{groups:,} groups' for groups in GROUPS)} |")
        print(f"| --- |{' ---: |' * len(GROUPS)}")
        for kind in RIVALS_OF_A_RUN:
            rates = [by_groups[groups].get(kind.name) for groups in GROUPS]
            cells = [f"{rate['pushes_per_second'][connections]:,.0f}" if rate else "" for rate in rates]
            print(f"| {kind.name} | {' | '.join(cells)} |")
        print()
    print(f"| scrape, resident memory | {' | '.join(f'{groups:,} groups' for groups in GROUPS)} |")
    print(f"| --- |{' ---: |' * len(GROUPS)}")
    for kind in RIVALS_OF_A_RUN:
        cells = []
        for groups in GROUPS:
            number = by_groups[groups].get(kind.name)
            if not number:
                cells.append("")
                continue
            scrape = number.get("scrape_seconds")
            scrape = f"{scrape * 1000:.1f} ms, " if scrape else ""
            cells.append(f"{scrape}{number['resident_bytes'] / 1e6:.0f} MB")
        print(f"| {kind.name} | {' | '.join(cells)} |")
    print(f"\nStart with 100,000 groups: {starts['after_end']:.2f} s, {starts['after_kill']:.2f} s after kill -9.")
    print(f"A million series in 10,000 groups: scrape {series['scrape_seconds'] * 1000:.0f} ms "
          f"({series['scrape_bytes'] / 1e6:.0f} MB), {series['resident_bytes'] / 1e6:.0f} MB resident.")
    numbers = {"rounds": rounds, "groups": by_groups, "start_seconds": starts, "million_series": series}
    return numbers, over_budget(by_groups, starts)


def over_budget(by_groups, starts):
    failed = []
    ours = {groups: numbers[Metricsjob.name] for groups, numbers in by_groups.items()}
    rates = {groups: number["pushes_per_second"][64] for groups, number in ours.items()}
    for groups, rate in rates.items():
        if rate < PUSHES_BUDGET:
            failed.append(f"{rate:,.0f} pushes/s with {groups:,} groups < {PUSHES_BUDGET:,}")
    if min(rates.values()) < EVENNESS_BUDGET * max(rates.values()):
        failed.append(f"between {min(rates.values()):,.0f} and {max(rates.values()):,.0f} pushes/s by number of groups")
    scrape = ours[10_000]["scrape_seconds"]
    if scrape > SCRAPE_BUDGET:
        failed.append(f"scrape of 10,000 groups: {scrape * 1000:.1f} ms > {SCRAPE_BUDGET * 1000:.0f} ms")
    for groups, budget in MEMORY_BUDGETS.items():
        if ours[groups]["resident_bytes"] > budget:
            failed.append(f"{ours[groups]['resident_bytes'] / 1e6:.0f} MB with {groups:,} groups > {budget / 1e6:.0f} MB")
    for how, seconds in starts.items():
        if seconds > START_BUDGET:
            failed.append(f"start {how.replace('_', ' ')}: {seconds:.2f} s > {START_BUDGET} s")
    return failed
