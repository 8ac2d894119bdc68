"""The HTTP server for webhooks. It answers 202 once the events of a request are on disk."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import ssl
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiohttp import web

from st2sensor.core_pack.webhooks.access import Access
from st2sensor.core_pack.webhooks.api_keys import MARK, ApiKeys
from st2sensor.core_pack.webhooks.api_keys import PREFIX as API_KEYS
from st2sensor.core_pack.webhooks.hooks import Hooks, normalised
from st2sensor.core_pack.webhooks.openapi import document
from st2sensor.core_pack.webhooks.payload import body_of, payload_of
from st2sensor.core_pack.webhooks.rates import Rates
from st2sensor.core_pack.webhooks.refusal import Refusal
from st2sensor.errors import DatastoreUnavailable, St2SensorError
from st2sensor.system.connection_limits import REQUEST_TIMEOUT, ConnectionLimits, share_of_files
from st2sensor.system.http_listener import HttpListener

PATHS = ("/api/v1/webhooks/", "/v1/webhooks/")
"""The paths of StackStorm's proxy and of its API."""

MAX_DISPATCHES = 32
"""Maximum number of dispatches that wait for the disk at the same time. They share a commit."""

CLIENT_TIMEOUT = 30.0
"""Seconds that a request waits for its events to be on disk."""

MAX_CONNECTIONS = 4096
"""Maximum number of open connections."""

KEYS_TIMEOUT = 3.0
"""Seconds to wait for the datastore's API keys. After that, the last known keys are used."""

CLOSING_TIMEOUT = 5.0
"""Seconds to answer open requests when the server closes."""

