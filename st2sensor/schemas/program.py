"""Compiles a payload_schema to a Python program, with which sensors check payloads before they send them.

Only some schemas have a program: those whose check takes little time, and in proportion to the payload. They have no
pattern, no comparison of all items with each other, and no reference. The program needs only the standard library of
CPython 3.9, and two names that the wrapper provides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import fastjsonschema

from st2sensor.models import Schema
from st2sensor.schemas import dialect

APPLIED = frozenset({"additionalProperties", "items", "additionalItems", "allOf", "anyOf", "oneOf", "not", "enum"})
"""Keywords whose value is a subschema, or a list of subschemas or of values."""

COSTLY = frozenset(
    {
        "$ref",
        "$schema",
        "id",
        "$id",
        "pattern",
        "patternProperties",
        "uniqueItems",
        "multipleOf",
        "dependencies",
    }
)
"""Keywords whose check takes more than linear time, or that a program does not support."""

MAX_SCHEMAS = 200
"""Maximum number of subschemas and enum values, counted together. Each may be applied to each part of a payload."""

MAX_PROGRAM = 100_000
"""Maximum number of characters of a program."""

BEGIN = "NoneType = type(None)"
"""The first line of a generated program after its imports."""


def program_of(declared: Schema) -> str | None:
    """Return the program, which defines `validate(data)`; None for a schema without a program.

    `validate` raises JsonSchemaValueException. A payload that it accepts fits the schema; one that it rejects may fit.
    """
    if not _is_small_and_linear(declared) or dialect.check(declared) is not None:
        return None
    try:
        source: str = fastjsonschema.compile_to_code(
            {"$schema": "http://json-schema.org/draft-04/schema#", **dialect.draft4(declared)},
            use_default=False,
            use_formats=False,
            detailed_exceptions=False,
        )
        program = source[source.index(BEGIN) :]
        compile(program, "payload_schema", "exec")
    except Exception:  # noqa: BLE001 (a user's schema: anything may be wrong with it)
        return None
    return program if len(program) <= MAX_PROGRAM else None


def _is_small_and_linear(declared: Any) -> bool:
    left = MAX_SCHEMAS
    waiting: list[Any] = [declared]
    while waiting:
        part = waiting.pop()
        left -= 1
        if left < 0 or (isinstance(part, Mapping) and COSTLY & part.keys()):
            return False
        waiting += _parts(part)
        if len(waiting) > left:
            return False
    return True


def _parts(part: Any) -> Iterator[Any]:
    """Yield the subschemas of a schema, and the values of its enum."""
    if not isinstance(part, Mapping):
        return
    for keyword, value in part.items():
        if keyword == "properties" and isinstance(value, Mapping):
            yield from value.values()
        elif keyword in APPLIED and isinstance(value, list):
            yield from value
        elif keyword in APPLIED and isinstance(value, Mapping):
            yield value
