"""Converts payloads with values that JSON lacks: the form in which dates, sets and so on travel, and the form that
consumers get.

    type                on the way (tagged)                   JSON consumers      StackStorm, by pickle
    datetime, date      {"$st2": "datetime", "value": ISO}    the ISO 8601 text   the object
    time                {"$st2": "time", "value": ISO}        the ISO 8601 text   the object; the text, with a zone
    bytes, bytearray    {"$st2": "bytes", "value": base64}    the base64 text     the base64 text
    set, frozenset      {"$st2": "set", "value": [...]}       a list              a set; a list, with sets in it
    Decimal             {"$st2": "decimal", "value": text}    the decimal text    the decimal text
    UUID                {"$st2": "uuid", "value": text}       the text            the object
    NaN, infinities     {"$st2": "float", "value": text}      null                the float
    Enum                its value, as above                   its value           its value

StackStorm's rules engine stores payloads with orjson, and drops those that orjson does not accept. For these types it
gets the JSON form.

A dict that itself has a key `$st2` travels as {"$st2": "dict", "value": [[key, value], ...]}.
Standard library only, CPython 3.9: this module is part of the wrapper.
"""

from __future__ import annotations

import base64
import enum
import math
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, List, Set, Tuple
from uuid import UUID

TAG = "$st2"

PLAIN = (str, int, bool, type(None))


class TooDeep(ValueError):
    """A value is nested more deeply than Python's JSON encoder allows."""


def pack(value: Any) -> Any:
    """Return the form in which a value travels. Raises TooDeep, and TypeError, which names the key, for other types."""
    try:
        return _pack(value, "payload")
    except RecursionError:
        is_circular = _contains_itself(value)
    if is_circular:
        raise TypeError("payload contains itself and cannot be dispatched")
    raise TooDeep


def plain(packed: Any) -> Any:
    """Return the form of a packed value that JSON consumers get, and to which schemas are applied."""
    return _unpack(packed, _PLAIN)


def objects(packed: Any) -> Any:
    """Return the original objects of a packed value."""
    return _unpack(packed, _OBJECTS)


def for_stackstorm(packed: Any) -> Any:
    """Return the form of a packed value that StackStorm gets: objects, except those that it cannot store."""
    return _unpack(packed, _STACKSTORMS)


def _pack(value: Any, place: str) -> Any:
    if isinstance(value, enum.Enum):
        return _pack(value.value, place)
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {TAG: "float", "value": str(value)}
    # Only one stack frame for each level: a payload may be nested as deeply as Python's JSON encoder allows.
    if isinstance(value, dict):
        pairs = []
        for key, item in value.items():
            pairs.append([_key(key, place), _pack(item, f"{place}[{key!r}]")])
        return {TAG: "dict", "value": pairs} if TAG in value else dict(pairs)
    if isinstance(value, (list, tuple)):
        items = []
        for index, item in enumerate(value):
            items.append(_pack(item, f"{place}[{index}]"))
        return items
    if isinstance(value, (set, frozenset)):
        return {TAG: "set", "value": [_pack(item, f"{place} (a set)") for item in value]}
    for kind, (name, text) in _TEXTS.items():
        if isinstance(value, kind):
            return {TAG: name, "value": text(value)}
    raise TypeError(f"{place} cannot be dispatched: its type is {type(value).__name__}; convert it to a JSON type")


def _contains_itself(value: Any) -> bool:
    """Return whether a value contains itself at any depth. Each object is visited once."""
    above: Set[int] = set()
    done: Set[int] = set()
    stack: List[Tuple[Any, bool]] = [(value, False)]
    while stack:
        item, is_left = stack.pop()
        if is_left:
            above.discard(id(item))
            done.add(id(item))
        elif isinstance(item, (dict, list, tuple)) and id(item) not in done:
            if id(item) in above:
                return True
            above.add(id(item))
            stack.append((item, True))
            stack.extend((inner, False) for inner in (item.values() if isinstance(item, dict) else item))
    return False


def _key(key: Any, place: str) -> str:
    """Return a key as text, as JSON requires."""
    if isinstance(key, enum.Enum):
        return _key(key.value, place)
    if isinstance(key, str):
        return key
    if isinstance(key, bool) or key is None:
        return {True: "true", False: "false", None: "null"}[key]
    if isinstance(key, (int, float)):
        return str(key)
    for kind, (_, text) in _TEXTS.items():
        if isinstance(key, kind):
            return text(key)
    raise TypeError(f"{place} has the key {key!r}, a {type(key).__name__}: convert it to a string")


def _unpack(packed: Any, readers: dict[str, Callable[[Any], Any]]) -> Any:
    if isinstance(packed, list):
        items = []
        for item in packed:
            items.append(_unpack(item, readers))
        return items
    if not isinstance(packed, dict):
        return packed
    name = packed.get(TAG)
    if name == "set":
        return readers["set"]([_unpack(item, readers) for item in packed["value"]])
    if name in readers:
        return readers[name](packed["value"])
    found = {}
    for key, item in packed["value"] if name == "dict" else packed.items():
        found[key] = _unpack(item, readers)
    return found


def _set(items: list[Any]) -> Any:
    """Return a set, or a list if an item is not hashable (the value of an Enum may not be)."""
    return items if _hold(items, dict) else {_frozen(item) for item in items}


def _flat_set(items: list[Any]) -> Any:
    return items if _hold(items, set) else _set(items)


def _hold(items: list[Any], kind: type) -> bool:
    """Return whether items, or lists among the items, hold a value of a type."""
    return any(isinstance(item, kind) or (isinstance(item, list) and _hold(item, kind)) for item in items)


def _plain_time(text: str) -> Any:
    """Return a time. A time with a zone stays text."""
    value = time.fromisoformat(text)
    return value if value.tzinfo is None else text


def _frozen(item: Any) -> Any:
    """Return an item of a set in hashable form: tuples have travelled as lists, and frozensets as sets."""
    if isinstance(item, list):
        return tuple(_frozen(part) for part in item)
    return frozenset(item) if isinstance(item, set) else item


def _same(value: Any) -> Any:
    return value


_TEXTS: dict[type, tuple[str, Callable[[Any], str]]] = {
    datetime: ("datetime", datetime.isoformat),
    date: ("date", date.isoformat),
    time: ("time", time.isoformat),
    bytes: ("bytes", lambda value: base64.b64encode(value).decode()),
    bytearray: ("bytes", lambda value: base64.b64encode(value).decode()),
    Decimal: ("decimal", str),
    UUID: ("uuid", str),
}
_PLAIN: dict[str, Callable[[Any], Any]] = {
    "datetime": _same,
    "date": _same,
    "time": _same,
    "bytes": _same,
    "set": _same,
    "decimal": _same,
    "uuid": _same,
    "float": lambda _: None,
}
_OBJECTS: dict[str, Callable[[Any], Any]] = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "bytes": base64.b64decode,
    "set": _set,
    "decimal": Decimal,
    "uuid": UUID,
    "float": float,
}
_STACKSTORMS: dict[str, Callable[[Any], Any]] = {
    **_OBJECTS,
    "time": _plain_time,
    "bytes": _same,
    "set": _flat_set,
    "decimal": _same,
}


def valid(text: str) -> str:
    """Return a text with its lone surrogates escaped, which neither encoders nor databases accept."""
    return text.encode("utf-8", "backslashreplace").decode()
