"""A trigger instance on its way: what the outbox keeps of an event."""

from __future__ import annotations

import math
from dataclasses import dataclass

REASON_LIMIT = 500
"""Characters of a dead letter's reason."""

ROW_OVERHEAD = 200
"""Bytes that a row takes besides its body and the name of its trigger, roughly."""

TEXTS = ("message_id", "sensor", "trigger", "trigger_type", "body")
"""Fields of an entry."""

INTEGERS = range(-(1 << 63), 1 << 63)
"""What SQLite takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A trigger instance on its way.

    :param trigger: the trigger's reference, for people.
    :param trigger_type: the reference of its type.
    :param created: seconds since the epoch.
    :param body: its JSON form.
    :param tagged: whether its payload holds more than JSON.
    :param reason: why it must not be published; None for one that is.
    :param fence: of the lease under which it was dispatched; None where sensors are not shared.
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


def size_of(entry: Entry) -> int:
    """Bytes that an entry takes on disk, roughly."""
    body = entry.body
    return (len(body) if body.isascii() else len(body.encode())) + len(entry.trigger) + ROW_OVERHEAD


def flaw_of(entry: Entry) -> str:
    """Why an entry cannot be kept, without its values; empty for one that can. Its fields may hold anything."""
    texts = (entry.message_id, entry.sensor, entry.trigger, entry.trigger_type, entry.body)
    for name, text in zip(TEXTS, texts, strict=True):
        if type(text) is not str:
            return f"its {name} is {type(text).__name__}, not text"
        if not text.isascii() and not _is_encodable(text):
            return f"its {name} holds lone surrogates"
    if type(entry.created) not in (float, int) or not math.isfinite(entry.created):
        return "its created is not a number of seconds"
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


def in_short(reason: str) -> str:
    """A reason, cut off where it is too long to be kept."""
    return reason if len(reason) <= REASON_LIMIT else f"{reason[: REASON_LIMIT - 3]}..."
