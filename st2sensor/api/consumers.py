"""Answers the requests of consumers. For the loop's thread."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import orjson
from aiohttp import web

from st2sensor.api.feed import EventFeed, Events
from st2sensor.api.openapi import DOCUMENT, EVENTS, TRIGGER_TYPES, document
from st2sensor.api.query import BadQuery, Query, query
from st2sensor.dispatch.catalogue import Catalogue
from st2sensor.errors import BadCursor, HistoryCut, HistoryError

LOG = logging.getLogger("st2sensor.http")

CONSUMERS_LIMIT = 64
"""Maximum number of consumers that wait or read a stream at the same time."""

HEARTBEAT = 15
"""Seconds after which a stream without events gets a comment, so that proxies keep it open."""

WRITE_TIMEOUT = 10.0
"""Seconds within which a consumer must read a part of a stream."""

STREAM = "text/event-stream"


class Consumers:
    """The API.

    :param feed: None if no events are kept.
    :param catalogue: the registered trigger types.
    :param needs_token: whether requests need a token; the server checks it.
    """

    def __init__(self, feed: EventFeed | None, catalogue: Catalogue, *, needs_token: bool) -> None:
        self._feed = feed
        self._catalogue = catalogue
        self._document = document(needs_token=needs_token)
        self._number = 0
        """Number of consumers that are being answered."""

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add the API's paths to a server."""
        router.add_get(EVENTS, self._events, allow_head=False)
        router.add_get(TRIGGER_TYPES, self._trigger_types)
        router.add_get(DOCUMENT, self._openapi)

    def close(self) -> None:
        if self._feed is not None:
            self._feed.close()

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if self._feed is None:
            return _error(503, "no events are kept: set [history] enable = true, and restart the container")
        try:
            asked = query(request.query, request.headers)
            with self._counted():
                if STREAM in request.headers.get("Accept", ""):
                    return await self._stream(request, self._feed, asked)
                found = await self._feed.next(asked.after, asked.filters, asked.limit, asked.wait)
        except BadQuery as error:
            return _error(400, str(error))
        except HistoryCut as cut:
            return _error(410, str(cut), oldest=cut.oldest)
        except _TooMany:
            return _error(503, "too many consumers are waiting: end one, or ask again later", retry_after=5)
        except BadCursor as error:
            return _error(400, str(error))
        except HistoryError as error:
            return _error(503, str(error))
        events = ",".join(event for event, _ in found.events)
        return web.Response(text=f'{{"events":[{events}],"cursor":"{found.cursor}"}}', content_type="application/json")

    async def _stream(self, request: web.Request, feed: EventFeed, asked: Query) -> web.StreamResponse:
        """Send events as server-sent events until the consumer leaves. If an error occurs before the stream begins, it
        is raised, so that the answer has an error status."""
        found = await feed.next(asked.after, asked.filters, asked.limit, 0)
        response = web.StreamResponse(headers={"Content-Type": STREAM, "Cache-Control": "no-store"})
        await response.prepare(request)
        try:
            while not feed.is_closed():
                await _write_page(response, found)
                cursor = found.cursor
                # Free the events: they may be large, and a stream may wait for a long time.
                del found
                found = await feed.next(cursor, asked.filters, asked.limit, HEARTBEAT)
        except HistoryError as error:
            await _write(response, f"event: error\ndata: {orjson.dumps({'error': str(error)}).decode()}\n\n")
        except (ConnectionError, TimeoutError):
            if request.transport is not None:
                request.transport.abort()
        return response

    async def _trigger_types(self, request: web.Request) -> web.Response:  # noqa: ARG002 (aiohttp passes it)
        types = [
            {
                "ref": item.ref,
                "pack": item.pack,
                "name": item.name,
                "description": item.description,
                "payload_schema": item.payload_schema,
                "parameters_schema": item.parameters_schema,
            }
            for item in sorted(self._catalogue.types(), key=lambda item: item.ref)
        ]
        return web.Response(body=orjson.dumps({"trigger_types": types}, default=str), content_type="application/json")

    async def _openapi(self, request: web.Request) -> web.Response:  # noqa: ARG002
        return web.json_response(self._document)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        if self._number >= CONSUMERS_LIMIT:
            raise _TooMany
        self._number += 1
        try:
            yield
        finally:
            self._number -= 1


class _TooMany(Exception):
    """Too many consumers are waiting."""


def _error(status: int, text: str, *, oldest: str | None = None, retry_after: int | None = None) -> web.Response:
    body = {"error": text} | ({} if oldest is None else {"oldest": oldest})
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return web.json_response(body, status=status, headers=headers)


async def _write_page(response: web.StreamResponse, page: Events) -> None:
    for event, cursor in page.events:
        await _write(response, f"id: {cursor}\ndata: {event}\n\n")
    if not page.events:
        await _write(response, f": waiting\nid: {page.cursor}\n\n")


async def _write(response: web.StreamResponse, text: str) -> None:
    async with asyncio.timeout(WRITE_TIMEOUT):
        await response.write(text.encode())
