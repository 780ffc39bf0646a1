"""When cronsim finds a cron expression due, for tests/schedules.rs.

A line of stdin is {"expression", "zone", "windows": [[AFTER, UNTIL], ...]} in seconds since the Unix epoch; the line of
stdout for it has the times in these windows, a list for each, or null if cronsim does not take the expression.
"""

import json
import sys
from datetime import datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError


def occurrences(expression, zone, after, until):
    simulation = CronSim(expression, datetime.fromtimestamp(after, zone))
    # It goes on by whole hours, which after a change by half an hour passes by the times it looks for.
    if zone.key == "Australia/Lord_Howe" and simulation.fixup_tz is None:
        return by_each_second(simulation, expression, zone, after, until)
    times = []
    for time in simulation:
        at = int(time.timestamp())
        if at > until:
            break
        # What is made up for in one moment is one run.
        if at not in times[-1:]:
            times.append(at)
    return times


def by_each_second(simulation, expression, zone, after, until):
    """What the clock shows at each second that a run can begin at, by cronsim's reading of the expression."""
    step = 60 if len(expression.split()) == 5 else 1
    times = []
    for at in range(after - after % step + step, until + 1, step):
        clock = datetime.fromtimestamp(at, zone)
        if (
            clock.second in simulation.seconds
            and clock.minute in simulation.minutes
            and clock.hour in simulation.hours
            and clock.month in simulation.months
            and simulation.match_day(clock.date())
        ):
            times.append(at)
    return times


for line in sys.stdin:
    question = json.loads(line)
    expression, zone = question["expression"], ZoneInfo(question["zone"])
    try:
        answer = [occurrences(expression, zone, *window) for window in question["windows"]]
    except CronSimError:
        answer = None
    print(json.dumps(answer))
