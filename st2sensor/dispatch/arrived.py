"""Events that have arrived, and wait for their check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from st2sensor.dispatch.event import Event
from st2sensor.models import TriggerType
from st2sensor.outbox.incoming import OnDone


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """An event with the facts that are known before its payload is checked.

    :ivar body: its JSON form.
    :ivar problem: a problem that was found without decoding the payload; None if there is none.
    :ivar fence: the fence under which it was dispatched.
    :ivar at: the time of its dispatch, in seconds since the epoch.
    :ivar paths: the paths of the values that form the event's key for `dedupe`; empty if the event needs no key.
    """

    event: Event
    body: str
    trigger_type: TriggerType | None
    problem: str | None
    fence: int | None
    at: float
    paths: Sequence[str] = ()


class Waiting(NamedTuple):
    """Events that were dispatched together, and wait until they and earlier ones are checked."""

    events: Sequence[Arrived]
    done: OnDone
