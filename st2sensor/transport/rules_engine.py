"""What StackStorm's rules engine can store: it acknowledges and drops every other trigger instance.

It keeps a payload as JSON that orjson writes, in a document of MongoDB. The same library says here what it takes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import orjson

from st2sensor.errors import Undeliverable
from st2sensor.schemas import objection

LARGEST = 16 * 1024 * 1024
"""Bytes of a document in MongoDB."""

REST = 4096
"""Bytes of a document besides trigger and payload, at most."""

DEEPEST = 254
"""Levels of objects and arrays that orjson writes."""

TOO_DEEP = f"is nested more than {DEEPEST} levels deep"

LEAST, MOST = -(2**63), 2**64 - 1
"""Integers that orjson writes."""

SURROGATE = re.compile("[\ud800-\udfff]")
"""Half of a pair, which has no UTF-8."""

PARTS = {"payload": "payload", "trigger": "trigger", "trace_context": "trace context"}
"""Of a body, in words."""


def check(body: dict[str, Any]) -> None:
    """Raises Undeliverable, which names the place but quotes no value.

    :param body: a trigger instance as it is going to be pickled.
    """
    size = REST
    for part, name in PARTS.items():
        try:
            size += len(orjson.dumps(body[part], default=_list))
        except TypeError:
            raise refused(name, problem(body[part])) from None
    if size > LARGEST:
        raise refused("payload", f"takes {size:,} bytes, of which {LARGEST:,} fit into a document")


def refused(name: str, what: str) -> Undeliverable:
    """:param name: of the part of the body that is wrong; :param what: is wrong with it, as in `is too large`."""
    return Undeliverable(objection.bounded(f"StackStorm's rules engine cannot store the {name}: it {what}"))


def problem(value: Any) -> str:
    """What orjson does not take of a value."""
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
    return "is nothing that can be written as JSON"


def _walk(value: Any) -> Iterator[tuple[tuple[str | int, ...], Any, int]]:
    """All values in a value, each with its place, and how many objects and arrays it is in, itself included."""
    stack: list[tuple[tuple[str | int, ...], Any, int]] = [((), value, 1)]
    while stack:
        place, item, depth = stack.pop()
        is_container = isinstance(item, (dict, list, tuple, set, frozenset))
        yield place, item, depth if is_container else depth - 1
        if is_container and depth <= DEEPEST:
            inside = item.items() if isinstance(item, dict) else enumerate(item)
            stack.extend(((*place, name), inner, depth + 1) for name, inner in inside)


def _list(value: Any) -> list[Any]:
    """A set, as the rules engine writes it."""
    if isinstance(value, (set, frozenset)):
        return list(value)
    raise TypeError
