"""JSON Schema as StackStorm uses it: draft 4, with `required: true` inside a property as in draft 3.

Two more rules follow StackStorm: a property that is not required may be null, and one with a default is never missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jsonschema
from jsonschema.protocols import Validator

from st2sensor.models import Schema


def check(schema: Schema) -> str | None:
    """Say what is wrong with a schema, or None."""
    try:
        jsonschema.Draft4Validator.check_schema(_draft4(schema))
    except jsonschema.SchemaError as error:
        return f"{_path(error) or 'schema'}: {error.message}"
    except (TypeError, AttributeError) as error:
        return f"not a schema: {error}"
    return None


def validator(schema: Schema) -> Validator:
    """Compile a schema that `check` found nothing wrong with."""
    return jsonschema.Draft4Validator(_draft4(schema))


def violation(compiled: Validator, instance: Any) -> str | None:
    """Say how an instance breaks a schema, most relevant first, or None when it does not.

    A schema that no validator can follow (a bad pattern, a reference to nowhere) is itself the violation.
    """
    try:
        error = jsonschema.exceptions.best_match(compiled.iter_errors(instance))
    except Exception as failure:  # noqa: BLE001 (a user's schema: anything may be wrong with it)
        return f"the schema cannot be applied: {failure}"
    if error is None:
        return None
    place = _path(error)
    return f"{place}: {error.message}" if place else str(error.message)


def _path(error: jsonschema.exceptions._Error) -> str:
    return ".".join(str(part) for part in error.absolute_path)


def _draft4(schema: Any) -> Any:
    """Rewrite per-property `required` into draft 4's list, and let what is not required be null."""
    if isinstance(schema, list):
        return [_draft4(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    rewritten = {key: _draft4_keyword(key, value) for key, value in schema.items()}
    if isinstance(rewritten.get("required"), bool):
        del rewritten["required"]
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return rewritten
    named = schema.get("required")
    required = list(named) if isinstance(named, list) else []
    required += [
        name
        for name, value in properties.items()
        if isinstance(value, Mapping) and value.get("required") is True and "default" not in value
    ]
    rewritten["properties"] = {
        name: value if name in required else _nullable(value) for name, value in rewritten["properties"].items()
    }
    if required:
        rewritten["required"] = sorted(set(required))
    return rewritten


def _draft4_keyword(key: str, value: Any) -> Any:
    if key in ("default", "enum", "required"):
        return value
    if key in ("properties", "patternProperties", "definitions") and isinstance(value, Mapping):
        return {name: _draft4(item) for name, item in value.items()}
    return _draft4(value)


def _nullable(schema: Any) -> Any:
    if not isinstance(schema, Mapping) or not schema:
        return schema
    return {"anyOf": [{"type": "null"}, schema]}
