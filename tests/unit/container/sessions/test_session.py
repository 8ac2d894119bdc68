"""Sessions: bytes in, answers out, and the maximum that they hold of either."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Callable

import pytest

from st2sensor.container.sessions import outgoing, session, unanswered
from st2sensor.container.sessions.session import Session
from st2sensor.errors import SensorStops
from st2sensor.portable import rpc
from tests.plugins.patience import SOON


class Slow:
    """Answers nothing until a test asks for it."""

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
    """A count, once it has stopped growing."""
    before = -1
    while before != count():
        before = count()
        await asyncio.sleep(0.1)
    return before


def request(number: int, size: int = 1) -> bytes:
    return rpc.request(number, "m", {"x": "y" * size})


async def pushed(peer: socket.socket, data: bytes, times: int) -> int:
    """Send the data as often as the other side takes it, up to a number of times. Returns the bytes."""
    peer.setblocking(False)
    sent = 0
    for _ in range(times):
        pending, stuck = data, 0
        while pending:
            try:
                done = peer.send(pending)
            except BlockingIOError:
                stuck += 1
                if stuck == 20:
                    return sent
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
        # It goes on as soon as some are answered, although all have the same id.
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
    """Answers each request with a long text."""

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


class Echo(Slow):
    """Answers each request with its parameters, and refuses the method `no`."""

    def handle(self, session: Session, message: rpc.Message) -> None:
        super().handle(session, message)
        if message["method"] == "no":
            session.refuse(message["id"], ValueError("no"))
        else:
            session.answer(message["id"], message["params"])


async def answers(peer: socket.socket, count: int) -> list[rpc.Message]:
    """Read a number of messages."""
    peer.setblocking(False)
    lines, found = rpc.LineBuffer(), list[rpc.Message]()
    async with asyncio.timeout(SOON):
        while len(found) < count:
            data = await asyncio.get_running_loop().sock_recv(peer, 65536)
            assert data
            found += map(rpc.decode, lines.feed(data))
    return found


def test_requests_in_pieces_and_in_one_piece_are_answered_in_their_order() -> None:
    async def run() -> None:
        ours, theirs = socket.socketpair()
        held = Session(asyncio.get_running_loop(), ours, Echo(), trusted=True)
        whole = b"".join(rpc.request(number, "m", {"n": number}) for number in range(3))
        for index in range(len(whole)):
            theirs.sendall(whole[index : index + 1])
            await asyncio.sleep(0)
        theirs.sendall(b"".join(rpc.request(number, "m", {"n": number}) for number in range(3, 100)))
        found = await answers(theirs, 100)
        assert [(message["id"], message["result"]) for message in found] == [(n, {"n": n}) for n in range(100)]
        theirs.sendall(rpc.request(7, "no", {}))
        (refusal,) = await answers(theirs, 1)
        with pytest.raises(ValueError, match="no"):
            rpc.answer_of(refusal)
        held.close()
        theirs.close()

    asyncio.run(run())


def test_what_was_said_before_hanging_up_still_counts() -> None:
    async def run() -> None:
        ours, theirs = socket.socketpair()
        slow = Slow()
        left: list[str] = []
        held = Session(asyncio.get_running_loop(), ours, slow, trusted=True)
        held.left = lambda: left.append("left")
        theirs.sendall(b"".join(request(number) for number in range(50)))
        theirs.close()
        await until(lambda: slow.is_closed)
        assert len(slow.asked) == 50
        held.close()
        assert left == ["left"]
        # Nobody is there to read it.
        held.answer(1, None)

    asyncio.run(run())


def test_a_session_is_drained_at_once_and_only_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "CHUNK", len(request(1)))

    async def run() -> None:
        ours, theirs = socket.socketpair()
        slow = Slow()
        held = Session(asyncio.get_running_loop(), ours, slow, trusted=True)
        theirs.sendall(request(1) * (session.MOST_LAST_CHUNKS + 5))
        # No turn of the loop is needed.
        held.drain()
        assert len(slow.asked) == session.MOST_LAST_CHUNKS
        held.drain()
        assert len(slow.asked) == session.MOST_LAST_CHUNKS + 5
        held.close()
        theirs.close()

    asyncio.run(run())


def test_a_busy_session_leaves_the_others_their_turn() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        slow = Slow()
        held = Session(loop, ours, slow, trusted=True)
        theirs.sendall(request(1) * 100)
        seen: list[int] = []

        def look() -> None:
            seen.append(len(slow.asked))
            if len(slow.asked) < 100:
                loop.call_soon(look)

        loop.call_soon(look)
        await until(lambda: len(slow.asked) == 100)
        steps = [after - before for before, after in itertools.pairwise(seen)]
        assert max(steps) <= session.MESSAGES_PER_TURN
        held.close()
        theirs.close()

    asyncio.run(run())


def test_an_answer_that_is_too_long_is_refused_and_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc, "MAX_MESSAGE_BYTES", 1000)

    async def run() -> None:
        ours, theirs = socket.socketpair()
        held = Session(asyncio.get_running_loop(), ours, Slow(), trusted=True)
        held.answer(1, "x" * 1000)
        held.answer(2, "short")
        refusal, answer = await answers(theirs, 2)
        with pytest.raises(ValueError, match="ask for less"):
            rpc.answer_of(refusal)
        assert answer["result"] == "short"
        held.close()
        theirs.close()

    asyncio.run(run())


def test_nonsense_ends_a_session(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        ours, theirs = socket.socketpair()
        slow = Slow()
        Session(asyncio.get_running_loop(), ours, slow, trusted=True)
        theirs.sendall(b"GET / HTTP/1.1\r\n\r\n")
        await until(lambda: slow.is_closed)
        theirs.close()

    asyncio.run(run())
    assert "an unknown process: session ended: " in caplog.text


class Nobody:
    """A handler that answers nothing, or raises."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.closed_sessions: list[Session] = []

    def handle(self, session: Session, message: rpc.Message) -> None:
        if self.error is not None:
            raise self.error
        session.expect(message["id"], message["method"])

    def closed(self, session: Session) -> None:
        self.closed_sessions.append(session)


