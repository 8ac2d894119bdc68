"""The feed of the status page: sends changes once a second, in messages of bounded size."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import ExitStack, suppress
from typing import Any

import orjson

from st2sensor.container.broadcast import Broadcast
from st2sensor.container.operators.reporter import Reporter
from st2sensor.reports.json_form import with_times
from st2sensor.status import history
from st2sensor.status.history import History
from st2sensor.status.past import Past, is_failure
from st2sensor.status.rows import Differences, Row, difference, node_row_of, row_of

LOG = logging.getLogger("st2sensor.http")

INTERVAL = 1.0
"""Seconds between two messages."""

MESSAGE_LIMIT = 16_384
"""Maximum number of bytes of a message after the first. Changes that do not fit wait for the next message."""

EVENTS_LIMIT = 4096
"""Maximum number of bytes of the events in a message. Failures come first, and then the newest events."""

PAGES_LIMIT = 50
"""Maximum number of pages that may be open at the same time."""

BACKLOG = 30
"""Maximum number of messages waiting for a slow page. The connection of a page that exceeds it is closed."""


class Page:
    """The messages for one page."""

    def __init__(self) -> None:
        self._messages: asyncio.Queue[bytes | None] = asyncio.Queue()

    def put(self, message: bytes) -> bool:
        """Add a message. Returns whether it fitted."""
        if self._messages.qsize() >= BACKLOG:
            return False
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
        return await self._messages.get()


class Feed:
    """Sends messages to open pages, and keeps the past for future pages. For the loop's thread."""

    def __init__(self, reporter: Reporter, events: Broadcast) -> None:
        self._reporter = reporter
        self._past = Past()
        self._history = History()
        self._attached = ExitStack()
        self._attached.enter_context(events.attached(self._past))
        self._pages: set[Page] = set()
        self._sampling: asyncio.Task[None] | None = None
        self._sending: asyncio.Task[None] | None = None
        self._differences = Differences()
        self._node: Row = {}
        """The container as pages know it."""
        self._told, self._sampled = 0, 0.0
        """Number of the newest event, and time of the newest sample, that pages know."""

    @property
    def is_full(self) -> bool:
        return len(self._pages) >= PAGES_LIMIT

    def open(self) -> None:
        """Take samples from now on."""
        self._sampling = asyncio.get_running_loop().create_task(self._sample())

    async def whole(self) -> bytes:
        """Return the reports on the container and all sensors, as JSON with its times as text."""
        sensors = await self._reporter.sensors()
        # With many sensors, orjson takes dataclasses apart much faster than `asdict`.
        written = orjson.dumps({"node": await self._reporter.node(sensors), "sensors": sensors})
        return orjson.dumps(with_times(orjson.loads(written)))

    async def opening(self) -> bytes:
        """Return the first message for a page: everything that it shows."""
        rows, node = await self._rows()
        if self._differences.is_empty:
            self._differences.assume(rows)
            self._node = node
        return orjson.dumps(
            {
                "node": node,
                "sensors": list(rows.values()),
                "events": self._past.after(0),
                "samples": self._history.after(0.0),
            }
        )

    def join(self) -> Page:
        """Add a page. It gets all changes from now on."""
        page = Page()
        self._pages.add(page)
        if self._sending is None:
            self._differences, self._node = Differences(), {}
            self._told, self._sampled = self._past.last, self._history.last
            self._sending = asyncio.get_running_loop().create_task(self._send())
        return page

    def leave(self, page: Page) -> None:
        """Remove a page."""
        self._pages.discard(page)
        if not self._pages and self._sending is not None:
            self._sending.cancel()
            self._sending = None

    def close(self) -> None:
        """End every page, and take no more samples."""
        for page in list(self._pages):
            page.end()
            self.leave(page)
        if self._sampling is not None:
            self._sampling.cancel()
        self._attached.close()

    async def _sample(self) -> None:
        while True:
            self._history.add(time.time(), *self._reporter.throughput())
            await asyncio.sleep(history.INTERVAL)

    async def _send(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                message = await self._message()
            except Exception:
                LOG.exception("cannot send changes to the status page; trying again")
                continue
            for page in list(self._pages):
                if not page.put(message):
                    page.end()
                    self.leave(page)

    async def _message(self) -> bytes:
        rows, node = await self._rows()
        events, more = self._events()
        message: dict[str, Any] = {
            "node": difference(self._node, node),
            "sensors": [],
            "gone": [],
            "events": events,
            "more": more,
            "samples": self._history.after(self._sampled),
            "waiting": 0,
        }
        self._node, self._sampled = node, self._history.last
        room = MESSAGE_LIMIT - len(orjson.dumps(message))
        message["sensors"], message["gone"], message["waiting"] = self._differences.take(rows, room)
        return orjson.dumps(message)

    def _events(self) -> tuple[list[dict[str, Any]], int]:
        """Return the events since the last message that fit, oldest first, and the number of the others."""
        happened = self._past.after(self._told)
        total, self._told = self._past.last - self._told, self._past.last
        room = EVENTS_LIMIT
        chosen: list[dict[str, Any]] = []
        for event in sorted(happened, key=lambda item: (not is_failure(item), -int(item["id"]))):
            room -= len(orjson.dumps(event)) + 1
            if room < 0:
                break
            chosen.append(event)
        return sorted(chosen, key=lambda item: int(item["id"])), total - len(chosen)

    async def _rows(self) -> tuple[dict[str, Row], Row]:
        """Return the rows of all sensors, by reference, and the row of the container."""
        sensors = await self._reporter.sensors()
        node = await self._reporter.node(sensors)
        return {report.ref: row_of(report) for report in sensors}, node_row_of(node, sensors)
