"""What a session, one who watches, a page and a list hold at most."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest

from st2sensor.container import broadcast
from st2sensor.container.broadcast import Broadcast
from st2sensor.container.operators.clipping import MOST_TYPES, SHORT, clipped
from st2sensor.container.sessions import outgoing, session, unanswered
from st2sensor.container.sessions.session import Session
from st2sensor.portable import rpc
from st2sensor.reports import Notice, SensorReport
from st2sensor.status import feed
from st2sensor.status.feed import Page
from tests.plugins.patience import SOON


class Slow:
    """Answers nothing until it is told to."""

    def __init__(self) -> None:
        self.asked: list[rpc.Message] = []
        self.is_closed = False

    def handle(self, session: Session, message: rpc.Message) -> None:  # noqa: ARG002 (a handler's)
        self.asked.append(message)

    def closed(self, session: Session) -> None:  # noqa: ARG002
        self.is_closed = True


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON):
        while not condition():
            await asyncio.sleep(0.01)


async def settled(count: Callable[[], int]) -> int:
    """A count once it does not grow any more."""
    before = -1
    while before != count():
        before = count()
        await asyncio.sleep(0.1)
    return before


def request(number: int, size: int = 1) -> bytes:
    return rpc.request(number, "m", {"x": "y" * size})


async def pushed(peer: socket.socket, data: bytes, times: int) -> int:
    """Send the data as often as the other side takes it, at most so many times; returns the bytes."""
    peer.setblocking(False)
    sent = stuck = 0
    pending = b""
    for _ in range(times):
        pending += data
        while pending and stuck < 20:
            try:
                done = peer.send(pending)
            except BlockingIOError:
                stuck += 1
                await asyncio.sleep(0.01)
            else:
                pending, sent, stuck = pending[done:], sent + done, 0
    return sent


def test_a_session_with_many_unanswered_requests_is_not_read() -> None:
    async def run() -> None:
        ours, theirs = socket.socketpair()
        slow = Slow()
        held = Session(asyncio.get_running_loop(), ours, slow, trusted=True)
        await pushed(theirs, request(5) * 100, 1000)
        assert await settled(lambda: len(slow.asked)) == unanswered.MOST_REQUESTS
        # It goes on as soon as some are answered, though each was asked under the same id.
        for _ in range(10):
            held.answer(5, None)
        await until(lambda: len(slow.asked) >= unanswered.MOST_REQUESTS + 10)
        held.close()
        theirs.close()

    asyncio.run(run())


def test_unanswered_requests_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unanswered, "MOST_BYTES", 100_000)

    async def run() -> None:
        ours, theirs = socket.socketpair()
        slow = Slow()
        held = Session(asyncio.get_running_loop(), ours, slow, trusted=True)
        await pushed(theirs, request(5, 30_000), 500)
        assert await settled(lambda: len(slow.asked)) == 4
        held.close()
        theirs.close()

    asyncio.run(run())


class Chatty(Slow):
    """Answers each request with much."""

    def handle(self, session: Session, message: rpc.Message) -> None:
        super().handle(session, message)
        session.answer(message["id"], "z" * 10_000)


def test_a_client_that_reads_no_answer_is_not_read_and_goes_on_once_it_reads() -> None:
    async def run() -> None:
        ours, theirs = socket.socketpair()
        chatty = Chatty()
        held = Session(asyncio.get_running_loop(), ours, chatty, trusted=True)
        await pushed(theirs, request(5) * 10, 1000)
        asked = await settled(lambda: len(chatty.asked))
        assert asked * 10_000 < 4 * outgoing.CONGESTED_BYTES
        assert held.is_congested
        read = 0
        while read < 2 * asked * 10_000:
            read += len(await asyncio.get_running_loop().sock_recv(theirs, 1_000_000))
        assert len(chatty.asked) > asked
        held.close()
        theirs.close()

    asyncio.run(run())


def test_what_nobody_reads_ends_a_session_at_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing, "UNREAD_LIMIT", 5_000_000)

    async def run() -> None:
        ours, theirs = socket.socketpair()
        slow = Slow()
        held = Session(asyncio.get_running_loop(), ours, slow)
        for _ in range(10):
            held.notify("trigger.add", {"x": "y" * 1_000_000})
        await until(lambda: slow.is_closed)
        theirs.close()

    asyncio.run(run())


def test_a_stranger_that_talks_on_without_a_token_is_closed() -> None:
    async def run() -> None:
        ours, theirs = socket.socketpair()
        slow = Slow()
        Session(asyncio.get_running_loop(), ours, slow)
        theirs.sendall(b"x" * (session.STRANGERS_BYTES + 1))
        await until(lambda: slow.is_closed)
        theirs.close()

    asyncio.run(run())


def test_events_that_wait_are_bounded_in_bytes() -> None:
    async def run() -> None:
        events = Broadcast()
        with events.watched([broadcast.TRIGGER]) as whole, events.watched([broadcast.TRIGGER], bodies=False) as brief:
            for number in range(10):
                events.tell(broadcast.TRIGGER, "p.S", trigger=f"p.{number}", body="x" * 1_000_000)
            taken = whole.taken()
            assert len(taken) == 3
            assert whole.missed() == 7
            assert [event["trigger"] for event in brief.taken()] == [f"p.{number}" for number in range(10)]
            # A single one may be longer, and there is room again.
            events.tell(broadcast.TRIGGER, "p.S", trigger="p.t", body="x" * 10_000_000)
            assert len((await whole.next())["body"]) == 10_000_000
            events.tell(broadcast.TRIGGER, "p.S", trigger="p.t", body="y")
            assert len(whole.taken()) == 1

    asyncio.run(run())


def test_the_text_of_an_event_is_cut() -> None:
    events = Broadcast()
    with events.watched([broadcast.ERROR]) as watcher:
        events.tell(broadcast.ERROR, "p.S", text="x" * 5_000_000 + "the point")
        (event,) = watcher.taken()
    assert len(event["text"]) == broadcast.LONGEST
    assert event["text"].endswith("the point")


def test_a_page_that_does_not_read_has_so_many_bytes_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "BACKLOG_BYTES", 100)

    async def run() -> None:
        page = Page()
        assert page.put(b"x" * 1000)
        assert not page.put(b"x")
        assert await page.get() == b"x" * 1000
        assert page.put(b"x" * 60)
        assert page.put(b"x" * 40)
        assert not page.put(b"x")
        page.end()
        assert await page.get() is None

    asyncio.run(run())


def test_the_texts_of_a_report_are_cut_and_keep_their_point() -> None:
    def event(text: str) -> Notice:
        return Notice(at=1.0, text=text)

    fields: dict[str, Any] = {name: event("begin" + "x" * 1_000_000) for name in ("last_exit", "last_invalid")}
    report = clipped(
        SensorReport(
            ref="p.S",
            state="running",
            reason="begin" + "x" * 1_000_000,
            refused="begin" + "x" * 1_000_000,
            last_error=event("x" * 1_000_000 + "the point"),
            trigger_types=tuple(map(str, range(1000))),
            **fields,
        )
    )
    assert report.last_error is not None
    assert report.last_error.text.endswith("the point")
    texts = [report.reason, report.refused, report.last_exit and report.last_exit.text]
    texts.append(report.last_invalid and report.last_invalid.text)
    assert all(text and text.startswith("begin") and len(text) == SHORT for text in texts)
    assert len(report.last_error.text) < 5000
    assert len(report.trigger_types) == MOST_TYPES
    short = SensorReport(ref="p.S", state="running", reason="why")
    assert clipped(short) == short
