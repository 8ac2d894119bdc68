"""An event in the history: what the container knew when the event left the outbox."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from st2sensor.outbox.entry import Entry
from st2sensor.portable.payload import plain

TRACE = ',"trace_context":'
"""Comes before the trace context, which is the last member of a body. Inside a JSON string its quotes are escaped."""


class State(StrEnum):
    """The place of an event, or the way in which it left the outbox."""

    WAITING = "waiting"
    """It is in the outbox. Such an event is not in the history yet."""
    HELD = "held"
    """It is in the outbox, and waits because of an operator's limits."""
    CONFIRMED = "confirmed"
    """The broker has it."""
    UNROUTED = "unrouted"
    """The broker has no queue for it."""
    DEAD = "dead"
    """It became a dead letter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """An event that leaves the outbox, or that became a dead letter before it got there.

    :param settled: when that happened, in seconds since the epoch.
    :param committed: when the outbox had it on disk, in seconds since the epoch; None if it never was in the outbox.
    :param reason: why it is a dead letter, or unrouted; empty if it is confirmed.
    :param exchange: name of the exchange; empty if it was never published.
    :param routing_key: the message's routing key; empty if it was never published.
    :param attempts: number of times it was sent to the broker.
    :param problem: why the last attempt but one failed; empty if the first succeeded.
    :param is_late: whether another container may have been running the sensor when it was published.
    """

    entry: Entry
    state: State
    settled: float
    committed: float | None = None
    reason: str = ""
    exchange: str = ""
    routing_key: str = ""
    attempts: int = 0
    problem: str = ""
    is_late: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """An event as the history holds it. Times are in seconds since the epoch.

    :param seq: counts up in the order in which events left the outbox; never used again. 0 while it waits there.
    :param settled: when it left the outbox; None while it waits there.
    :param body: the trigger instance as JSON; None if payloads are not kept.
    :param node: name of the container's node.

    The other parameters are those of `Entry` and `Outcome`.
    """

    seq: int
    message_id: str
    sensor: str
    trigger: str
    trigger_type: str
    created: float
    committed: float | None
    settled: float | None
    state: State
    reason: str
    node: str
    fence: int | None
    exchange: str
    routing_key: str
    attempts: int
    problem: str
    is_late: bool
    trace_tag: str | None
    tagged: bool
    body: str | None

    @property
    def payload(self) -> Any:
        """The payload as JSON values; None if it was not kept. Raises ValueError for a body that is not JSON."""
        if self.body is None:
            return None
        payload = json.loads(self.body)["payload"]
        return plain(payload) if self.tagged else payload

    @property
    def entry(self) -> Entry | None:
        """The entry to publish again; None if the payload was not kept."""
        if self.body is None:
            return None
        return Entry(
            message_id=self.message_id,
            sensor=self.sensor,
            trigger=self.trigger,
            trigger_type=self.trigger_type,
            created=self.created,
            body=self.body,
            tagged=self.tagged,
            fence=self.fence,
        )


def recorded(entry: Entry, state: State, committed: float | None = None) -> Recorded:
    """Return an entry that is not in the history in the form of those that are.

    :param committed: when the outbox had it on disk, in seconds since the epoch; None if that is unknown.
    """
    return Recorded(
        seq=0,
        message_id=entry.message_id,
        sensor=entry.sensor,
        trigger=entry.trigger,
        trigger_type=entry.trigger_type,
        created=entry.created,
        committed=committed,
        settled=None,
        state=state,
        reason=entry.reason or "",
        node="",
        fence=entry.fence,
        exchange="",
        routing_key="",
        attempts=0,
        problem="",
        is_late=False,
        trace_tag=trace_tag_of(entry.body),
        tagged=entry.tagged,
        body=entry.body,
    )


def trace_tag_of(body: str) -> str | None:
    """Return the trace tag in an entry's body, without decoding the payload; None if it has none."""
    start = body.rfind(TRACE)
    if start < 0 or body.endswith("null}"):
        return None
    try:
        context = json.loads(body[start + len(TRACE) : -1])
    except ValueError:
        return None
    tag = context.get("trace_tag") if isinstance(context, dict) else None
    if not isinstance(tag, str) or not tag:
        return None
    # A lone surrogate is possible in JSON, and cannot be stored.
    return tag if tag.isascii() else tag.encode(errors="backslashreplace").decode()
