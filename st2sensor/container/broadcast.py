"""Tells whoever watches what happens: states, triggers, errors, lines of the log. One who is slow misses some."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Any

WAITING, WAITING_BYTES = 1000, 4_000_000
"""Events that wait for one who watches, and their bytes, at most, but for a single event."""

LONGEST = 16_384
"""Characters of a text that are told: the last ones, where a traceback has its point."""

BODY = "body"
"""The field that holds a payload: it is told whole, to those who want it."""

KINDS = STATE, TRIGGER, INVALID, ERROR, LINE = "state", "trigger", "invalid", "error", "line"
"""Of events."""

Event = dict[str, Any]


class Watcher:
    """One who watches.

    :param bodies: whether it wants payloads.
    """

    def __init__(self, kinds: Collection[str], bodies: bool) -> None:
        self.kinds = frozenset(kinds)
        self._bodies = bodies
        self._events: asyncio.Queue[tuple[Event, int]] = asyncio.Queue(WAITING)
        self._bytes = 0
        self._missed = 0

    def see(self, event: Event) -> None:
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
        """Those that wait."""
        events = []
        with suppress(asyncio.QueueEmpty):
            while True:
                event, size = self._events.get_nowait()
                self._bytes -= size
                events.append(event)
        return events

    def missed(self) -> int:
        """How many there was no room for since the last time."""
        missed, self._missed = self._missed, 0
        return missed


class Broadcast:
    """For the loop's thread, but for `is_watched`."""

    def __init__(self) -> None:
        self._watchers: set[Watcher] = set()

    @contextmanager
    def watched(self, kinds: Collection[str], *, bodies: bool = True) -> Iterator[Watcher]:
        """See events of some kinds from now on.

        :param bodies: with payloads.
        """
        watcher = Watcher(kinds, bodies)
        # Replaced, not changed: other threads look at it.
        self._watchers = self._watchers | {watcher}
        try:
            yield watcher
        finally:
            self._watchers = self._watchers - {watcher}

    def is_watched(self, kind: str) -> bool:
        """Whether somebody wants to see events of a kind."""
        return any(kind in watcher.kinds for watcher in self._watchers)

    def tell(self, kind: str, sensor: str, **fields: Any) -> None:
        """:param fields: JSON."""
        if not self._watchers:
            return
        told = {
            name: _end(value) if name != BODY and isinstance(value, str) else value for name, value in fields.items()
        }
        event = {"at": time.time(), **told, "kind": kind, "sensor": sensor}
        for watcher in self._watchers:
            if kind in watcher.kinds:
                watcher.see(event)


def _end(value: Any) -> Any:
    return value[-LONGEST:] if isinstance(value, str) else value
