"""Answers with events of this node and what became of them, for the page and for commands on other nodes.

For the loop's thread. Everything is read in a thread of its own, because it may wait for the disk and the database.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web
from multidict import MultiMapping

from st2sensor.errors import ConfigError, EventNotFound, HistoryError
from st2sensor.history.event import State
from st2sensor.history.file import NAME
from st2sensor.history.filters import Filters, condition
from st2sensor.history.reader import History
from st2sensor.settings import Settings
from st2sensor.shown import found
from st2sensor.shown.fields import fields, whole
from st2sensor.shown.masks import Masks
from st2sensor.system.threads import Threads

EVENTS_LIMIT, BYTES_LIMIT = 1000, 8_000_000
"""Maximum numbers of events and of bytes of their payloads in an answer: the newest ones. One event always fits."""

ANSWER_TIMEOUT = 10.0
"""Seconds that reading may take, with the requests before."""

MASKS_KEPT = 30.0
"""Seconds for which it is remembered what is secret."""

KNOWN = frozenset({"sensor", "trigger", "trace", "since", "until", "where", "state", "limit", "token"})
"""Parameters of a request for events. They are those of `st2sensor events`; times are seconds since the epoch."""


class Lives:
    """Serves `/history` and `/history/ID`.

    :param state_dir: of this container.
    """

    def __init__(self, settings: Settings, state_dir: Path) -> None:
        self._settings = settings
        self._state_dir = state_dir
        self._threads: Threads | None = None
        self._masks: Masks | None = None
        self._masks_until = 0.0

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add the paths to a server."""
        router.add_get("/history", self._newest)
        router.add_get("/history/{id}", self._one)

    def close(self) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=False)

    async def _newest(self, request: web.Request) -> web.Response:
        """Answer with the newest events that the parameters accept, oldest first."""
        try:
            filters, limit = _filters(request.query), _limit(request.query)
        except (ConfigError, ValueError) as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from None
        return await self._answer(lambda: self._read_newest(filters, limit))

    async def _one(self, request: web.Request) -> web.Response:
        """Answer with an event and its timeline."""
        identifier = request.match_info["id"]
        return await self._answer(lambda: self._read_one(identifier))

    async def _answer(self, read: Callable[[], bytes]) -> web.Response:
        if not self._settings.history.enable:
            raise web.HTTPServiceUnavailable(text="no events are kept: set [history] enable = true\n")
        if self._threads is None:
            self._threads = Threads(1, "lives")
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                body = await asyncio.get_running_loop().run_in_executor(self._threads, read)
        except TimeoutError:
            raise web.HTTPServiceUnavailable(text="the history takes too long to read: ask for less\n") from None
        except EventNotFound as error:
            raise web.HTTPNotFound(text=f"{error}\n") from None
        except HistoryError as error:
            raise web.HTTPServiceUnavailable(text=f"{error}\n") from None
        return web.Response(body=body, content_type="application/json")

    def _read_newest(self, filters: Filters, limit: int) -> bytes:
        with closing(History(self._state_dir / NAME)) as history:
            events = found.newest(history, self._state_dir / "outbox.db", filters, limit)
        size, kept = 0, len(events)
        while kept and (kept == len(events) or size + len(events[kept - 1].body or "") <= BYTES_LIMIT):
            kept -= 1
            size += len(events[kept].body or "")
        masks = self._known_masks()
        return orjson.dumps({"events": [fields(event, masks) for event in events[kept:]], "more": kept > 0})

    def _read_one(self, identifier: str) -> bytes:
        with closing(History(self._state_dir / NAME)) as history:
            event = found.one(history, self._state_dir / "outbox.db", identifier)
            return orjson.dumps(whole(event, self._known_masks(), history.replays(event.message_id)))

    def _known_masks(self) -> Masks:
        now = time.monotonic()
        if self._masks is None or now >= self._masks_until:
            self._masks, self._masks_until = Masks(self._settings), now + MASKS_KEPT
        return self._masks


def _filters(query: MultiMapping[str]) -> Filters:
    """Return the filters that parameters describe. Raises ConfigError, ValueError."""
    unknown = sorted(set(query) - KNOWN)
    if unknown:
        raise ValueError(f"there is no parameter {unknown[0]!r}: use {', '.join(sorted(KNOWN - {'token'}))}")
    return Filters(
        sensor=query.get("sensor", ""),
        triggers=frozenset(query.getall("trigger", [])),
        trace_tag=query.get("trace", ""),
        since=_seconds(query, "since"),
        until=_seconds(query, "until"),
        states=frozenset(map(State, query.getall("state", []))),
        conditions=tuple(map(condition, query.getall("where", []))),
    )


def _seconds(query: MultiMapping[str], name: str) -> float | None:
    text: Any = query.get(name)
    seconds = None if text is None else float(text)
    # The largest time is that of SQLite's integers, in microseconds.
    if seconds is not None and not (math.isfinite(seconds) and abs(seconds) < 1e12):
        raise ValueError(f"{name} must be a number of seconds since the epoch")
    return seconds


def _limit(query: MultiMapping[str]) -> int:
    text = query.get("limit", "50")
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= EVENTS_LIMIT):
        raise ValueError(f"limit must be a whole number from 1 to {EVENTS_LIMIT}")
    return int(text)
