"""The feed of the status page: sends the sensors that have changed and the new events once a second."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

import orjson

from st2sensor.container import broadcast
from st2sensor.container.broadcast import Broadcast, Watcher
from st2sensor.container.operators.reporter import Reporter
from st2sensor.reports import SensorReport

LOG = logging.getLogger("st2sensor.http")

INTERVAL = 1.0
"""Seconds between two messages."""

EVENTS_LIMIT = 50
"""Maximum number of events in a message; the newest ones are sent."""

SHOWN = (broadcast.STATE, broadcast.TRIGGER, broadcast.INVALID, broadcast.ERROR)

PAGES_LIMIT = 50
"""Maximum number of pages that may be open at the same time."""

BACKLOG, BACKLOG_BYTES = 30, 8_000_000
"""Maximum number of messages waiting for a slow page, and of their bytes. A page that exceeds either is closed."""


class Page:
    """The messages for one page."""

    def __init__(self) -> None:
        self._messages: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._bytes = 0

    def put(self, message: bytes) -> bool:
        """Add a message. Returns whether there was room."""
        size = self._messages.qsize()
        if size >= BACKLOG or (size and self._bytes + len(message) > BACKLOG_BYTES):
            return False
        self._bytes += len(message)
        self._messages.put_nowait(message)
        return True

    def end(self) -> None:
        """Drop the waiting messages, and send no more."""
        with suppress(asyncio.QueueEmpty):
            while True:
                self._messages.get_nowait()
        self._messages.put_nowait(None)

    async def get(self) -> bytes | None:
        """Wait for the next message. Returns None at the end."""
        message = await self._messages.get()
        self._bytes -= len(message or b"")
        return message


class Feed:
    """Sends messages to pages while any are open. For the loop's thread."""

    def __init__(self, reporter: Reporter, events: Broadcast) -> None:
        self._reporter = reporter
        self._events = events
        self._pages: set[Page] = set()
        self._task: asyncio.Task[None] | None = None

    @property
    def is_full(self) -> bool:
        return len(self._pages) >= PAGES_LIMIT

    async def whole(self) -> bytes:
        """Return the reports on the container and all sensors, as JSON."""
        return orjson.dumps({"node": await self._reporter.node(), "sensors": await self._reporter.sensors()})

    def join(self) -> Page:
        """Add a page. It gets all changes from now on."""
        page = Page()
        self._pages.add(page)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
        return page

    def leave(self, page: Page) -> None:
        """Remove a page."""
        self._pages.discard(page)
        if not self._pages and self._task is not None:
            self._task.cancel()
            self._task = None

    def close(self) -> None:
        """End every page."""
        for page in list(self._pages):
            page.end()
            self.leave(page)

    async def _run(self) -> None:
        with self._events.watched(SHOWN, bodies=False) as events:
            known: dict[str, SensorReport] = {}
            while True:
                await asyncio.sleep(INTERVAL)
                try:
                    known = await self._send_changes(known, events)
                except Exception:
                    LOG.exception("cannot send changes to the status page; trying again")

    async def _send_changes(self, known: dict[str, SensorReport], events: Watcher) -> dict[str, SensorReport]:
        reports = {report.ref: report for report in await self._reporter.sensors()}
        happened = events.taken()
        message = orjson.dumps(
            {
                "node": await self._reporter.node(),
                "sensors": [report for ref, report in reports.items() if known.get(ref) != report],
                "gone": [ref for ref in known if ref not in reports],
                "events": happened[-EVENTS_LIMIT:],
                "more": max(0, len(happened) - EVENTS_LIMIT) + events.missed(),
            }
        )
        for page in list(self._pages):
            if not page.put(message):
                page.end()
                self.leave(page)
        return reports
