"""What worker processes do to events that arrive unchecked: apply a payload_schema.

Results and arguments are JSON. Compiled schemas stay for later calls.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from st2sensor.portable.payload import plain
from st2sensor.schemas.dialect import Compiled
from st2sensor.schemas.objection import kind_of

KEPT = 200
"""Compiled schemas."""

UNKNOWN_SCHEMA = {"unknown": True}
"""Asks for the schema itself."""

_compiled: OrderedDict[str, Compiled] = OrderedDict()


def check(ref: str, digest: str, declared: dict[str, Any] | None, tagged: bool, payload: Any) -> Any:
    """Why a payload does not fit its schema, without quoting it; None when it fits.

    A payload that is no object gives `{"kind": ...}`, its type.

    :param ref: of the trigger type.
    :param digest: of the schema; empty for a type that has none.
    :param declared: the schema; None when this process may know it already. Where it does not: UNKNOWN_SCHEMA.
    """
    instance = plain(payload) if tagged else payload
    if not isinstance(instance, dict):
        return {"kind": kind_of(instance)}
    if not digest:
        return None
    if digest not in _compiled:
        if declared is None:
            return UNKNOWN_SCHEMA
        _compiled[digest] = Compiled(declared)
        if len(_compiled) > KEPT:
            _compiled.popitem(last=False)
    _compiled.move_to_end(digest)
    problem = _compiled[digest].objection(instance)
    return None if problem is None else f"the payload does not fit the payload_schema of {ref}: {problem}"
