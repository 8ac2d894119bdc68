"""The meaning of answers, and requests to a server."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from st2sensor.history.event import Recorded
from st2sensor.history.rows import recorded_of
from st2sensor.push.sender import LARGEST_ANSWER, Answer, Sender, judged
from st2sensor.push.targets import Target
from tests.plugins.patience import SOON

EVENT: Recorded = recorded_of(
    (1, b"\1" * 16, "p.S", "p.t", "p.t", 1_000_000, 0, 0, 0, "n", *(None, "", "", 1, False, False, None, "", ""), "{}")
)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_success_takes_the_event(status: int) -> None:
    assert judged(status) == Answer()


@pytest.mark.parametrize(
    ("status", "is_refusal"), [(301, True), (400, True), (404, True), (410, True), (408, False), (425, False)]
)
def test_a_refusal_differs_from_a_failure(status: int, is_refusal: bool) -> None:
    assert (bool(judged(status).problem), judged(status).is_refusal) == (True, is_refusal)


def test_a_server_says_when_to_come_back() -> None:
    assert judged(503, "7").retry_after == 7
    assert judged(429, "Wed, 21 Oct 2026 07:28:00 GMT").retry_after == 0


def sent(handler: object, *, timeout: float = SOON, times: int = 1) -> list[Answer]:
    """Return the answers of a server to events."""

    async def send() -> list[Answer]:
        app = web.Application()
        app.router.add_post("/", handler)  # type: ignore[arg-type]
        server = TestServer(app)
        await server.start_server()
        sender = Sender(timeout)
        target = Target(name="a", url=str(server.make_url("/")), secrets=(b"s" * 24,))
        try:
            return [await sender.send(target, EVENT) for _ in range(times)]
        finally:
            await sender.close()
            await server.close()

    return asyncio.run(send())


def test_a_redirect_is_not_followed() -> None:
    seen: list[str] = []

    async def redirect(request: web.Request) -> web.Response:
        seen.append(request.path)
        raise web.HTTPTemporaryRedirect("/")

    (answer,) = sent(redirect)
    assert "redirects are not followed" in answer.problem
    assert seen == ["/"]


def test_a_server_that_does_not_answer_is_given_up() -> None:
    async def hang(request: web.Request) -> web.Response:  # noqa: ARG001
        await asyncio.sleep(1)
        return web.Response()

    (answer,) = sent(hang, timeout=0.05)
    assert answer == Answer(problem="no answer within 0.05 s", is_silence=True)


def test_a_connection_is_used_again_unless_the_answer_is_long() -> None:
    peers = set()

    async def short(request: web.Request) -> web.Response:
        peers.add(request.transport.get_extra_info("peername"))  # type: ignore[union-attr]
        return web.Response(text="taken")

    assert sent(short, times=3) == [Answer()] * 3
    assert len(peers) == 1

    async def long(request: web.Request) -> web.Response:  # noqa: ARG001
        return web.Response(body=b"x" * (LARGEST_ANSWER * 4))

    assert sent(long, times=2) == [Answer()] * 2


def test_a_server_that_is_away_is_named() -> None:
    async def send() -> Answer:
        sender = Sender(SOON)
        try:
            return await sender.send(Target(name="a", url="http://127.0.0.1:1/token", secrets=(b"s" * 24,)), EVENT)
        finally:
            await sender.close()

    answer = asyncio.run(send())
    assert answer.is_silence
    assert "cannot be reached" in answer.problem
    assert "token" not in answer.problem
