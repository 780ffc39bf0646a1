"""Reads manifests from stdin, holds each against the schemas of Kubernetes, and prints all of them as a list of JSON.

A ServiceMonitor is a resource of the Prometheus Operator, of which these schemas know nothing.
"""

import json
import sys

import kubernetes_validate
import yaml

# The oldest in which a CronJob has a time zone for sure, and the newest.
VERSIONS = ["1.27", kubernetes_validate.latest_version()]

manifests = list(yaml.safe_load_all(sys.stdin))
problems = []
for manifest in manifests:
    if manifest["kind"] == "ServiceMonitor":
        continue
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            place = ".".join(str(part) for part in error.path)
            problems.append(f"{manifest['kind']} {version}: {place}: {error.message}")
        except kubernetes_validate.SchemaNotFoundError as error:
            problems.append(error.message)
json.dump(manifests, sys.stdout)
for problem in problems:
    print(problem, file=sys.stderr)
