"""Writes the output of a sensor to the container's log: printed lines and log records, whole and tagged."""

from __future__ import annotations

import logging
import os
import re
from asyncio import AbstractEventLoop, TimerHandle

from st2sensor.container.supervision.recorder import Recorder
from st2sensor.container.supervision.throttle import Throttle
from st2sensor.logs.setup import of_sensor
from st2sensor.masking import masked
from st2sensor.portable.excerpt import shortened
from st2sensor.portable.payload import valid

CHUNK = 65536
"""Maximum number of bytes read at a time."""

LAST_CHUNKS = 16
"""Maximum number of chunks read after the sensor has ended."""

LONGEST = 16384
"""Maximum number of bytes of a line; a longer line is logged in pieces."""

PAUSE = 0.05
"""Seconds for which the container stops reading the pipe of a sensor that floods its output, so that other sensors need
not wait."""

REPORT = 5.0
"""Seconds between two reports of dropped lines."""

STACK = re.compile(rb"(Current thread|Thread) 0x[0-9a-f]+ |  File \"|  \.\.\.|Fatal Python error|  <no Python frame>")
"""Matches the beginning of a line of a stack, as faulthandler prints it."""

LONGEST_REASON = 500
"""Maximum number of characters of an error that explains an exit."""

STACK_LINES = 200
"""Maximum number of lines of stacks that are kept, and logged even while other lines are dropped."""

LONGEST_NAME = 256
"""Maximum number of characters of a logger's name."""

WRAPPER_LOGGERS = ("root", "st2sensor")
"""First parts of the names of the loggers whose records are shown as the sensor's own."""


class Output:
    """Follows the pipe behind a sensor's stdout and stderr until it is closed, and takes its log records.

    :param fd: read end, non-blocking; closed by this object.
    :param ref: the sensor's reference.
    :param pid: process id of the sensor.
    :param rate: maximum number of lines per second that go to the log; 0 for all.
    :param recorder: records errors, and the number of dropped lines.
    """

    def __init__(self, loop: AbstractEventLoop, fd: int, ref: str, pid: int, rate: float, recorder: Recorder) -> None:
        self._loop = loop
        self._fd = fd
        self._ref = ref
        self._pid = pid
        self._recorder = recorder
        self._log = logging.getLogger(ref)
        self._rate = rate
        self._throttle = Throttle(rate, loop.time())
        self._partial = b""
        self._resume: TimerHandle | None = None
        self._report: TimerHandle | None = None
        self._stacks: list[str] | None = None
        self._last_line = ""
        self._last_error = ""
        self._secrets: frozenset[str] = frozenset()
        loop.add_reader(fd, self._readable)

    @property
    def last_error(self) -> str:
        """The last logged error, or else the last printed line; empty if there was neither."""
        return self._last_error or self._last_line

    def set_level(self, level: int) -> None:
        """Log records of this level and above; with NOTSET, use the container's level."""
        if self._log.level != level:
            self._log.setLevel(level)

    def conceal(self, secrets: frozenset[str]) -> None:
        """Mask these texts from now on."""
        self._secrets = secrets

    @property
    def stacks(self) -> list[str]:
        """The stacks printed since `expect_stacks`, line by line."""
        return self._stacks or []

    def expect_stacks(self) -> None:
        """Keep and log stacks from now on, even while other lines are dropped."""
        self._stacks = []

    def record(self, name: str, level: int, message: str) -> None:
        """Log a record that the sensor has sent."""
        message = masked(valid(shortened(message)), self._secrets)
        if level >= logging.ERROR:
            # The last line of a traceback is the exception.
            self._last_error = message.rstrip().rpartition("\n")[2][:LONGEST_REASON]
            self._recorder.failed(self._ref, message)
        if self._log.isEnabledFor(level) and self._admits(len(message)):
            self._log_as_sensor(self._tagged(name[:LONGEST_NAME]), level, message)

    def close(self) -> None:
        """Log the rest of the output, and close the pipe: a process that escaped may go on writing forever."""
        for _ in range(LAST_CHUNKS):
            if self._fd == -1 or not self._read():
                break
        self._end()
        if self._report is not None:
            self._report.cancel()
            self._report_dropped()

    def _readable(self) -> None:
        dropped = self._throttle.dropped
        if self._read() and self._throttle.dropped > dropped:
            self._loop.remove_reader(self._fd)
            self._resume = self._loop.call_later(PAUSE, self._loop.add_reader, self._fd, self._readable)

    def _read(self) -> bool:
        """Read once. Returns False when there is nothing more for now, or at all."""
        try:
            data = os.read(self._fd, CHUNK)
        except BlockingIOError:
            return False
        if not data:
            self._end()
            return False
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            self._write(line)
        while len(self._partial) > LONGEST:
            self._write(self._partial[:LONGEST])
            self._partial = self._partial[LONGEST:]
        return True

    def _end(self) -> None:
        if self._fd == -1:
            return
        if self._resume is not None:
            self._resume.cancel()
        self._loop.remove_reader(self._fd)
        os.close(self._fd)
        self._fd = -1
        self._write(self._partial)
        self._partial = b""

    def _write(self, line: bytes) -> None:
        stacks = self._stacks
        is_stack = stacks is not None and len(stacks) < STACK_LINES and STACK.match(line)
        if not line or not (is_stack or self._admits(len(line))):
            return
        text = masked(line.decode("utf-8", "replace").rstrip(), self._secrets)
        if is_stack and stacks is not None:
            stacks.append(text[:LONGEST_REASON])
        if text:
            self._last_line = text[:LONGEST_REASON]
            if self._log.isEnabledFor(logging.INFO):
                self._log_as_sensor(self._ref, logging.INFO, text)

    def _log_as_sensor(self, name: str, level: int, text: str) -> None:
        """Log a text as if the sensor's own process had logged it."""
        record = logging.LogRecord(name, level, "", 0, "%s", (text,), None)
        record.process = self._pid
        vars(record).update(of_sensor(self._ref))
        self._log.handle(record)

    def _admits(self, size: int) -> bool:
        if self._throttle.admits(self._loop.time(), 1 + size // LONGEST):
            return True
        if self._report is None:
            self._report = self._loop.call_later(REPORT, self._report_dropped)
        return False

    def _report_dropped(self) -> None:
        self._report = None
        self._recorder.dropped(self._ref, self._throttle.settle(), self._rate)

    def _tagged(self, name: str) -> str:
        if name == self._ref or name.startswith(f"{self._ref}."):
            return name
        return self._ref if name.partition(".")[0] in WRAPPER_LOGGERS else f"{self._ref}.{name}"