def test_a_request_that_was_released_is_answered_once() -> None:
    async def main() -> list[rpc.Message]:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with theirs:
            held = Session(loop, ours, Nobody())
            theirs.sendall(b"".join(rpc.request(number, "dispatch", {}) for number in (1, 2, 3)))
            while (oldest := held.oldest) is None:
                await asyncio.sleep(0)
            assert oldest.method == "dispatch"
            held.answer(2, None)
            held.release(loop.time() - SOON, SensorStops("too early for this"))
            held.release(loop.time() + 1, SensorStops("it stops"))
            assert held.is_released(1)
            assert held.oldest is None
            # Their answers come too late.
            held.answer(1, None)
            held.refuse(3, ValueError("x"))
            held.answer(4, "another")
            theirs.settimeout(SOON)
            lines = rpc.LineBuffer()
            answers: list[rpc.Message] = []
            while not answers or answers[-1]["id"] != 4:
                answers += map(rpc.decode, lines.feed(await asyncio.to_thread(theirs.recv, 65536)))
            held.close()
        return answers

    answers = asyncio.run(main())
    assert [answer["id"] for answer in answers] == [2, 1, 3, 4]
    with pytest.raises(SensorStops, match="it stops"):
        rpc.answer_of(answers[1])


def test_a_message_that_nobody_can_handle_ends_its_session_alone(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        handler = Nobody(MemoryError("no room"))
        with theirs:
            held = Session(loop, ours, handler)
            theirs.sendall(rpc.request(1, "dispatch", {}))
            async with asyncio.timeout(SOON):
                while not held.is_closed:
                    await asyncio.sleep(0)
        assert handler.closed_sessions == [held]

    asyncio.run(main())
    assert "session ended by an unexpected error in it" in caplog.text
