"""Pushes to, adds to or deletes a group: push.py push|add|delete|ip GATEWAY JOB GROUPING-JSON VALUE"""

import json
import sys

import prometheus_client as client
from prometheus_client.exposition import basic_auth_handler

what, gateway, job, grouping, value = sys.argv[1:]
grouping = client.instance_ip_grouping_key() if what == "ip" else json.loads(grouping)


def handler(url, method, timeout, headers, data):
    return basic_auth_handler(url, method, timeout, headers, data, "me", "s3cret-password")


if what == "delete":
    client.delete_from_gateway(gateway, job, grouping, handler=handler)
else:
    registry = client.CollectorRegistry()
    name = "py_added" if what == "add" else "py_records"
    client.Gauge(name, "Records.", registry=registry).set(float(value))
    client.Counter(name + "_seen", "Seen.", registry=registry).inc(3)
    client.Histogram(name + "_size", "Sizes.", registry=registry, buckets=(1, 10)).observe(4)
    client.Summary(name + "_took", "Times.", registry=registry).observe(2)
    push = client.pushadd_to_gateway if what == "add" else client.push_to_gateway
    push(gateway, job, registry, grouping, handler=handler)
print(grouping.get("instance", ""))
