"""The same push as `metricsjob run backup --set duration=0s`, by prometheus_client."""

import sys
import time

from prometheus_client import CollectorRegistry, Gauge, pushadd_to_gateway

start = time.time()
registry = CollectorRegistry()


def gauge(name, help_text, value):
    Gauge("db_backup_" + name, help_text, registry=registry).set(value)


now = time.time()
gauge("records_processed", "Records that the last run backed up.", 42)
gauge("duration_seconds", "How long the last run took.", now - start)
gauge("start_timestamp_seconds", "When the last run started.", now)
gauge("last_completion_timestamp_seconds", "When the last run ended, well or not.", now)
gauge("last_success_timestamp_seconds", "When the last run that succeeded ended.", now)
gauge("success", "Whether the last run succeeded (1) or not (0).", 1)
gauge("exit_code", "The exit code of the last run.", 0)
gauge("attempts", "How often the last run tried.", 1)
gauge("cpu_user_seconds", "CPU time that the last run spent in user mode.", 0)
gauge("cpu_system_seconds", "CPU time that the last run spent in the kernel.", 0)
gauge("max_rss_bytes", "The most memory that a process of the last run had resident.", 0)
pushadd_to_gateway(sys.argv[1], job="db_backup", grouping_key={"db": "python"}, registry=registry)