TRACE_TAG = "St2-Trace-Tag"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of the section `[webhooks]`.

    :param max_size: bytes of a body.
    :param timeout: seconds for receiving the head of a request, and again for its body.
    :param rate_limit: requests per second to one URL; 0 for no limit.
    :param require_key: `auto`, `always` or `never`.
    :param tls_certificate_file: the certificate with its chain; None for HTTP without TLS.
    """

    host: str
    port: int
    max_size: int
    timeout: float
    rate_limit: float
    require_key: str
    tls_certificate_file: str | None
    tls_key_file: str | None


class Server:
    """Serves webhooks. Used by the loop's thread only.

    :param service: the sensor's service.
    :param signatures: `signatures` of the pack's configuration.
    :param sockets: hold the address, and do not listen yet.
    """

    def __init__(
        self,
        options: Options,
        hooks: Hooks,
        service: Any,
        signatures: Mapping[str, Mapping[str, Any]],
        logger: logging.Logger,
        sockets: Sequence[socket.socket],
    ) -> None:
        self._sockets = sockets
        self._options = options
        self._hooks = hooks
        self._service = service
        self._logger = logger
        self._rates = Rates(options.rate_limit)
        self._threads = ThreadPoolExecutor(MAX_DISPATCHES, thread_name_prefix="webhooks")
        # A thread of its own: dispatches that wait for space in the outbox must not delay the check of a key.
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="keys")
        self._reading: asyncio.Future[dict[str, str]] | None = None
        self._keys = ApiKeys(self._read_keys, self._mark_keys, logger)
        self._answering: set[asyncio.Task[Any]] = set()
        self._doors: HttpListener | None = None
        self._access = Access(self._keys, signatures, options.require_key, options.host)

    async def serve(self, closing: asyncio.Event) -> None:
        """Serve until `closing` is set. Raises OSError for an unusable address or certificate."""
        options = self._options
        context = self._tls()
        application = web.Application(middlewares=[self._explained], client_max_size=options.max_size)
        for path in PATHS:
            application.router.add_post(f"{path}{{url:.+}}", self._post)
        application.router.add_get("/api/v1/openapi.json", self._document, allow_head=False)
        # Malformed requests are not logged.
        logging.getLogger("aiohttp").setLevel(logging.CRITICAL)
        runner = web.AppRunner(
            application, access_log=None, shutdown_timeout=1.0, keepalive_timeout=options.timeout, lingering_time=1.0
        )
        await runner.setup()
        following = asyncio.ensure_future(self._keys.follow())
        # If this task ended, revoked keys would be accepted forever.
        following.add_done_callback(lambda _: closing.set())
        try:
            limit, patience = share_of_files(2, MAX_CONNECTIONS), min(REQUEST_TIMEOUT, options.timeout)
            visitors = ConnectionLimits(asyncio.get_running_loop(), "[webhooks]", limit, patience=patience)
            server = runner.server
            assert server is not None
            self._doors = HttpListener(visitors, server, options.host, options.port, context, self._sockets)
            place = await self._doors.open()
            self._logger.info("listening at %s%s", place, PATHS[0])
            for url in sorted(self._access.signed_urls - self._hooks.urls()):
                self._logger.warning("signatures: no rule asks for webhook %s; case matters", url)
            await closing.wait()
            self._doors.close()
            await self._answer_all()
            if following.done():
                following.result()
        finally:
            following.cancel()
            if self._doors is not None:
                self._doors.close()
            await runner.cleanup()
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._reader.shutdown(wait=False, cancel_futures=True)

    async def _answer_all(self) -> None:
        """Wait for open requests, because aiohttp would close connections whose request is incomplete."""
        if self._answering:
            await asyncio.wait(self._answering, timeout=CLOSING_TIMEOUT)

    def _tls(self) -> ssl.SSLContext | None:
        if self._options.tls_certificate_file is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._options.tls_certificate_file, self._options.tls_key_file)
        return context

    @web.middleware
    async def _explained(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request, and turn refusals into the form of StackStorm's API."""
        task = asyncio.current_task()
        assert task is not None
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)
        assert self._doors is not None
        try:
            with self._doors.answering(request.protocol):
                return await handler(request)
        except Refusal as refusal:
            status, reason, headers = refusal.status, refusal.reason, dict(refusal.headers)
        except web.HTTPException as exception:
            if exception.status < 400:
                raise
            status, reason = exception.status, exception.reason
            headers = {name: value for name, value in exception.headers.items() if name == "Allow"}
        except Exception:
            self._logger.exception("%s could not be answered", request.path)
            status, reason, headers = 500, "internal error; see the sensor's log", {}
        said = (request.method, request.path, request.remote, status, reason)
        self._logger.info("refused %s", _printable("{} {} from {}: {} {}".format(*said)))
        return web.json_response({"faultstring": reason}, status=status, headers=headers)

    async def _document(self, request: web.Request) -> web.Response:  # noqa: ARG002 (aiohttp hands it over)
        needs_key = await self._access.asks_for_keys()
        return web.json_response(document(PATHS[0], needs_key=needs_key))

    async def _post(self, request: web.Request) -> web.Response:
        url = normalised(request.match_info["url"])
        await self._access.check_key(request, url)
        refs = self._hooks.find(url)
        if not refs:
            raise Refusal(404, f"no rule asks for webhook {url}")
        raw = await self._read(request)
        self._access.check_signature(request, url, raw)
        self._rates.take(url)
        body = body_of(request.headers.get("Content-Type", ""), raw)
        payload = payload_of(request.headers.items(), body)
        trace_tag = payload["headers"].pop(TRACE_TAG, None)
        payload["headers_lower"].pop(TRACE_TAG.lower(), None)
        await self._dispatch(refs, payload, trace_tag or f"webhook-{url}-{uuid.uuid4().hex}")
        return web.Response(body=json.dumps(body).encode(), status=202, content_type="application/json")

    async def _read(self, request: web.Request) -> bytes:
        size = self._options.max_size
        if (request.content_length or 0) > size:
            raise Refusal(413, f"the body is longer than {size} bytes", {"Connection": "close"})
        try:
            async with asyncio.timeout(self._options.timeout):
                return await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise Refusal(413, f"the body is longer than {size} bytes", {"Connection": "close"}) from None
        except TimeoutError:
            reason = f"the body did not arrive within {self._options.timeout:g} s"
            raise Refusal(408, reason, {"Connection": "close"}) from None
        except ConnectionError:
            raise Refusal(400, "the client hung up before the body had arrived") from None
        except web.RequestPayloadError as error:
            raise Refusal(400, f"the body cannot be read: {error}", {"Connection": "close"}) from None

    async def _dispatch(self, refs: tuple[str, ...], payload: dict[str, Any], trace_tag: str) -> None:
        def dispatch() -> None:
            for ref in refs:
                self._service.dispatch(trigger=ref, payload=payload, trace_tag=trace_tag)

        try:
            async with asyncio.timeout(CLIENT_TIMEOUT):
                await asyncio.get_running_loop().run_in_executor(self._threads, dispatch)
        except (St2SensorError, TimeoutError) as error:
            reason = str(error) or f"not on disk within {CLIENT_TIMEOUT:g} s"
            self._logger.warning("an event of %s could not be stored: %s", ", ".join(refs), reason)
            raise Refusal(503, "the event cannot be stored now; send it again later", {"Retry-After": "5"}) from None

    async def _read_keys(self) -> dict[str, str]:
        """Read the stored API keys. Raises St2SensorError, also after a timeout; the next call awaits the same read."""

        def read() -> dict[str, str]:
            found = self._service.list_values(prefix=API_KEYS)
            return {str(entry.name).partition(f":{API_KEYS}")[2]: str(entry) for entry in found}

        if self._reading is None:
            self._reading = asyncio.get_running_loop().run_in_executor(self._reader, read)
        done, _ = await asyncio.wait([self._reading], timeout=KEYS_TIMEOUT)
        if not done:
            raise DatastoreUnavailable(f"the datastore has not answered within {KEYS_TIMEOUT:g} s")
        found, self._reading = self._reading, None
        return found.result()

    async def _mark_keys(self) -> None:
        """Record that an API key was made. Raises St2SensorError."""
        store = partial(self._service.set_value, f"{API_KEYS}{MARK}", "{}")
        await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(self._reader, store), KEYS_TIMEOUT)


def _printable(text: str) -> str:
    """Return a request's text without line breaks, so that it cannot forge lines of the log."""
    return "".join(character if character.isprintable() else "?" for character in text)
