"""Reads a pack's `config.schema.yaml` as StackStorm does: defaults, types and secret values."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from st2sensor.packs.yaml_files import read
from st2sensor.schemas import dialect
from st2sensor.schemas.dialect import Compiled
from st2sensor.system.regular_file import is_there

FILE = "config.schema.yaml"

Item = Mapping[str, Any]
"""The schema of one value."""

Place = tuple[str | int, ...]
"""The path of keys and indexes to a value."""

Matching = Collection[tuple[str, str]]
"""Pairs of a pattern in `patternProperties` and a key that it matches.

A pattern may take forever, and no thread runs meanwhile, so a worker process finds them.
"""


def load(pack: Path) -> Item | None:
    """Return the schema of a pack's whole configuration, or None. Raises ContentError."""
    path = pack / FILE
    if not is_there(path):
        return None
    file = read(path)
    properties = {} if file.data is None else file.data
    if not isinstance(properties, dict):
        raise file.error("must be a mapping of configuration keys to schemas")
    for key, item in properties.items():
        if not isinstance(item, dict):
            raise file.error(f"{key}: must be a schema, as in {{type: string}}", [key])
    whole = {"type": "object", "properties": properties}
    problem = dialect.check(whole) or _bad_pattern(whole)
    if problem is not None:
        raise file.error(f"is not a valid JSON schema: {problem}; correct it")
    return whole


def defaults(item: Item) -> Iterator[Any]:
    """Yield the defaults in a schema, at every depth."""
    if "default" in item:
        yield item["default"]
    for inner in _inner(item):
        yield from defaults(inner)


def _inner(item: Item) -> Iterator[Item]:
    """Yield the schemas directly inside a schema."""
    for keyword in ("properties", "patternProperties"):
        yield from (found for found in _mapping(item, keyword).values() if isinstance(found, Mapping))
    items = item.get("items")
    for found in (item.get("additionalProperties"), *(items if isinstance(items, list) else [items])):
        if isinstance(found, Mapping):
            yield found


def _bad_pattern(item: Item) -> str | None:
    for pattern in _mapping(item, "patternProperties"):
        try:
            re.compile(pattern)
        except re.error as exception:
            return f"patternProperties: {pattern} is not a regular expression: {exception}"
    return next(filter(None, map(_bad_pattern, _inner(item))), None)


def patterns(item: Item) -> set[str]:
    """Return the patterns for keys in a schema, at every depth."""
    return {*_mapping(item, "patternProperties")}.union(*map(patterns, _inner(item)))


def keys(value: Any) -> set[str]:
    """Return the keys in a value, at every depth."""
    found, todo = set[str](), [value]
    while todo:
        part = todo.pop()
        if isinstance(part, Mapping):
            found |= part.keys()
            todo += part.values()
        elif isinstance(part, list):
            todo += part
    return found


def matches(patterns: Collection[str], keys: Collection[str]) -> list[tuple[str, str]]:
    """Return the pairs of a pattern and a key that it matches. May take forever."""
    return [(pattern, key) for pattern in patterns for key in keys if re.search(pattern, key)]


def property_of(item: Item, key: str, matching: Matching) -> Item:
    """Return the schema of an object's key: the property's, else a pattern's, else that of additional keys."""
    named = _mapping(item, "properties").get(key)
    if isinstance(named, Mapping):
        return named
    for pattern, found in _mapping(item, "patternProperties").items():
        if isinstance(found, Mapping) and (pattern, key) in matching:
            return found
    return _mapping(item, "additionalProperties")


def item_of(item: Item, index: int) -> Item:
    """Return the schema of an array's item."""
    items = item.get("items")
    if isinstance(items, list):
        found = items[index] if index < len(items) else item.get("additionalItems")
        return found if isinstance(found, Mapping) else {}
    return items if isinstance(items, Mapping) else {}


def types_of(item: Item) -> list[str]:
    """Return the types that a schema allows; empty for any type."""
    named = item.get("type")
    return [named] if isinstance(named, str) else list(named) if isinstance(named, list) else []


def with_defaults(
    value: Any, item: Item, place: Place, default: Callable[[Any, Item, Place], Any], matching: Matching
) -> Any:
    """Return a value with the defaults of its missing parts.

    As in StackStorm, a missing object or array is empty if its schema describes its content.

    :param default: turns the schema's default into a value.
    """
    if value is None and "default" in item:
        value = default(item["default"], item, place)
    if value is None:
        value = _empty(item)
    if isinstance(value, dict):
        properties = _mapping(item, "properties")
        filled = {
            key: with_defaults(part, property_of(item, key, matching), (*place, key), default, matching)
            for key, part in value.items()
        }
        missing = {
            key: with_defaults(None, found, (*place, key), default, matching)
            for key, found in properties.items()
            if key not in value and isinstance(found, Mapping)
        }
        return filled | {key: part for key, part in missing.items() if part is not None or "default" in properties[key]}
    if isinstance(value, list):
        return [
            with_defaults(part, item_of(item, index), (*place, index), default, matching)
            for index, part in enumerate(value)
        ]
    return value


def _empty(item: Item) -> dict[str, Any] | list[Any] | None:
    """Return the empty object or array for a missing value, or None."""
    if item.get("type") == "object" and any(
        item.get(keyword) for keyword in ("properties", "patternProperties", "additionalProperties")
    ):
        return {}
    if item.get("type") == "array" and any(item.get(keyword) for keyword in ("items", "additionalItems")):
        return []
    return None


def undefaulted(item: Item, place: Place = ()) -> Iterator[Place]:
    """Yield the properties without a default that every written configuration must have, at every depth.

    An object that is not required may be left out, and then nothing in it is missing.
    """
    for key, found in _mapping(item, "properties").items():
        if not isinstance(found, Mapping) or "default" in found:
            continue
        if found.get("required") is not True:
            continue
        if _empty(found) is None:
            yield (*place, key)
        if found.get("type") == "object":
            yield from undefaulted(found, (*place, key))


def unknown(values: Any, item: Item, place: Place = ()) -> Iterator[tuple[Place, list[str]]]:
    """Yield the keys in values that their schema does not mention, each with the keys that it mentions next to it.

    A schema that says which other keys there may be, or names none, mentions all keys. Values whose keys are described
    by patterns are skipped: matching may take forever.
    """
    if isinstance(values, Mapping):
        named = _mapping(item, "properties")
        is_open = not named or any(keyword in item for keyword in ("patternProperties", "additionalProperties"))
        for key, part in values.items():
            if not is_open and key not in named:
                yield (*place, key), [str(name) for name in named]
            yield from unknown(part, property_of(item, str(key), frozenset()), (*place, key))
    elif isinstance(values, list):
        for index, part in enumerate(values):
            yield from unknown(part, item_of(item, index), (*place, index))


def violations(values: Mapping[str, Any], whole: Item) -> list[tuple[list[str | int], str, str]]:
    """Return every way in which values break their schema: where, how, and the keyword. May take forever."""
    return [(list(item.place), item.message, item.keyword) for item in dialect.violations(whole, values)]


def violation(values: Mapping[str, Any], whole: Item) -> tuple[list[str | int], str] | None:
    """Return where and how values break their schema, or None."""
    return Compiled(whole).first_violation(values)


def _mapping(item: Item, keyword: str) -> Mapping[str, Any]:
    found = item.get(keyword)
    return found if isinstance(found, Mapping) else {}
