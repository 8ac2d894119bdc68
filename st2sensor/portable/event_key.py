"""The key by which repeated events are recognised: a digest of some of a payload's values.

The sensor's process makes it for its own events, and a worker process for all others, so that the container never
decodes a payload.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import Any, Sequence, Tuple

MISSING: Any = object()
"""Stands for a value that a payload does not have."""

KEY = 32
"""Number of characters of a digest."""


def spec_of(paths: Sequence[str]) -> str:
    """Return a digest of the paths, which changes when they do."""
    return _spec(tuple(paths))


@lru_cache(maxsize=1024)
def _spec(paths: Tuple[str, ...]) -> str:
    return _digest(list(paths))[:8]


def key_of(paths: Sequence[str], payload: Any) -> str:
    """Return the key of a payload: `spec:digest`.

    :param paths: such as `payload.id`, or `payload` for all of it. A number chooses an item of a list.
    """
    values = []
    for path in paths:
        value = _value(payload, path.split(".")[1:])
        # A list, so that a missing value differs from null.
        values.append([] if value is MISSING else [value])
    return f"{spec_of(paths)}:{_digest(values)}"


def is_key(value: object, paths: Sequence[str]) -> bool:
    """Return whether a value from a sensor is a key that was made with these paths. Takes constant time."""
    if type(value) is not str or len(value) != 9 + KEY:
        return False
    return value.isascii() and value.startswith(spec_of(paths) + ":")


def _value(value: Any, names: Sequence[str]) -> Any:
    for name in names:
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and name.isdigit() and int(name) < len(value):
            value = value[int(name)]
        else:
            return MISSING
    return value


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:KEY]
