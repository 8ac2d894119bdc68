"""What pages are told while somebody looks: once a second, the sensors that have changed, and what has happened."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any

import orjson

from st2sensor.container import hub
from st2sensor.container.hub import Hub, Watcher
from st2sensor.container.reporter import Reporter
from st2sensor.reports import SensorReport

LOG = logging.getLogger(__name__)

INTERVAL = 1.0
"""Seconds."""

MOST = 50
"""Events that are told at a time, the newest."""

SHOWN = (hub.STATE, hub.TRIGGER, hub.INVALID, hub.ERROR)

PAGES = 50
"""That may be open at a time."""

BACKLOG = 30
"""Messages that wait for a page which does not read them, before it is given up."""

Pages = set[asyncio.Queue[bytes | None]]


class Feed:
    """For the loop's thread. It works only while somebody looks."""

    def __init__(self, reporter: Reporter, events: Hub) -> None:
        self._reporter = reporter
        self._events = events
        self._pages: Pages = set()
        self._task: asyncio.Task[None] | None = None

    @property
    def is_full(self) -> bool:
        return len(self._pages) >= PAGES

    async def whole(self) -> bytes:
        """Everything, as JSON."""
        return orjson.dumps({"node": await self._reporter.node(), "sensors": await self._reporter.sensors()})

    def join(self) -> asyncio.Queue[bytes | None]:
        """A queue of what changes from now on; None ends it."""
        page: asyncio.Queue[bytes | None] = asyncio.Queue(BACKLOG)
        self._pages.add(page)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._tell())
        return page

    def leave(self, page: asyncio.Queue[bytes | None]) -> None:
        self._pages.discard(page)
        if not self._pages and self._task is not None:
            self._task.cancel()
            self._task = None

    def close(self) -> None:
        """End every queue."""
        for page in list(self._pages):
            _end(page)
            self.leave(page)

    async def _tell(self) -> None:
        with self._events.watched(SHOWN) as events:
            known: dict[str, SensorReport] = {}
            while True:
                await asyncio.sleep(INTERVAL)
                try:
                    known = await self._tell_once(known, events)
                except Exception:
                    LOG.exception("the status page is not told what has changed")

    async def _tell_once(self, known: dict[str, SensorReport], events: Watcher) -> dict[str, SensorReport]:
        reports = {report.ref: report for report in await self._reporter.sensors()}
        happened = [_without_payload(event) for event in events.taken()]
        message = orjson.dumps(
            {
                "node": await self._reporter.node(),
                "sensors": [report for ref, report in reports.items() if known.get(ref) != report],
                "gone": [ref for ref in known if ref not in reports],
                "events": happened[-MOST:],
                "more": max(0, len(happened) - MOST) + events.missed(),
            }
        )
        for page in list(self._pages):
            try:
                page.put_nowait(message)
            except asyncio.QueueFull:
                _end(page)
                self.leave(page)
        return reports


def _without_payload(event: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name != "body"}


def _end(page: asyncio.Queue[bytes | None]) -> None:
    """Have a queue end, whether it is full or not."""
    with suppress(asyncio.QueueEmpty):
        while page.full():
            page.get_nowait()
    page.put_nowait(None)
