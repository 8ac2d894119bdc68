"""Checks that StackStorm can store a trigger instance, and start actions because of it.

Its rules engine writes the payload with orjson into a document of MongoDB, and drops payloads that orjson refuses. Each
action that a rule starts gets a copy of the payload as BSON, which can hold less: with other payloads, no action
starts. The check uses the same orjson.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import orjson

from st2sensor.errors import Undeliverable
from st2sensor.schemas import objection

LARGEST = 16 * 1024 * 1024
"""The maximum size of a document in MongoDB, in bytes."""

REST = 4096
"""The maximum size of a document without its trigger and payload, in bytes."""

DEEPEST = 90
"""The maximum number of levels of objects and arrays. MongoDB documents 100 for a whole document. With somewhat more,
StackStorm's processes corrupt their memory and crash, one after the other as they get the message."""

WRITTEN = 254
"""The maximum number of levels that orjson writes."""

TOO_DEEP = f"is nested more than {DEEPEST} levels deep"

LEAST, MOST = -(2**63), 2**63 - 1
"""The smallest and the largest integer in BSON."""

SUSPECT = re.compile(rb"[:,[](?:9[2-9]\d{17}|[1-9]\d{19})|\\u0000")
"""Matches JSON that may have a larger integer, or NUL in a key."""

SURROGATE = re.compile("[\ud800-\udfff]")
"""Matches half a surrogate pair, which UTF-8 cannot encode."""

PARTS = {"payload": "payload", "trigger": "trigger", "trace_context": "trace context"}
"""Names of a body's parts, for people."""


def check(body: dict[str, Any]) -> None:
    """Check a trigger instance. Raises Undeliverable, which names the place but quotes no value.

    :param body: the trigger instance in the form that will be pickled.
    """
    size = REST
    for part, name in PARTS.items():
        try:
            written = orjson.dumps(body[part], default=_list)
            if written.count(b"{") + written.count(b"[") > DEEPEST:
                orjson.dumps(_wrapped(body[part]), default=_list)
        except TypeError:
            raise refused(name, problem(body[part]) or "cannot be written as JSON") from None
        if SUSPECT.search(written) and (found := problem(body[part])):
            raise refused(name, found)
        size += len(written)
    if size > LARGEST:
        raise refused("payload", f"takes {size:,} bytes, but only {LARGEST:,} fit into a document")


def refused(name: str, problem: str) -> Undeliverable:
    """Return the exception for a part of a body that cannot be stored.

    :param name: the name of the part.
    :param problem: a predicate that describes the problem, for example `is too large`.
    """
    return Undeliverable(objection.bounded(f"StackStorm cannot store the {name}: it {problem}"))


def problem(value: Any) -> str | None:
    """Return a predicate that says why StackStorm cannot handle a value, or None."""
    for place, item, depth in _walk(value):
        where = f" at {objection.path(place)}" if place else ""
        if depth > DEEPEST:
            return TOO_DEEP
        if isinstance(item, int) and not LEAST <= item <= MOST:
            return f"has an integer of more than 64 bits{where}"
        if isinstance(item, str) and SURROGATE.search(item):
            return f"has half of a surrogate pair in the text{where}"
        if isinstance(item, dict) and any(SURROGATE.search(key) for key in item):
            return f"has half of a surrogate pair in a key{where}"
        if isinstance(item, dict) and any("\0" in key for key in item):
            return f"has a NUL character in a key{where}"
    return None


def _walk(value: Any) -> Iterator[tuple[tuple[str | int, ...], Any, int]]:
    """Yield a value and all values in it, each with its place and its depth in objects and arrays."""
    stack: list[tuple[tuple[str | int, ...], Any, int]] = [((), value, 1)]
    while stack:
        place, item, depth = stack.pop()
        is_container = isinstance(item, (dict, list, tuple, set, frozenset))
        yield place, item, depth if is_container else depth - 1
        if is_container and depth <= DEEPEST:
            inside = item.items() if isinstance(item, dict) else enumerate(item)
            stack.extend(((*place, name), inner, depth + 1) for name, inner in inside)


def _wrapped(value: Any) -> Any:
    """Return a value in so many lists that orjson refuses it if it is nested too deeply."""
    for _ in range(WRITTEN - DEEPEST):
        value = [value]
    return value


def _list(value: Any) -> list[Any]:
    """Return a set as a list, because the rules engine writes it as one."""
    if isinstance(value, (set, frozenset)):
        return list(value)
    raise TypeError
