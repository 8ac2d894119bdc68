"""Tells whoever watches what happens: states, triggers, errors, lines of the log. One who is slow misses some."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Any

WAITING = 1000
"""Events that wait for one who watches, at the most."""

KINDS = STATE, TRIGGER, INVALID, ERROR, LINE = "state", "trigger", "invalid", "error", "line"
"""Of events."""

Event = dict[str, Any]


class Watcher:
    """One who watches."""

    def __init__(self, kinds: Collection[str]) -> None:
        self.kinds = frozenset(kinds)
        self._events: asyncio.Queue[Event] = asyncio.Queue(WAITING)
        self._missed = 0

    def see(self, event: Event) -> None:
        try:
            self._events.put_nowait(event)
        except asyncio.QueueFull:
            self._missed += 1

    async def next(self) -> Event:
        """Wait for the next event."""
        return await self._events.get()

    def taken(self) -> list[Event]:
        """Those that wait."""
        events = []
        with suppress(asyncio.QueueEmpty):
            while True:
                events.append(self._events.get_nowait())
        return events

    def missed(self) -> int:
        """How many there was no room for since the last time."""
        missed, self._missed = self._missed, 0
        return missed


class Hub:
    """For the loop's thread, but for `is_watched`."""

    def __init__(self) -> None:
        self._watchers: set[Watcher] = set()

    @contextmanager
    def watched(self, kinds: Collection[str]) -> Iterator[Watcher]:
        """See events of some kinds from now on."""
        watcher = Watcher(kinds)
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
        event = {"at": time.time(), **fields, "kind": kind, "sensor": sensor}
        for watcher in self._watchers:
            if kind in watcher.kinds:
                watcher.see(event)
