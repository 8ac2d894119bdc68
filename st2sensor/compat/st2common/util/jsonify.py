"""Helpers for JSON, under StackStorm's module name."""

import json
from contextlib import suppress
from typing import Any, Dict, Iterable, Optional, Union

__all__ = ["json_decode", "json_encode", "json_loads", "load_file", "try_loads"]


def json_encode(obj: Any, indent: Optional[int] = None, sort_keys: bool = False) -> str:
    """Return an object as JSON. If an object has a method `__json__`, its result is used. Raises TypeError."""
    return json.dumps(obj, indent=indent, sort_keys=sort_keys, default=_as_json)


def json_decode(data: Union[str, bytes]) -> Any:
    """Return the value of a JSON text. Raises ValueError."""
    return json.loads(data)


def load_file(path: str) -> Any:
    """Return the content of a JSON file. Raises OSError and ValueError."""
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def json_loads(obj: Dict[str, Any], keys: Optional[Iterable[str]] = None) -> Optional[Dict[str, Any]]:
    """Decode those values of a dict that are JSON, in place. Return the dict, or None if it is empty.

    :param keys: the keys of the values to decode; None for all.
    """
    if not obj:
        return None
    for key in list(keys or obj):
        with suppress(KeyError, TypeError, ValueError):
            obj[key] = json.loads(obj[key])
    return obj


def try_loads(s: Any) -> Any:
    """Return the value of a JSON text, and anything else unchanged."""
    if s and isinstance(s, str):
        with suppress(ValueError):
            return json.loads(s)
    return s


def _as_json(value: Any) -> Any:
    own = getattr(value, "__json__", None)
    if callable(own):
        return own()
    raise TypeError(f"{type(value).__name__} cannot be represented in JSON")
