"""Reads a dashboard from stdin into the types that Grafana generates from its schema, and prints what does not fit.

A field that they do not know is lost on the way back to JSON; a value that they do not allow differs from its annotation.
"""

import enum
import json
import sys
import typing

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

problems = []


def compare(ours, theirs, path):
    """All of `ours` is in `theirs`, which has defaults besides."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            if key in theirs:
                compare(value, theirs[key], f"{path}.{key}")
            elif value is not None:
                problems.append(f"{path}.{key}: there is no such field")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for index, (value, other) in enumerate(zip(ours, theirs)):
            compare(value, other, f"{path}[{index}]")
    elif ours != theirs:
        problems.append(f"{path}: {ours!r} became {theirs!r}")


def allowed(value, hint):
    """Whether a value is one of an annotation."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Union:
        return any(allowed(value, argument) for argument in arguments)
    if origin is typing.Literal:
        return value in arguments
    if origin is list:
        return isinstance(value, list) and all(allowed(item, arguments[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(allowed(item, arguments[1]) for item in value.values())
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return value in [member.value for member in hint]
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    # Some are left as they came.
    if isinstance(value, dict) and hasattr(hint, "from_json"):
        decoded = hint.from_json(value)
        compare(value, json.loads(json.dumps(decoded, cls=JSONEncoder)), hint.__name__)
        walk(decoded, hint.__name__)
        return True
    return hint in (object, typing.Any) or isinstance(value, hint)


def walk(value, path):
    if isinstance(value, list):
        for index, item in enumerate(value):
            walk(item, f"{path}[{index}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            walk(item, f"{path}.{key}")
    elif hasattr(value, "to_json"):
        for name, hint in typing.get_type_hints(type(value)).items():
            item = getattr(value, name)
            if not allowed(item, hint):
                problems.append(f"{path}.{name}: {item!r} is no {hint}")
            walk(item, f"{path}.{name}")


document = json.load(sys.stdin)
register_default_plugins()
dashboard = Dashboard.from_json(document)
compare(document, json.loads(json.dumps(dashboard, cls=JSONEncoder)), "dashboard")
walk(dashboard, "dashboard")
print("\n".join(problems), end="")
