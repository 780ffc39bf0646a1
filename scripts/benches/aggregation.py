"""Rules of aggregation: CPU seconds of the gateway for 100,000 pushes with and without them, and scrapes.

A push is what a web application counts, of one of 100 instances: 16 series, whose counts grow from push to push. With
METRICSJOB_BEFORE, the path of another build of the program, that one takes part too, without rules.
"""

import os
import pathlib
import statistics
import tempfile

from .gateway import Metricsjob
from .setting import machine

PACKAGES = {"wrk": "wrk"}

INSTANCES = 100
PUSHES = 100_000
# How long each turn is, in seconds.
TURN = 4
# What a rule for other groups may add to none.
OTHERS_BUDGET = 1.1

BODY = "".join(
    ["# TYPE http_requests_total counter\n"]
    + [f'http_requests_total{{code="{code}"}} @\n' for code in (200, 302, 404, 500)]
    + ["# TYPE http_request_duration_seconds histogram\n"]
    + [f'http_request_duration_seconds_bucket{{le="{bound}"}} @\n' for bound in (0.01, 0.05, 0.1, 0.5, 1, 5, 10)]
    + ['http_request_duration_seconds_bucket{le="+Inf"} @\n', "http_request_duration_seconds_sum @\n",
       "http_request_duration_seconds_count @\n", "# TYPE in_flight gauge\nin_flight 3\n"]
)


class Aggregating(Metricsjob):
    path = "/metrics/job/web/instance/i%d"
    resets = False

    def cpu(self):
        """CPU seconds so far."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def turn(self, body):
        """CPU seconds for PUSHES pushes, and pushes per second."""
        os.environ.pop("RESETS", None)
        if self.resets:
            os.environ["RESETS"] = "1"
        before = self.cpu()
        result = self.push(body, INSTANCES, 64, TURN)
        return (self.cpu() - before) / result["requests"] * PUSHES, result["requests"] / result["seconds"]


class Before(Aggregating):
    name = "the program before, no rule"

    def command(self):
        return [os.environ["METRICSJOB_BEFORE"], *super().command()[1:]]


class NoRule(Aggregating):
    name = "no rule"


class OtherRule(Aggregating):
    name = "a rule for other groups"
    flags = ['--group.aggregate=job="other" without (instance)']


class Summed(Aggregating):
    name = "a rule that sums them"
    flags = ['--group.aggregate=job="web" without (instance)']


class Resets(Summed):
    name = "the same, and counts that fall half of the time"
    resets = True


def bench(rounds):
    """Prints the table. Returns the numbers, and which budgets do not hold."""
    rounds = rounds or 3
    kinds = [NoRule, OtherRule, Summed, Resets]
    if "METRICSJOB_BEFORE" in os.environ:
        kinds.insert(0, Before)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        body = scratch / "body.prom"
        body.write_text(BODY)
        servers = [kind(scratch / str(at)) for at, kind in enumerate(kinds)]
        numbers = {server.name: {"cpu_seconds": [], "pushes_per_second": []} for server in servers}
        try:
            for server in servers:
                server.start()
                server.turn(body)
            for _ in range(rounds):
                for server in servers:
                    cpu, rate = server.turn(body)
                    numbers[server.name]["cpu_seconds"].append(cpu)
                    numbers[server.name]["pushes_per_second"].append(rate)
            for server in servers:
                scrapes = [server.scrape() for _ in range(2 + 5 * rounds)][2:]
                number = numbers[server.name]
                number["scrape_seconds"] = statistics.median(seconds for seconds, _ in scrapes)
                number["scrape_bytes"] = scrapes[-1][1]
                number["cpu_seconds"] = statistics.median(number["cpu_seconds"])
                number["pushes_per_second"] = statistics.median(number["pushes_per_second"])
        finally:
            for server in servers:
                server.stop()

    base = numbers[NoRule.name]["cpu_seconds"]
    print(f"\nPushes of 16 series to {INSTANCES} groups, on {machine()}; medians of {rounds} rounds.\n")
    print(f"| | CPU seconds for {PUSHES:,} pushes | of no rule | pushes/s | scrape |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, number in numbers.items():
        cpu = number["cpu_seconds"]
        print(f"| {name} | {cpu:.2f} | {cpu / base:.2f} | {number['pushes_per_second']:,.0f} | "
              f"{number['scrape_seconds'] * 1000:.1f} ms, {number['scrape_bytes'] / 1e3:.0f} kB |")
    ratio = numbers[OtherRule.name]["cpu_seconds"] / base
    failed = []
    if ratio > OTHERS_BUDGET:
        failed.append(f"a rule for other groups: {ratio:.2f} of the CPU time of no rule > {OTHERS_BUDGET}")
    return {"rounds": rounds, "servers": numbers}, failed
