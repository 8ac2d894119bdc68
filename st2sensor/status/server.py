"""The read-only HTTP server of a container: status page, health, metrics, reports, and the API for consumers."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable
from importlib import resources
from ipaddress import ip_address

from aiohttp import web

from st2sensor.api.consumers import Consumers
from st2sensor.container.operators.interface import PageSources
from st2sensor.delivery.dead_letters import DeadLetters
from st2sensor.errors import OutboxError
from st2sensor.health import Health, changed
from st2sensor.reports.json_form import fields_of, moment, with_times
from st2sensor.settings import Container
from st2sensor.status.exposition import CONTENT_TYPE, exposed
from st2sensor.status.feed import Feed
from st2sensor.status.lives import Lives
from st2sensor.system.connection_limits import ConnectionLimits, share_of_files
from st2sensor.system.http_listener import HttpListener, refusal

LOG = logging.getLogger("st2sensor.http")

CONNECTIONS_LIMIT = 256
"""Maximum number of simultaneous connections."""

KEEPALIVE_TIMEOUT = 10.0
"""Seconds for which a connection is kept open for its next request."""

LISTEN_RETRY = 5.0
"""Seconds between attempts to listen on an address that is in use."""

WRITE_TIMEOUT = 10.0
"""Seconds within which a page must read a message."""

COOKIE = "st2sensor"
"""Name of the cookie that holds the token."""

OPEN = ("/live", "/ready")
"""Paths that need no token: they answer only yes or no, and a Kubernetes probe has no secret to send."""

FILES = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    **{
        f"/{name}.js": (f"{name}.js", "text/javascript")
        for name in ("page", "format", "table", "events", "charts", "panels")
    },
}

LETTERS_LIMIT = 200
"""Maximum number of dead letters in an answer, the newest ones."""

REASON_LIMIT = 1000
"""Maximum number of characters of the reason of each."""

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src data:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """Serves HTTP. For the loop's thread.

    :param settings: `http` must be set.
    :param consumers: answers `/v1/`.
    :param lives: answers `/history`.
    """

    def __init__(self, settings: Container, sources: PageSources, consumers: Consumers, lives: Lives) -> None:
        assert settings.http is not None
        self._host, self._port = settings.http
        self._token = settings.http_token
        self._reporter = sources.reporter
        self._recent_logs = sources.recent_logs
        self._letters = DeadLetters(sources.state_dir / "outbox.db")
        self._blocking = sources.blocking
        self._feed = Feed(sources.reporter, sources.events)
        self._consumers = consumers
        self._lives = lives
        self._runner: web.AppRunner | None = None
        self._doors: HttpListener | None = None
        self._listening: asyncio.Task[None] | None = None
        self.health = Health(reason="it does not listen yet")

    async def open(self) -> None:
        """Listen now, or as soon as the address is free."""
        application = web.Application(middlewares=[self._guard])
        application.router.add_get("/live", self._live)
        application.router.add_get("/ready", self._ready)
        application.router.add_get("/metrics", self._metrics)
        application.router.add_get("/sensors", self._sensors)
        application.router.add_get("/sensors/{ref}", self._sensor)
        application.router.add_get("/sensors/{ref}/logs", self._logs)
        application.router.add_get("/dead-letters", self._dead_letters)
        application.router.add_get("/events", self._events, allow_head=False)
        self._consumers.add_to(application.router)
        self._lives.add_to(application.router)
        for path in FILES:
            application.router.add_get(path, self._file)
        # The sender causes a malformed request, so no traceback is logged.
        logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
        self._runner = web.AppRunner(
            application,
            access_log=None,
            shutdown_timeout=1.0,
            keepalive_timeout=KEEPALIVE_TIMEOUT,
            lingering_time=1.0,
            # No request has a body that is used, and a few bytes may stand for gigabytes.
            auto_decompress=False,
        )
        await self._runner.setup()
        self._feed.open()
        self._listening = asyncio.get_running_loop().create_task(self._listen(self._runner))

    async def close(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
        self._feed.close()
        self._consumers.close()
        self._lives.close()
        if self._doors is not None:
            self._doors.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _listen(self, runner: web.AppRunner) -> None:
        loop = asyncio.get_running_loop()
        visitors = ConnectionLimits(loop, "[sensorcontainer] http", share_of_files(8, CONNECTIONS_LIMIT))
        server = runner.server
        assert server is not None
        self._doors = HttpListener(visitors, server, self._host, self._port)
        while True:
            try:
                place = await self._doors.open()
            except OSError as exception:
                reason = (
                    f"[sensorcontainer] http: cannot listen at {self._host}:{self._port}: {refusal(exception)}; "
                    "sensors keep running, and listening is retried"
                )
                if reason != self.health.reason:
                    LOG.error("%s", reason)
                self.health = changed(self.health, reason)
                await asyncio.sleep(LISTEN_RETRY)
            else:
                self.health = changed(self.health, "")
                LOG.info("the status page is at %s/", place)
                return

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Admit requests that carry the token. If no token is set, admit requests for a local name of this host."""
        assert self._doors is not None
        with self._doors.answering(request.protocol):
            return await self._answer(request, handler)

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            token = request.query.get("token", "")
            may_read = request.path in OPEN or self._may_read(request)
        except ValueError:
            raise web.HTTPBadRequest(text="The request has no valid Host header.\n") from None
        if not may_read:
            raise web.HTTPUnauthorized(
                text="Send the header Authorization: Bearer TOKEN, or open /?token=TOKEN once in a browser.\n",
                headers={"WWW-Authenticate": "Bearer", "Connection": "close"},
            )
        if request.path == "/" and self._token and self._is_token(token):
            answer = web.Response(status=303, headers={"Location": "/"})
            answer.set_cookie(COOKIE, self._token, httponly=True, samesite="Strict")
            return answer
        response = await handler(request)
        if not response.prepared:
            response.headers.update(HEADERS)
        return response

    def _may_read(self, request: web.Request) -> bool:
        if not self._token:
            # A hostile page whose domain was made to point here would send that domain as the Host header.
            return _is_local(request.url.host or "")
        shown = [
            request.headers.get("Authorization", "").removeprefix("Bearer "),
            request.query.get("token", ""),
            request.cookies.get(COOKIE, ""),
        ]
        return any(map(self._is_token, shown))

    def _is_token(self, shown: str) -> bool:
        assert self._token is not None
        # Headers may contain any bytes.
        return hmac.compare_digest(shown.encode("utf-8", "surrogateescape"), self._token.encode())

    async def _live(self, request: web.Request) -> web.Response:  # noqa: ARG002 (aiohttp passes it)
        return web.Response(text="alive\n")

    async def _ready(self, request: web.Request) -> web.Response:
        """Answer whether the container is ready. Only requests with access get the reasons."""
        checks = self._reporter.checks()
        is_ready = all(check.ok for check in checks)
        body: dict[str, object] = {"ready": is_ready}
        if self._may_read(request):
            body["checks"] = [fields_of(check) for check in checks]
            body["notes"] = self._reporter.notes()
        return web.json_response(body, status=200 if is_ready else 503)

    async def _metrics(self, request: web.Request) -> web.Response:  # noqa: ARG002
        sensors = await self._reporter.sensors()
        page = exposed(await self._reporter.node(sensors), sensors)
        return web.Response(body=page, headers={"Content-Type": CONTENT_TYPE})

    async def _sensors(self, request: web.Request) -> web.Response:  # noqa: ARG002
        return web.Response(body=await self._feed.whole(), content_type="application/json")

    async def _sensor(self, request: web.Request) -> web.Response:
        report = await self._reporter.sensor(request.match_info["ref"])
        if report is None:
            raise web.HTTPNotFound(text=f"sensor {request.match_info['ref']} is not registered\n")
        return web.json_response(fields_of(report))

    async def _logs(self, request: web.Request) -> web.Response:
        """Answer with the newest lines of a sensor's log, oldest first."""
        return web.json_response(with_times({"lines": self._recent_logs.lines(request.match_info["ref"])}))

    async def _dead_letters(self, request: web.Request) -> web.Response:
        """Answer with the newest dead letters, of all sensors or of one, without their payloads."""
        sensor = request.query.get("sensor") or None
        try:
            # One letter more than fits, to know whether there are others.
            found = await self._blocking(lambda: self._letters.newest(LETTERS_LIMIT + 1, sensor))
        except OutboxError as exception:
            raise web.HTTPServiceUnavailable(text=f"{exception}\n") from None
        letters = [
            {
                "id": letter.id,
                "at": moment(letter.entry.created),
                "sensor": letter.entry.sensor,
                "trigger": letter.entry.trigger,
                "reason": (letter.entry.reason or "")[:REASON_LIMIT],
            }
            for letter in found[:LETTERS_LIMIT]
        ]
        return web.json_response({"dead_letters": letters, "more": len(found) > LETTERS_LIMIT})

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Send all rows, the past and the last hour once, and then the changes, as server-sent events."""
        if self._feed.is_full:
            raise web.HTTPServiceUnavailable(text="Too many status pages are open; close one and try again.\n")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", **HEADERS})
        await response.prepare(request)
        page = self._feed.join()
        # A client may disconnect at any time, and a page that does not read is dropped.
        try:
            await _write(response, b"event: whole\ndata: " + await self._feed.opening() + b"\n\n")
            while (message := await page.get()) is not None:
                await _write(response, b"data: " + message + b"\n\n")
        except (ConnectionError, TimeoutError):
            if request.transport is not None:
                request.transport.abort()
        finally:
            self._feed.leave(page)
        return response

    async def _file(self, request: web.Request) -> web.Response:
        name, kind = FILES[request.path]
        body = resources.files("st2sensor.status").joinpath("page", name).read_bytes()
        return web.Response(body=body, content_type=kind, charset="utf-8")


async def _write(response: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(WRITE_TIMEOUT):
        await response.write(data)


def _is_local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
