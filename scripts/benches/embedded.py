"""A push to the embedded gateway while none serves it, from process start to exit, by number of groups: it is checked
by an index against those that it could collide with."""

import pathlib
import tempfile

from .client import measure
from .gateway import BODY, Metricsjob
from .setting import METRICSJOB, machine

PACKAGES = {"hyperfine": "hyperfine", "wrk": "wrk"}

GROUPS = [10, 10_000, 100_000]
# How much longer than beside the fewest groups a push may take.
RATIO_BUDGET = 1.5


def bench(rounds):
    """Prints the table. Returns the numbers, and which budgets do not hold."""
    rounds = rounds or 10
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        body = scratch / "body.prom"
        body.write_text(BODY)
        commands = {}
        for groups in GROUPS:
            server = Metricsjob(scratch / str(groups))
            server.start()
            server.fill(body, groups)
            server.stop()
            commands[groups] = [METRICSJOB, "push", "--quiet", "--gateway", "embedded", "--state-dir",
                                str(server.directory / "state"), "--job", "db_backup", "-g", "db=db3", str(body)]
        times = measure(commands, rounds, scratch)

    print("\nOne push of 4 series to the embedded gateway while none serves it, from process start to exit.")
    print(f"{machine()}; medians of {rounds} rounds.\n")
    print("| | time | beside the fewest | budget |")
    print("| --- | ---: | ---: | ---: |")
    failed = []
    for groups, seconds in times.items():
        ratio = seconds / times[GROUPS[0]]
        print(f"| beside {groups:,} groups | {seconds * 1000:.2f} ms | {ratio:.2f} | ≤ {RATIO_BUDGET} |")
        if ratio > RATIO_BUDGET:
            failed.append(f"a push beside {groups:,} groups of the embedded gateway: {ratio:.2f} > {RATIO_BUDGET}")
    return {"rounds": rounds, "seconds": times}, failed
