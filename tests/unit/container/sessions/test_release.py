"""How a sensor that stops is let out of the calls it waits in, by an injected clock; and sessions that release."""

from __future__ import annotations

import asyncio
import socket

import pytest

from st2sensor.container.sessions.release import Release, patience_of
from st2sensor.container.sessions.session import Session, Waiting
from st2sensor.errors import SensorStops
from st2sensor.portable import rpc
from tests.plugins.patience import SOON


class Sensor:
    """p.S, asked to stop at 100, with one request that a test makes."""

    def __init__(self, since: float | None) -> None:
        self.now = 100.0
        self.waiting = None if since is None else Waiting("dispatch", since)
        self.done: list[object] = []
        self.letting_go = Release(
            self,
            withdraw=lambda ref: self.done.append(("withdraw", ref)),
            release=lambda ref, before: self.done.append(("datastore", ref, before)),
            clock=lambda: self.now,
        )

    def oldest(self, ref: str) -> Waiting | None:  # noqa: ARG002
        return self.waiting

    def release(self, ref: str, before: float, error: Exception) -> None:
        assert isinstance(error, SensorStops)
        self.done.append(("requests", ref, before))

    def at(self, now: float) -> list[object]:
        """What is done at a time."""
        self.now, self.done = now, []
        self.letting_go.look("p.S", 100.0, 1.0)
        return self.done


def test_what_waits_in_the_outbox_is_withdrawn_at_once_and_the_rest_has_some_patience() -> None:
    sensor = Sensor(since=10.0)
    assert sensor.at(100.0) == [("withdraw", "p.S")]
    assert sensor.at(101.0) == [("datastore", "p.S", 100.0)]
    assert sensor.at(102.0) == [("datastore", "p.S", 101.0), ("requests", "p.S", 100.0)]


def test_a_call_of_cleanup_has_the_same_patience_and_one_that_is_answered_is_left_alone() -> None:
    sensor = Sensor(since=105.0)
    assert sensor.at(105.5) == []
    assert sensor.at(106.0) == [("datastore", "p.S", 105.0)]
    assert sensor.at(107.0) == [("datastore", "p.S", 106.0), ("requests", "p.S", 105.0)]
    sensor.waiting = None
    assert sensor.at(108.0) == []


@pytest.mark.parametrize(("stop_timeout", "patience"), [(10.0, 1.0), (60.0, 1.0), (1.0, 0.1), (0.0, 0.0)])
def test_a_short_deadline_leaves_less_patience(stop_timeout: float, patience: float) -> None:
    assert patience_of(stop_timeout) == pytest.approx(patience)


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
            session = Session(loop, ours, Nobody())
            theirs.sendall(b"".join(rpc.request(number, "dispatch", {}) for number in (1, 2, 3)))
            while (oldest := session.oldest) is None:
                await asyncio.sleep(0)
            assert oldest.method == "dispatch"
            session.answer(2, None)
            session.release(loop.time() - SOON, SensorStops("too early for this"))
            session.release(loop.time() + 1, SensorStops("it stops"))
            assert session.is_released(1)
            assert session.oldest is None
            # Whoever worked on them comes too late.
            session.answer(1, None)
            session.refuse(3, ValueError("x"))
            session.answer(4, "another")
            theirs.settimeout(SOON)
            lines = rpc.LineBuffer()
            answers: list[rpc.Message] = []
            while not answers or answers[-1]["id"] != 4:
                answers += map(rpc.decode, lines.feed(await asyncio.to_thread(theirs.recv, 65536)))
            session.close()
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
            session = Session(loop, ours, handler)
            theirs.sendall(rpc.request(1, "dispatch", {}))
            async with asyncio.timeout(SOON):
                while not session.is_closed:
                    await asyncio.sleep(0)
        assert handler.closed_sessions == [session]

    asyncio.run(main())
    assert "session ended by what was said in it" in caplog.text
