"""APScheduler as a rival of `metricsjob serve`: starts `true` by interval triggers.

    schedule.py JOBS INTERVAL SECONDS

Prints what it did as JSON: how many runs, how late each began against its due time (seconds, sorted), and
the processor time of it and its children.
"""

import datetime
import json
import math
import resource
import subprocess
import sys
import time

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler


def run():
    began = time.time()
    subprocess.run(["true"], check=True)
    return began


def main():
    jobs, interval, seconds = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
    lags, lost = [], 0

    def over(event):
        nonlocal lost
        if event.code == EVENT_JOB_EXECUTED:
            lags.append(event.retval - event.scheduled_run_time.timestamp())
        else:
            lost += 1

    scheduler = BackgroundScheduler(
        executors={"default": ThreadPoolExecutor(64)},
        job_defaults={"coalesce": False, "max_instances": 10, "misfire_grace_time": None},
        timezone=datetime.timezone.utc,
    )
    scheduler.add_listener(over, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR | EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES)
    # As ours: at multiples of the interval.
    first = math.ceil(time.time() / interval + 1) * interval
    # Between two bursts.
    end = first + seconds - interval / 2
    first = datetime.datetime.fromtimestamp(first, datetime.timezone.utc)
    for number in range(jobs):
        scheduler.add_job(run, "interval", seconds=interval, start_date=first, next_run_time=first, id=str(number))
    scheduler.start()
    time.sleep(end - time.time())
    scheduler.shutdown()
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(usage.ru_utime + usage.ru_stime for usage in usages)
    json.dump({"runs": len(lags), "lost": lost, "lags": sorted(lags), "cpu_seconds": cpu}, sys.stdout)


if __name__ == "__main__":
    main()
