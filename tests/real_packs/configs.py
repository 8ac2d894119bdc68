"""A configuration that satisfies a pack's schema, so that it is the sensor that is tried and not the schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SAMPLES: dict[str, Any] = {"string": "sample", "integer": 1, "number": 1, "boolean": False, "array": []}
"""By type of the schema."""


def sample(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Values for what is required and has no default.

    :param schema: names and their schemas, as in config.schema.yaml.
    """
    return {name: _value(item) for name, item in schema.items() if _wanted(item)}


def _wanted(item: Mapping[str, Any]) -> bool:
    """A default that is a template would take its value from a datastore that has none."""
    templated = "{{" in str(item.get("default", ""))
    return templated or (bool(item.get("required")) and "default" not in item)


def _value(item: Mapping[str, Any]) -> Any:
    if item.get("enum"):
        return item["enum"][0]
    kind = item.get("type", "string")
    if kind == "object":
        return sample(item.get("properties") or {})
    return SAMPLES[kind]
