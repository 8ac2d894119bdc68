"""A destination's own thread: order, the bound in bytes, the count of what was dropped, the end, and forks."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from st2sensor.logs.writer import Writer
from tests.plugins.patience import SOON

ROOM = 100


class Destination:
    """Collects what is written, and blocks while it is closed."""

    def __init__(self) -> None:
        self.lines: list[object] = []
        self.reached = threading.Event()
        self.is_open = threading.Event()
        self.is_open.set()

    def write(self, line: object) -> None:
        self.reached.set()
        assert self.is_open.wait(SOON)
        self.lines.append(line)

    def block(self, writer: Writer) -> None:
        """Return once the writer's thread is blocked by the first line."""
        self.is_open.clear()
        writer.put(0, lambda: self.write("first"))
        assert self.reached.wait(SOON)


@pytest.fixture
def destination() -> Iterator[Destination]:
    made = Destination()
    yield made
    made.is_open.set()


@pytest.fixture
def writer(destination: Destination) -> Iterator[Writer]:
    made = Writer("log_test", lambda count: destination.write(f"{count} dropped"), most=ROOM)
    yield made
    destination.is_open.set()
    made.drain(soon())


def soon() -> float:
    return time.monotonic() + SOON


def put(writer: Writer, destination: Destination, line: str, size: int = 1) -> None:
    writer.put(size, lambda: destination.write(line))


def test_lines_keep_their_order(writer: Writer, destination: Destination) -> None:
    for number in range(ROOM):
        put(writer, destination, str(number))
    assert writer.drain(soon())
    assert destination.lines == [str(number) for number in range(ROOM)]


def test_the_newest_lines_are_dropped_beyond_the_bound_and_counted_once_there_is_room(
    writer: Writer, destination: Destination
) -> None:
    destination.block(writer)
    for number in range(12):
        put(writer, destination, str(number), size=ROOM // 10)
    destination.is_open.set()
    assert writer.drain(soon())
    assert destination.lines == ["first", *map(str, range(10)), "2 dropped"]


def test_the_number_of_dropped_lines_stands_where_they_are_missing(writer: Writer, destination: Destination) -> None:
    destination.block(writer)
    put(writer, destination, "too large", size=ROOM + 1)
    put(writer, destination, "fits", size=ROOM)
    put(writer, destination, "no room", size=1)
    put(writer, destination, "no room either", size=1)
    destination.is_open.set()
    assert writer.drain(soon())
    assert destination.lines == ["first", "1 dropped", "fits", "2 dropped"]


def test_room_is_given_back(writer: Writer, destination: Destination) -> None:
    for number in range(5):
        written = threading.Event()
        put(writer, destination, str(number), size=ROOM)
        writer.put(0, written.set)
        assert written.wait(SOON)
    assert writer.drain(soon())
    assert destination.lines == ["0", "1", "2", "3", "4"]


def test_the_end_does_not_wait_for_a_blocked_destination(writer: Writer, destination: Destination) -> None:
    destination.block(writer)
    assert not writer.drain(time.monotonic())
    put(writer, destination, "after the end")
    destination.is_open.set()
    assert writer.drain(soon())
    assert destination.lines == ["first"]


def test_a_line_that_cannot_be_written_does_not_end_the_thread(writer: Writer, destination: Destination) -> None:
    def fail() -> None:
        raise OSError("no space")

    writer.put(1, fail)
    put(writer, destination, "next")
    assert writer.drain(soon())
    assert destination.lines == ["next"]


def test_a_function_can_go_first_and_replaces_an_earlier_one(writer: Writer, destination: Destination) -> None:
    destination.block(writer)
    put(writer, destination, "second")
    writer.put_first("file", lambda: destination.write("reopened"))
    writer.put_first("file", lambda: destination.write("reopened last"))
    destination.is_open.set()
    assert writer.drain(soon())
    assert destination.lines == ["first", "reopened last", "second"]


def test_a_line_may_be_put_while_another_one_is_being_put(writer: Writer, destination: Destination) -> None:
    with writer._changed:
        # As a destructor does that logs.
        put(writer, destination, "inner")
    assert writer.drain(soon())
    assert destination.lines == ["inner"]


def test_the_thread_takes_no_signals(writer: Writer) -> None:
    masks: list[set[signal.Signals | int]] = []
    writer.put(0, lambda: masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, ())))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert writer.drain(soon())
    assert {signal.SIGTERM, signal.SIGUSR1, signal.SIGINT} <= set(masks[0])
    assert signal.SIGTERM not in before


def test_a_fork_writes_at_once_and_nothing_twice(writer: Writer, destination: Destination) -> None:
    destination.block(writer)
    put(writer, destination, "waits")
    told, tells = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            writer.put(1, lambda: os.write(tells, b"child"))
            os.write(tells, b" done" if writer.drain(0) and destination.lines == [] else b" not done")
        finally:
            os._exit(0)
    os.close(tells)
    with os.fdopen(told, "rb") as output:
        assert output.read() == b"child done"
    os.waitpid(pid, 0)
    destination.is_open.set()
    assert writer.drain(soon())
    assert destination.lines == ["first", "waits"]
