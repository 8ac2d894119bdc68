"""Pages of the history for consumers, read in a thread of their own. For the loop's thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from st2sensor.api.cloudevents import text_of
from st2sensor.errors import HistoryError
from st2sensor.history.event import State
from st2sensor.history.filters import Filters
from st2sensor.history.reader import History, Page
from st2sensor.system.event_loop import call_in_loop
from st2sensor.system.threads import Threads

CONSUMED = frozenset({State.CONFIRMED, State.UNROUTED})
"""States of the events that consumers get. Dead letters are not among them: no consumer of the broker got them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """Events for a consumer.

    :param events: CloudEvents, as JSON, each with the cursor after it.
    :param cursor: where to continue.
    """

    events: Sequence[tuple[str, str]]
    cursor: str


class EventFeed:
    """Reads a history. Nothing is opened before the first consumer.

    :param path: the history's file.
    :param tell: registers a function. The history's thread then calls this function after each commit of events.
    """

    def __init__(self, path: Path, tell: Callable[[Callable[[], None]], None]) -> None:
        self._history = History(path)
        self._waiting: set[asyncio.Event] = set()
        """An asyncio event for each consumer that is waiting or about to wait."""
        self._loop: asyncio.AbstractEventLoop | None = None
        tell(self._committed)
        self._threads: Threads | None = None
        self._closed = False

    def is_closed(self) -> bool:
        return self._closed

    async def end(self) -> str:
        """Return the cursor after the newest event. Raises HistoryError."""
        return await asyncio.get_running_loop().run_in_executor(self._reading(), self._history.end)

    async def next(self, cursor: str | None, filters: Filters, limit: int, wait: float) -> Events:
        """Return the events after a cursor, as soon as there is one that the filters accept. Once the feed is closed,
        return without events.

        :param cursor: None: begin with the oldest event that is kept.
        :param wait: seconds after which the answer may be empty.

        Raises HistoryCut, BadCursor and HistoryError.
        """
        loop = self._loop = asyncio.get_running_loop()
        until = loop.time() + wait
        changed = asyncio.Event()
        self._waiting.add(changed)
        try:
            while True:
                # Cleared before reading: if events are committed meanwhile, they must be read as well.
                changed.clear()
                page, texts = await self._page(cursor, filters, limit)
                cursor = page.cursor
                if texts or self.is_closed() or (not page.has_more and loop.time() >= until):
                    return Events(events=texts, cursor=page.cursor)
                if not page.has_more:
                    with suppress(TimeoutError):
                        async with asyncio.timeout_at(until):
                            await changed.wait()
                if self.is_closed():
                    return Events(events=(), cursor=page.cursor)
        finally:
            self._waiting.discard(changed)

    async def _page(self, cursor: str | None, filters: Filters, limit: int) -> tuple[Page, list[tuple[str, str]]]:
        reading = None
        if not self.is_closed():
            loop = asyncio.get_running_loop()
            reading = loop.run_in_executor(self._reading(), self._read, cursor, filters, limit)
            await asyncio.wait([reading])
        if reading is None or reading.cancelled():
            raise HistoryError("the container is stopping; ask again once it runs")
        return reading.result()

    def _committed(self) -> None:
        """From the history's thread."""
        if self._waiting and self._loop is not None:
            call_in_loop(self._loop, self._wake)

    def _wake(self) -> None:
        for changed in self._waiting:
            changed.set()

    def close(self) -> None:
        """End the waits of all consumers, and stop reading."""
        self._closed = True
        self._wake()
        if self._threads is not None:
            self._threads.shutdown(wait=False)
        self._history.close()

    def _reading(self) -> Threads:
        if self._threads is None:
            self._threads = Threads(1, "consumers")
        return self._threads

    def _read(self, cursor: str | None, filters: Filters, limit: int) -> tuple[Page, list[tuple[str, str]]]:
        page = self._history.page(cursor, filters, limit)
        identity = page.cursor.partition(".")[0]
        return page, [(text_of(event), f"{identity}.{event.seq}") for event in page.events]
