"""Announces changes of keys as triggers, as StackStorm does: st2.key_value_pair.create and the others."""

from __future__ import annotations

import logging
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from st2sensor.datastore.change_triggers import triggers_of
from st2sensor.models import Change
from st2sensor.system.event_loop import call_in_loop

LOG = logging.getLogger("st2sensor.datastore")

ANNOUNCE_DELAY = 0.1
"""Seconds for which changes are gathered. To announce each change by itself would cost as much as the calls."""

UNANNOUNCED = ("core.TimerSensor:", "core.WebhookSensor:")
"""Prefixes of keys whose changes are not announced. The cursors of timers would turn each event into three."""


class Room(Protocol):
    """The destination of triggers."""

    @property
    def has_room(self) -> bool:
        """Whether a trigger that is dispatched now would not wait."""


class Announcer:
    """Gathers changes, and dispatches their triggers. `announce` is for any thread, the rest for the loop's.

    :param emit: dispatches one of the container's own triggers, given its reference and its payload.
    :param enabled: whether changes are announced.
    """

    def __init__(
        self, loop: AbstractEventLoop, room: Room, emit: Callable[[str, dict[str, Any]], None], *, enabled: bool
    ) -> None:
        self._loop = loop
        self._room = room
        self._emit = emit
        self._enabled = enabled
        self._changes: deque[Change] = deque()
        self._is_scheduled = False
        self._is_dropping = False
        """Whether the log already says that changes are dropped."""

    def announce(self, change: Change) -> None:
        """Announce a change after a short delay, together with other changes."""
        if self._enabled and not _is_bookkeeping(change):
            self._changes.append(change)
            if not self._is_scheduled:
                self._is_scheduled = True
                call_in_loop(self._loop, self._loop.call_later, ANNOUNCE_DELAY, self.flush)

    def flush(self) -> None:
        """Announce the gathered changes now. Drop them while the outbox is full."""
        # Reset before the changes are taken: a change that arrives now is taken below, or schedules another flush.
        self._is_scheduled = False
        if not self._room.has_room:
            if self._changes and not self._is_dropping:
                LOG.warning("changes of the datastore are not announced until the outbox has room")
            self._is_dropping = bool(self._changes)
            self._changes.clear()
            return
        self._is_dropping = False
        while self._changes:
            for trigger, payload in triggers_of(self._changes.popleft()):
                self._emit(trigger, payload)


def _is_bookkeeping(change: Change) -> bool:
    """Whether a change is to a key that the bundled pack's sensors keep for their own use."""
    entry = change.new or change.old
    return entry is not None and entry.name.startswith(UNANNOUNCED)
