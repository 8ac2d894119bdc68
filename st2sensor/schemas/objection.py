"""Says where and how a payload breaks a schema. It never quotes values, because payloads hold secrets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jsonschema

LONGEST_NAME = 60
"""Maximum number of characters of a property's name."""

MOST_NAMES = 3
"""Maximum number of names in a list, and of steps at each end of a path."""

LONGEST = 500
"""Maximum number of characters of a reason."""

KINDS = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}
"""JSON's names for Python's types."""

LIMITS = {
    "minimum": "is less than {}",
    "maximum": "is more than {}",
    "multipleOf": "is not a multiple of {}",
    "minLength": "is shorter than {} characters",
    "maxLength": "is longer than {} characters",
    "minItems": "has fewer than {} items",
    "maxItems": "has more than {} items",
    "minProperties": "has fewer than {} properties",
    "maxProperties": "has more than {} properties",
    "pattern": "does not match the pattern {}",
}
"""Texts by keyword, with a place for the schema's value."""

FIXED = {
    "enum": "is none of the values that the schema lists",
    "uniqueItems": "has an item twice",
    "oneOf": "fits none of the alternatives, or several",
    "anyOf": "fits none of the alternatives",
    "not": "fits what the schema excludes",
    "dependencies": "lacks a property that another one requires",
    "additionalItems": "has more items than the schema lists",
}


def text(error: jsonschema.ValidationError) -> str:
    """Return where and how a payload breaks its schema."""
    place = path(error.absolute_path)
    problem = _problem(error)
    return bounded(f"{place}: {problem}" if place else problem)


def path(steps: Iterable[str | int]) -> str:
    """Return a place in a payload, for example `disk.percent`. A long path loses its middle."""
    names = [short(step) for step in steps]
    if len(names) > 2 * MOST_NAMES:
        names = [*names[:MOST_NAMES], "...", *names[-MOST_NAMES:]]
    return ".".join(names)


def bounded(reason: str) -> str:
    """Return a reason on one line, cut to LONGEST characters."""
    line = " ".join(reason.split())
    return line if len(line) <= LONGEST else line[: LONGEST - 3] + "..."


def kind_of(value: Any) -> str:
    """Return JSON's name for a value's type."""
    return "null" if value is None else KINDS.get(type(value), "value")


def _problem(error: jsonschema.ValidationError) -> str:
    keyword: Any = error.validator
    wanted: Any = error.validator_value
    instance: Any = error.instance
    if keyword == "type":
        kinds = wanted if isinstance(wanted, list) else [wanted]
        return f"is of type {kind_of(instance)}, not {' or '.join(map(str, kinds))}"
    if keyword == "required":
        missing = [name for name in wanted if name not in instance]
        return f"lacks the required {_names('property', missing)}"
    if keyword == "additionalProperties":
        declared = (error.schema.get("properties") or {}) if isinstance(error.schema, dict) else {}
        return f"has {_names('property', [name for name in instance if name not in declared])}, which the schema lacks"
    if keyword in LIMITS:
        return LIMITS[keyword].format(short(wanted))
    return FIXED.get(keyword, f"breaks the schema's {keyword}")


def _names(noun: str, names: list[Any]) -> str:
    shown = ", ".join(short(name) for name in names[:MOST_NAMES])
    if len(names) <= 1:
        return f"{noun} {shown}"
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"{noun[:-1]}ies {shown}{more}"


def short(value: Any) -> str:
    """Return a name, cut to LONGEST_NAME characters."""
    name = str(value)
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 3] + "..."
