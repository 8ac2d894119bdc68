"""The output and log records of a sensor, as they reach the container's log."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator

import pytest

from st2sensor.container.broadcast import Broadcast
from st2sensor.container.supervision.output import LAST_CHUNKS, LONGEST, PAUSE, Output
from st2sensor.container.supervision.recorder import Recorder
from tests.support.supervised_node import REF, RESTARTS
from tests.support.virtual_time import run_in_virtual_time


class Sensor:
    """A process of p.S, of which only the output exists."""

    def __init__(self, rate: float = 0.0) -> None:
        loop = asyncio.get_running_loop()
        self.recorder = Recorder(Broadcast(), RESTARTS, loop.time)
        fd, self._pipe = os.pipe()
        os.set_blocking(fd, False)
        self.output = Output(loop, fd, REF, 4000, rate, self.recorder)

    async def prints(self, data: bytes) -> None:
        os.write(self._pipe, data)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    def ends(self) -> None:
        os.close(self._pipe)
        self.output.close()


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.INFO, REF)
    yield
    logging.getLogger(REF).setLevel(logging.NOTSET)


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.name, record.getMessage()) for record in caplog.records]


def test_lines_are_whole_however_they_arrive_and_the_last_needs_no_end(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        sensor = Sensor()
        for data in (b"one\ntw", b"o\n\n\xff", b"three"):
            await sensor.prints(data)
        assert sensor.output.last_error == "two"
        sensor.ends()
        assert sensor.output.last_error == "\ufffdthree"

    run_in_virtual_time(main())
    assert lines(caplog) == [(REF, "one"), (REF, "two"), (REF, "\ufffdthree")]
    assert {record.process for record in caplog.records} == {4000}


def test_a_line_without_end_is_logged_in_pieces(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        sensor = Sensor()
        await sensor.prints(b"x" * (2 * LONGEST + 10))
        sensor.ends()

    run_in_virtual_time(main())
    assert [len(text) for _, text in lines(caplog)] == [LONGEST, LONGEST, 10]


def test_secrets_are_masked_in_lines_and_records(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        sensor = Sensor()
        sensor.output.conceal(frozenset({"hunter2"}))
        await sensor.prints(b"login with hunter2\n")
        sensor.output.record(REF, logging.ERROR, "hunter2 was refused")
        sensor.ends()
        error = sensor.recorder.of(REF).last_error
        assert error is not None
        assert "hunter2" not in error.text + sensor.output.last_error

    run_in_virtual_time(main())
    assert len(lines(caplog)) == 2
    assert "hunter2" not in caplog.text


def test_an_error_that_was_logged_explains_more_than_the_line_printed_last() -> None:
    async def main() -> None:
        sensor = Sensor()
        sensor.output.record(REF, logging.ERROR, "failed\nTraceback ...\nKeyError: 'host'")
        sensor.output.record(REF, logging.WARNING, "goes on")
        await sensor.prints(b"bye\n")
        assert sensor.output.last_error == "KeyError: 'host'"
        sensor.ends()

    run_in_virtual_time(main())


@pytest.mark.parametrize(
    ("logger", "shown"),
    [(REF, REF), ("p.S.child", "p.S.child"), ("root", REF), ("st2sensor.wrapper", REF), ("urllib3", "p.S.urllib3")],
)
def test_records_are_tagged_with_their_sensor(caplog: pytest.LogCaptureFixture, logger: str, shown: str) -> None:
    async def main() -> None:
        sensor = Sensor()
        sensor.output.record(logger, logging.INFO, "text")
        sensor.output.set_level(logging.WARNING)
        sensor.output.record(logger, logging.INFO, "too much detail")
        sensor.ends()

    run_in_virtual_time(main())
    assert lines(caplog) == [(shown, "text")]


def test_a_flood_is_counted_read_in_turns_and_reported_but_stacks_get_through(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        sensor = Sensor(rate=1.0)
        await sensor.prints(b"x\n" * 30)
        assert len(lines(caplog)) == 10
        sensor.output.expect_stacks()
        await sensor.prints(b"y\nThread 0x1 (most recent call first):\n")
        # It floods its output: its pipe waits, so that other sensors do not.
        assert sensor.output.stacks == []
        await asyncio.sleep(2 * PAUSE)
        assert sensor.output.stacks == ["Thread 0x1 (most recent call first):"]
        await asyncio.sleep(10)
        sensor.ends()
        assert sensor.recorder.of(REF).dropped == 21

    run_in_virtual_time(main())
    assert "21 lines were dropped: more than 1 a second" in caplog.text


def test_a_process_that_got_away_and_goes_on_writing_holds_nobody_up() -> None:
    async def main() -> None:
        sensor = Sensor()
        reads = 0
        read = os.read

        def endless(fd: int, count: int) -> bytes:
            nonlocal reads
            reads += 1
            return b"x\n" if reads < 10 * LAST_CHUNKS else read(fd, count)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "read", endless)
            sensor.output.close()
        assert reads == LAST_CHUNKS
        with pytest.raises(BrokenPipeError):
            await sensor.prints(b"more")

    run_in_virtual_time(main())
