"""Payloads that hold more than JSON: how datetimes, sets and the like travel, and what consumers get of them.

    type                on the way (tagged)                   JSON consumers      pickle consumers
    datetime, date      {"$st2": "datetime", "value": ISO}    the ISO 8601 text   the object
    time                {"$st2": "time", "value": ISO}        the ISO 8601 text   the object
    bytes, bytearray    {"$st2": "bytes", "value": base64}    the base64 text     bytes
    set, frozenset      {"$st2": "set", "value": [...]}       a list              a set
    Decimal             {"$st2": "decimal", "value": text}    the decimal text    the object
    UUID                {"$st2": "uuid", "value": text}       the text            the object
    NaN, infinities     {"$st2": "float", "value": text}      null                the float
    Enum                its value, as above                   its value           its value

A dict that has a key `$st2` of its own travels as {"$st2": "dict", "value": [[key, value], ...]}.
Standard library only, CPython 3.9: this module is part of the wrapper.
"""

from __future__ import annotations

import base64
import enum
import math
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

TAG = "$st2"

PLAIN = (str, int, bool, type(None))


def pack(value: Any) -> Any:
    """The form that travels. Raises TypeError, which names the key, for what has none."""
    try:
        return _pack(value, "payload")
    except RecursionError:
        raise TypeError("payload contains itself, or is nested too deeply, and cannot be dispatched") from None


def plain(packed: Any) -> Any:
    """What JSON consumers get of a packed value, and what schemas are applied to."""
    return _unpack(packed, _PLAIN)


def objects(packed: Any) -> Any:
    """What pickle consumers get of a packed value: the objects themselves."""
    return _unpack(packed, _OBJECTS)


def _pack(value: Any, place: str) -> Any:
    if isinstance(value, enum.Enum):
        return _pack(value.value, place)
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {TAG: "float", "value": str(value)}
    if isinstance(value, dict):
        return _pack_dict(value, place)
    if isinstance(value, (list, tuple)):
        return [_pack(item, f"{place}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, (set, frozenset)):
        return {TAG: "set", "value": [_pack(item, f"{place} (a set)") for item in value]}
    for kind, (name, text) in _TEXTS.items():
        if isinstance(value, kind):
            return {TAG: name, "value": text(value)}
    raise TypeError(f"{place} cannot be dispatched: its type is {type(value).__name__}; convert it to one of JSON's")


def _pack_dict(value: dict[Any, Any], place: str) -> Any:
    packed = [(_key(key, place), _pack(item, f"{place}[{key!r}]")) for key, item in value.items()]
    if TAG in value:
        return {TAG: "dict", "value": [list(pair) for pair in packed]}
    return dict(packed)


def _key(key: Any, place: str) -> str:
    """A key as JSON has it: text."""
    if isinstance(key, enum.Enum):
        return _key(key.value, place)
    if isinstance(key, str):
        return key
    if isinstance(key, bool) or key is None:
        return {True: "true", False: "false", None: "null"}[key]
    if isinstance(key, (int, float)):
        return str(key)
    raise TypeError(f"{place} has the key {key!r}, a {type(key).__name__}: convert it to a string")


def _unpack(packed: Any, readers: dict[str, Callable[[Any], Any]]) -> Any:
    if isinstance(packed, list):
        return [_unpack(item, readers) for item in packed]
    if not isinstance(packed, dict):
        return packed
    name = packed.get(TAG)
    if name == "dict":
        return {key: _unpack(item, readers) for key, item in packed["value"]}
    if name == "set":
        return readers["set"]([_unpack(item, readers) for item in packed["value"]])
    if name in readers:
        return readers[name](packed["value"])
    return {key: _unpack(item, readers) for key, item in packed.items()}


def _set(items: list[Any]) -> set[Any]:
    return {_frozen(item) for item in items}


def _frozen(item: Any) -> Any:
    """An item of a set: tuples have travelled as lists, and frozensets as sets."""
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


def valid(text: str) -> str:
    """A text with its lone surrogates escaped, which no encoder and no database takes."""
    return text.encode("utf-8", "backslashreplace").decode()
