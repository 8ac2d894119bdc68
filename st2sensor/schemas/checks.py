"""Applies a payload_schema to an event that arrived unchecked. For worker processes.

Arguments and results are JSON values. Compiled schemas are kept for later calls.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from st2sensor.portable.event_key import key_of
from st2sensor.portable.payload import plain
from st2sensor.schemas.dialect import Compiled
from st2sensor.schemas.objection import kind_of

KEPT = 200
"""Maximum number of compiled schemas that are kept."""

UNKNOWN_SCHEMA = {"unknown": True}
"""Result that asks for the schema itself."""

_compiled: OrderedDict[str, Compiled] = OrderedDict()


def check(
    ref: str, digest: str, declared: dict[str, Any] | None, tagged: bool, paths: Sequence[str], payload: Any
) -> dict[str, Any]:
    """Return the `problem` with which a payload does not fit its schema, without quoting the payload, and its `key`.

    The problem is None when it fits. The result for a payload that is not an object is `{"kind": ...}`, its type. It is
    UNKNOWN_SCHEMA when the schema is not given and this process does not know it.

    :param ref: the reference of the trigger type.
    :param digest: the digest of the schema; empty for a type without one.
    :param declared: the schema; None when this process may know it already.
    :param tagged: whether the payload has the form that `payload.pack` makes.
    :param paths: the paths of the values that make the key; empty to make none.
    """
    instance = plain(payload) if tagged else payload
    if not isinstance(instance, dict):
        return {"kind": kind_of(instance)}
    key = key_of(paths, instance) if paths else None
    if not digest:
        return {"problem": None, "key": key}
    if digest not in _compiled:
        if declared is None:
            return UNKNOWN_SCHEMA
        _compiled[digest] = Compiled(declared)
        if len(_compiled) > KEPT:
            _compiled.popitem(last=False)
    _compiled.move_to_end(digest)
    problem = _compiled[digest].objection(instance)
    shown = None if problem is None else f"the payload does not fit the payload_schema of {ref}: {problem}"
    return {"problem": shown, "key": key}
