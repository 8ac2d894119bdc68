"""Sends events to watchers: states, triggers, errors, and lines of the log. A slow watcher misses some of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

WAITING, WAITING_BYTES = 1000, 4_000_000
"""Maximum number of events waiting for one watcher, and of their bytes; a single event may be larger."""

LONGEST = 16_384
"""Maximum number of characters of a text in an event. The last ones are kept: a traceback ends with its message."""

BODY = "body"
"""The field that holds a payload. It is never cut, but omitted for watchers that do not want it."""

KINDS = STATE, TRIGGER, INVALID, ERROR, LINE = "state", "trigger", "invalid", "error", "line"
"""Kinds of events."""

Event = dict[str, Any]


class Sees(Protocol):
    """An object that receives events.

    :ivar kinds: the kinds of events that it receives.
    """

    kinds: frozenset[str]

    def see(self, event: Event) -> None:
        """Take an event, without waiting. Others get the same object, so it must not be changed."""


class Watcher:
    """Keeps the events of one watcher until they are taken.

    :param bodies: whether the watcher wants payloads.
    """

    def __init__(self, kinds: Collection[str], bodies: bool) -> None:
        self.kinds = frozenset(kinds)
        self._bodies = bodies
        self._events: asyncio.Queue[tuple[Event, int]] = asyncio.Queue(WAITING)
        self._bytes = 0
        self._missed = 0

    def see(self, event: Event) -> None:
        """Keep an event, or count it as missed if there is no space."""
        if not self._bodies:
            event = {name: value for name, value in event.items() if name != BODY}
        size = sum(len(value) for value in event.values() if isinstance(value, str | bytes))
        if self._events.full() or (self._bytes and self._bytes + size > WAITING_BYTES):
            self._missed += 1
            return
        self._bytes += size
        self._events.put_nowait((event, size))

    async def next(self) -> Event:
        """Wait for the next event."""
        event, size = await self._events.get()
        self._bytes -= size
        return event

    def taken(self) -> list[Event]:
        """Take and return the waiting events."""
        events = []
        with suppress(asyncio.QueueEmpty):
            while True:
                event, size = self._events.get_nowait()
                self._bytes -= size
                events.append(event)
        return events

    def missed(self) -> int:
        """Return the number of events missed since the last call."""
        missed, self._missed = self._missed, 0
        return missed


class Broadcast:
    """For the loop's thread, except for `is_watched`."""

    def __init__(self) -> None:
        self._watchers: frozenset[Sees] = frozenset()

    @contextmanager
    def watched(self, kinds: Collection[str], *, bodies: bool = True) -> Iterator[Watcher]:
        """Watch events of some kinds.

        :param bodies: whether the events carry their payloads.
        """
        watcher = Watcher(kinds, bodies)
        with self.attached(watcher):
            yield watcher

    @contextmanager
    def attached(self, watcher: Sees) -> Iterator[None]:
        """Add a watcher of another kind."""
        # Replaced and not modified, because other threads read it.
        self._watchers = self._watchers | {watcher}
        try:
            yield
        finally:
            self._watchers = self._watchers - {watcher}

    def is_watched(self, kind: str) -> bool:
        """Return whether anyone is watching events of a kind. For any thread."""
        return any(kind in watcher.kinds for watcher in self._watchers)

    def tell(self, kind: str, sensor: str, **fields: Any) -> None:
        """Send an event to the watchers of its kind.

        :param fields: values that JSON can hold.
        """
        if not self._watchers:
            return
        shortened = {
            name: _end(value) if name != BODY and isinstance(value, str) else value for name, value in fields.items()
        }
        event = {"at": time.time(), **shortened, "kind": kind, "sensor": sensor}
        for watcher in self._watchers:
            if kind in watcher.kinds:
                watcher.see(event)


def _end(value: Any) -> Any:
    return value[-LONGEST:] if isinstance(value, str) else value
