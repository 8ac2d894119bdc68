"""An event with its life, as `why` needs it, and the interface to find such events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """An attempt to publish an event that failed.

    :param at: seconds since the epoch; None if unknown.
    :param refusal: why it failed.
    :param times: number of attempts in a row that it stands for; `refusal` is that of the last one.
    """

    at: float | None
    refusal: str
    times: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLife:
    """An event and what has happened to it here. Times are seconds since the epoch; None if the thing has not happened.

    :param trigger: reference of the trigger.
    :param created: when it was dispatched.
    :param payload: in the form that JSON consumers get; None if it was not kept, or cannot be read.
    :param is_waiting: whether it is in the outbox.
    :param committed: when it was on disk.
    :param attempts: failed attempts to publish it.
    :param confirmed: when the broker had it.
    :param unrouted: when the broker had no queue for it.
    :param is_dead: whether it is a dead letter.
    :param reason: why it is dead; empty otherwise.
    :param dead: when it became a dead letter, if that is known.
    :param node: the node that dispatched it; None if there is one node.
    :param fence: fence of the lease under which it was dispatched; None where sensors are not shared.
    :param replayed: when it was last published again by hand.
    :param is_late: whether its lease was over when it was published.
    :param source: where it was found, in words: `outbox`, `dead letters`, `StackStorm`, `history`, or a file.
    :param instance: id of its trigger instance in StackStorm, if it was found there.
    """

    message_id: str
    sensor: str
    trigger: str
    trigger_type: str
    created: float
    payload: Mapping[str, Any] | None
    trace_tag: str | None = None
    is_waiting: bool = False
    committed: float | None = None
    attempts: Sequence[Attempt] = field(default=())
    confirmed: float | None = None
    unrouted: float | None = None
    is_dead: bool = False
    reason: str = ""
    dead: float | None = None
    node: str | None = None
    fence: int | None = None
    replayed: float | None = None
    is_late: bool = False
    source: str = ""
    instance: str | None = None


class Lives(Protocol):
    """Finds events. Methods return the newest first, at most a page of them, and raise OutboxError."""

    def named(self, identifier: str) -> Sequence[EventLife]:
        """Return the events with a message_id. If there are several, they are repeats of one event."""

    def traced(self, tag: str) -> Sequence[EventLife]:
        """Return the events with a trace tag."""

    def of_trigger(self, ref: str) -> Sequence[EventLife]:
        """Return the events of a trigger, or of a trigger type."""
