"""Applies JSON Schema as StackStorm uses it: draft 4, with `required: true` inside a property as in draft 3.

Two more rules follow StackStorm: a property that is not required may be null, and a property with a default is never
missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import fastjsonschema
import jsonschema
from jsonschema_specifications import REGISTRY
from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT4

from st2sensor.models import Schema
from st2sensor.schemas import objection

CONSTRAINTS = frozenset({"enum", "anyOf", "oneOf", "allOf", "not", "$ref"})
"""Keywords that may forbid a null that the type allows."""

MOST_PARTS = 20_000
"""Maximum number of keys and values of a schema. Checking so many takes about ten seconds."""

META = jsonschema.Draft4Validator(jsonschema.Draft4Validator.META_SCHEMA)
"""Validates schemas themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One way in which an instance breaks a schema.

    :param place: the path to the value that breaks the schema.
    :param keyword: the keyword that it breaks, for example `required`.
    """

    place: tuple[str | int, ...]
    message: str
    keyword: str


class Compiled:
    """A schema that is ready to be applied.

    jsonschema decides. fastjsonschema, which is forty times as fast, runs first: an instance that it finds valid is
    valid. Everything else, including a schema that it cannot compile, goes to jsonschema.
    """

    def __init__(self, schema: Schema) -> None:
        self._broken = check(schema)
        self._judge: jsonschema.Draft4Validator | None = None
        self._fast: Callable[[Any], Any] | None = None
        if self._broken is None:
            rewritten = draft4(schema)
            # With its own registry jsonschema does not download the target of a reference.
            self._judge = jsonschema.Draft4Validator(rewritten, registry=REGISTRY)
            self._fast = _fast(rewritten)

    def violation(self, instance: Any) -> str | None:
        """Return the most relevant way in which an instance breaks the schema, or None.

        An invalid schema, or one that cannot be applied (a bad pattern, a dangling reference), is itself the violation.
        """
        first = self.first_violation(instance)
        if first is None:
            return None
        path, message = first
        place = _dotted(path)
        return f"{place}: {message}" if place else message

    def first_violation(self, instance: Any) -> tuple[list[str | int], str] | None:
        """Like `violation`, but with the path separate from the message."""
        found = self._first_error(instance)
        if isinstance(found, str):
            return [], found
        return None if found is None else (list(found.absolute_path), str(found.message))

    def objection(self, instance: Any) -> str | None:
        """Like `violation`, but without quoting the instance."""
        found = self._first_error(instance)
        if found is None:
            return None
        return objection.bounded(found) if isinstance(found, str) else objection.text(found)

    def _first_error(self, instance: Any) -> jsonschema.ValidationError | str | None:
        """Return the most relevant error, or the problem with the schema. Raises MemoryError."""
        if self._judge is None:
            return f"the schema itself is wrong: {self._broken}"
        if self._fast is not None and _passes(self._fast, instance):
            return None
        try:
            error: jsonschema.ValidationError | None = jsonschema.exceptions.best_match(
                self._judge.iter_errors(instance)
            )
        except MemoryError:
            raise
        except Exception as failure:  # noqa: BLE001 (a user's schema: anything may be wrong with it)
            return f"the schema cannot be applied: {type(failure).__name__}"
        return error


def violations(schema: Schema, instance: Any) -> list[Violation]:
    """Return every way in which an instance breaks a schema; none when the schema itself is invalid."""
    if check(schema) is not None:
        return []
    judge = jsonschema.Draft4Validator(draft4(schema), registry=REGISTRY)
    try:
        # For alternatives, report the error of the closest one.
        errors = [jsonschema.exceptions.best_match([error]) for error in judge.iter_errors(instance)]
    except Exception:  # noqa: BLE001 (a user's schema: anything may be wrong with it)
        return []
    return [
        Violation(place=tuple(error.absolute_path), message=error.message, keyword=str(error.validator))
        for error in errors
        if error is not None
    ]


def check(schema: Schema) -> str | None:
    """Return the problem with a schema, or None."""
    if not _is_small(schema):
        return f"it has more than {MOST_PARTS:,} keys and values; describe less"
    try:
        problems = list(META.iter_errors(draft4(schema)))
        if problems:
            # Report the same problem each time.
            first = min(problems, key=lambda problem: (list(map(str, problem.absolute_path)), problem.message))
            raise jsonschema.exceptions.best_match([first])
        registry = REGISTRY.with_resource("", Resource.from_contents(schema, default_specification=DRAFT4))
        dangling = [reference for reference in _references(schema) if not _leads_somewhere(registry, reference)]
        if dangling:
            return f"$ref: the schema has no {dangling[0]}, and references to other documents are not followed"
    except jsonschema.ValidationError as error:
        return f"{_dotted(error.absolute_path) or 'schema'}: {error.message}"
    except (TypeError, AttributeError, RecursionError) as error:
        return f"not a schema: {error}"
    return None


def _is_small(schema: Any) -> bool:
    todo, number = [schema], 0
    while todo and number <= MOST_PARTS:
        part = todo.pop()
        number += 1
        if isinstance(part, Mapping):
            number += len(part)
            todo += part.values()
        elif isinstance(part, list):
            todo += part
    return number <= MOST_PARTS


def _leads_somewhere(registry: Registry[Any], reference: str) -> bool:
    try:
        registry.resolver().lookup(reference)
    except Unresolvable:
        return False
    return True


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, list):
        for item in schema:
            yield from _references(item)
    if isinstance(schema, Mapping):
        for key, value in schema.items():
            if key == "$ref" and isinstance(value, str):
                yield value
            elif key not in ("default", "enum"):
                yield from _references(value)


def _fast(schema: Any) -> Callable[[Any], Any] | None:
    """Compile a schema with fastjsonschema; None when that fails. References to other documents are not followed."""
    try:
        compiled: Callable[[Any], Any] = fastjsonschema.compile(
            {"$schema": "http://json-schema.org/draft-04/schema#", **schema},
            handlers={"http": _refuse, "https": _refuse, "file": _refuse},
            use_default=False,
        )
    except Exception:  # noqa: BLE001 (a user's schema: anything may be wrong with it)
        return None
    return compiled


def _refuse(uri: str) -> Any:
    raise ValueError(f"{uri} is not followed")


def _passes(fast: Callable[[Any], Any], instance: Any) -> bool:
    try:
        fast(instance)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 (the judge finds the violation)
        return False
    return True


def _dotted(path: Iterable[str | int]) -> str:
    return ".".join(map(str, path))


def draft4(schema: Any) -> Any:
    """Rewrite per-property `required` into draft 4's list, and allow null for properties that are not required."""
    if isinstance(schema, list):
        return [draft4(item) for item in schema]
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
    needed = set(required)
    rewritten["properties"] = {
        name: value if name in needed else _nullable(value) for name, value in rewritten["properties"].items()
    }
    if required:
        rewritten["required"] = sorted(needed)
    return rewritten


def _draft4_keyword(key: str, value: Any) -> Any:
    if key in ("default", "enum", "required"):
        return value
    if key in ("properties", "patternProperties", "definitions") and isinstance(value, Mapping):
        return {name: draft4(item) for name, item in value.items()}
    return draft4(value)


def _nullable(schema: Any) -> Any:
    if not isinstance(schema, Mapping) or not schema:
        return schema
    if isinstance(schema.get("type"), str) and not CONSTRAINTS & schema.keys():
        # Every other keyword is about values of its own type, and accepts a null.
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [{"type": "null"}, schema]}
