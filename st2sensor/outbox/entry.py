"""The form in which the outbox keeps an event."""

from __future__ import annotations

import math
from dataclasses import dataclass

ROW_OVERHEAD = 200
"""Approximate bytes of a row without its body and the name of its trigger."""

TEXTS = ("message_id", "sensor", "trigger", "trigger_type", "body")
"""Fields of an entry that are text."""

INTEGERS = range(-(1 << 63), 1 << 63)
"""Integers that SQLite can store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A trigger instance to be published, or a dead letter.

    :param trigger: the trigger's reference, for display.
    :param trigger_type: the reference of the trigger's type.
    :param created: the time of dispatch, in seconds since the epoch.
    :param body: the trigger instance as JSON.
    :param tagged: whether the payload contains types that JSON lacks.
    :param reason: why it must not be published; None if it may be.
    :param fence: the fence of the lease under which it was dispatched; None where sensors are not shared.
    :param is_unrouted: whether it has a reason only because no queue has taken it.
    """

    message_id: str
    sensor: str
    trigger: str
    trigger_type: str
    created: float
    body: str
    tagged: bool = False
    reason: str | None = None
    fence: int | None = None
    is_unrouted: bool = False


def size_of(entry: Entry) -> int:
    """Return approximately how many bytes an entry takes on disk."""
    body = entry.body
    return (len(body) if body.isascii() else len(body.encode())) + len(entry.trigger) + ROW_OVERHEAD


def flaw_of(entry: Entry) -> str:
    """Return why an entry cannot be stored, without quoting its values; empty if it can.

    The fields may hold values of any type.
    """
    texts = (entry.message_id, entry.sensor, entry.trigger, entry.trigger_type, entry.body)
    for name, text in zip(TEXTS, texts, strict=True):
        if type(text) is not str:
            return f"its {name} is {type(text).__name__}, not text"
        if not text.isascii() and not _is_encodable(text):
            return f"its {name} holds lone surrogates"
    if type(entry.created) not in (float, int) or not math.isfinite(entry.created):
        return "its `created` is not a finite number of seconds"
    if entry.fence is None and entry.reason is None:
        return ""
    if entry.fence is not None and (type(entry.fence) is not int or entry.fence not in INTEGERS):
        return "its fence is not an integer of 8 bytes"
    if entry.reason is not None and (type(entry.reason) is not str or not _is_encodable(entry.reason)):
        return "its reason is not text"
    return ""


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
