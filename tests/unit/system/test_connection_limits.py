"""Which connections stay, and which are closed."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from typing import Any, cast

import pytest

from st2sensor.system import connection_limits
from st2sensor.system.connection_limits import GRACE, HOG, REQUEST_TIMEOUT, ConnectionLimits, Peer, Priority


class Timer:
    """A call that is due."""

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class Loop:
    """A loop whose clock is moved by the test."""

    def __init__(self) -> None:
        self.now = 0.0
        self._timers: list[tuple[float, int, Timer]] = []
        self._count = itertools.count()

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[..., None], *args: Any) -> Timer:
        timer = Timer(lambda: callback(*args))
        heapq.heappush(self._timers, (self.now + delay, next(self._count), timer))
        return timer

    def advance(self, seconds: float) -> None:
        until = self.now + seconds
        while self._timers and self._timers[0][0] <= until:
            self.now, _, timer = heapq.heappop(self._timers)
            if timer.call:
                timer.call()
        self.now = until


class Guests:
    """Admits connections, and records those that were closed."""

    def __init__(self, limit: int) -> None:
        self.loop = Loop()
        self._visitors = ConnectionLimits(cast(asyncio.AbstractEventLoop, self.loop), "a port", limit)
        self.closed: list[str] = []
        self.standing: dict[str, Priority] = {}

    def enter(self, name: str, origin: str, standing: Priority = Priority.UNKNOWN) -> Peer | None:
        self.standing[name] = standing
        return self._visitors.enter(origin, lambda: self.closed.append(name), lambda: self.standing[name])


def test_one_that_says_nothing_is_closed_and_one_that_has_asked_may_be_idle() -> None:
    guests = Guests(10)
    for name in ("silent", "idle", "busy"):
        guests.enter(name, "a")
    guests.standing.update(idle=Priority.IDLE, busy=Priority.BUSY)
    guests.loop.advance(REQUEST_TIMEOUT + GRACE)
    assert guests.closed == ["silent"]
    guests.loop.advance(86400)
    assert guests.closed == ["silent"]


def test_a_request_that_a_busy_loop_reads_late_counts() -> None:
    guests = Guests(10)
    guests.enter("late", "a")
    guests.loop.advance(REQUEST_TIMEOUT)
    guests.standing["late"] = Priority.IDLE
    guests.loop.advance(86400)
    assert guests.closed == []


def test_one_that_has_left_is_not_closed_and_makes_room() -> None:
    guests = Guests(1)
    first = guests.enter("first", "a")
    assert first is not None
    first.left()
    assert guests.enter("second", "a") is not None
    guests.loop.advance(86400)
    assert guests.closed == ["second"]


def test_beyond_the_limit_the_oldest_of_the_hog_goes() -> None:
    guests = Guests(4)
    guests.enter("other", "b")
    for number in range(3):
        guests.enter(f"hog {number}", "hog")
    assert guests.enter("newcomer", "c") is not None
    assert guests.closed == ["hog 0"]
    assert guests.enter("hog 3", "hog") is not None
    assert guests.closed == ["hog 0", "hog 1"]


def test_who_is_answered_stays_while_others_have_said_nothing() -> None:
    guests = Guests(3)
    for number, standing in enumerate((Priority.BUSY, Priority.IDLE, Priority.UNKNOWN)):
        guests.enter(str(number), "a", standing)
    guests.enter("new", "b")
    assert guests.closed == ["2"]


def test_where_everybody_is_known_only_a_hog_makes_room() -> None:
    guests = Guests(HOG)
    for number in range(HOG):
        guests.enter(str(number), str(number), Priority.BUSY)
    assert guests.enter("new", "new") is None
    assert guests.closed == []
    hogged = Guests(HOG)
    for number in range(HOG):
        hogged.enter(str(number), "hog", Priority.IDLE)
    assert hogged.enter("new", "new") is not None
    assert hogged.closed == ["0"]


def test_a_limit_is_a_share_of_the_file_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limits.resource, "getrlimit", lambda _: (256, 1024))  # type: ignore[attr-defined]
    assert connection_limits.share_of_files(8, 1000) == 32
    assert connection_limits.share_of_files(8, 20) == 20
    assert connection_limits.share_of_files(64, 20) == 8
