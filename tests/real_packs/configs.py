"""A configuration that satisfies a pack's schema, so that the sensor is tested and not the schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SAMPLES: dict[str, Any] = {"string": "sample", "integer": 1, "number": 1, "boolean": False, "array": []}
"""Sample values by type of the schema."""


def sample(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return values for required keys without a default.

    :param schema: names and their schemas, as in config.schema.yaml.
    """
    return {name: _value(item) for name, item in schema.items() if _wanted(item)}


def _wanted(item: Mapping[str, Any]) -> bool:
    """Return whether a key needs a value. A template as a default is not enough: it would read an empty datastore."""
    templated = "{{" in str(item.get("default", ""))
    return templated or (bool(item.get("required")) and "default" not in item)


def _value(item: Mapping[str, Any]) -> Any:
    if item.get("enum"):
        return item["enum"][0]
    kind = item.get("type", "string")
    if kind == "object":
        return sample(item.get("properties") or {})
    return SAMPLES[kind]
