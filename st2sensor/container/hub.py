"""Tells whoever watches what happens: states, triggers, errors, lines of the log. One who is slow misses some."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

WAITING = 1000
"""Events that wait for one who watches, at the most."""

KINDS = STATE, TRIGGER, INVALID, ERROR, LINE = "state", "trigger", "invalid", "error", "line"
"""Of events."""

Event = dict[str, Any]


class Hub:
    """For the loop's thread."""

    def __init__(self) -> None:
        self._watchers: set[asyncio.Queue[Event]] = set()

    @contextmanager
    def watched(self) -> Iterator[asyncio.Queue[Event]]:
        """A queue of what happens from now on."""
        events: asyncio.Queue[Event] = asyncio.Queue(WAITING)
        self._watchers.add(events)
        try:
            yield events
        finally:
            self._watchers.discard(events)

    def tell(self, kind: str, sensor: str, **fields: Any) -> None:
        """:param fields: JSON."""
        if not self._watchers:
            return
        event = {"at": time.time(), **fields, "kind": kind, "sensor": sensor}
        for events in self._watchers:
            if not events.full():
                events.put_nowait(event)
