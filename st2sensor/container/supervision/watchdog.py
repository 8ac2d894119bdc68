"""The limits of one sensor's process: the time of its calls, the deadline of a stop, and its memory."""

from __future__ import annotations

import asyncio
import logging
from asyncio import AbstractEventLoop, Task, TimerHandle
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from st2sensor.container.supervision import memory
from st2sensor.container.supervision.recorder import Recorder

LOG = logging.getLogger("st2sensor.supervision")

MAIN, TRIGGERS = "main", "triggers"
"""Threads of the wrapper that call the sensor's methods. Each is in one method at a time."""

STACKS_DELAY = 0.2
"""Seconds that a sensor gets to print the stacks of its threads before it is stopped."""

REPEAT_INTERVAL = 1.0
"""Seconds between two requests to stop."""

SHORTEST_RELEASE_INTERVAL = 0.01
"""Minimum number of seconds between two attempts to release the calls of a stopping sensor that are waiting."""


class Process(Protocol):
    """The process, as the watchdog uses it."""

    @property
    def pid(self) -> int:
        """The process id."""

    def terminate(self) -> None:
        """Ask the process to stop."""

    def insist(self) -> None:
        """Ask again in a way that works even if the process ignores SIGTERM."""

    def dump_stacks(self) -> None:
        """Make the process print the stacks of its threads."""

    def kill(self) -> None:
        """Kill the process and everything that it has started."""


class Stacks(Protocol):
    """The output of the process, as the watchdog uses it."""

    @property
    def stacks(self) -> list[str]:
        """The stacks printed since `expect_stacks`, line by line."""

    def expect_stacks(self) -> None:
        """Keep the stacks that are printed from now on."""


class Watchdog:
    """For the loop's thread. One per process; `close` it when the process has ended.

    :param fail: stops the sensor as failed, for a reason. It calls `stop` in turn.
    :ivar answers_signals: whether the wrapper has connected: from then on it handles signals.
    """

    def __init__(
        self,
        loop: AbstractEventLoop,
        ref: str,
        process: Process,
        output: Stacks,
        recorder: Recorder,
        fail: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._ref = ref
        self._process = process
        self._output = output
        self._recorder = recorder
        self._fail = fail
        self.answers_signals = False
        self._is_over = False
        """Whether limits no longer apply, because the sensor was asked to stop or has ended."""
        self._limits: dict[str, TimerHandle] = {}
        """Timers of limits, by thread of the wrapper."""
        self._deadline: TimerHandle | None = None
        self._next_request: TimerHandle | None = None
        self._next_release: TimerHandle | None = None
        self._memory_task: Task[None] | None = None

    def expect(self, call: str, seconds: float | None, thread: str = MAIN) -> None:
        """Stop the sensor unless the thread reports another method, or the end of this one, in time.

        :param call: the method that the thread has entered, as shown to operators.
        :param seconds: None for no limit.
        """
        earlier = self._limits.pop(thread, None)
        if earlier is not None:
            earlier.cancel()
        if seconds is not None and not self._is_over:
            self._limits[thread] = self._loop.call_later(seconds, self._exceeded, call, seconds)

    def stop(self, timeout: float, release: Callable[[], None], release_interval: float) -> None:
        """Ask the process to stop, repeatedly, and kill it after a timeout in seconds.

        :param release: releases calls in which the sensor is waiting; called until the process has ended.
        """
        self._end_limits()
        self._deadline = self._loop.call_later(timeout, self._kill, timeout)
        self._process.terminate()
        self._next_request = self._loop.call_later(REPEAT_INTERVAL, self._insist)
        self._keep_releasing(release, max(SHORTEST_RELEASE_INTERVAL, release_interval))

    def watch_memory(
        self, limit: Callable[[], int | None], blocking: Callable[[Callable[[], Any]], Awaitable[Any]]
    ) -> None:
        """Check the memory of the process and its descendants from now on.

        :param limit: returns the limit in bytes, which may change; None for no limit.
        :param blocking: runs a call that blocks on files in another thread.
        """
        self._memory_task = self._loop.create_task(self._keep_checking_memory(limit, blocking))

    async def is_within_memory(
        self, limit: Callable[[], int | None], blocking: Callable[[Callable[[], Any]], Awaitable[Any]]
    ) -> bool:
        """Check the memory once, and kill a process that uses too much."""
        try:
            used = await blocking(lambda: memory.used_by(self._process.pid))
        except Exception as error:  # noqa: BLE001 (the memory is checked again)
            LOG.error("%s: its memory cannot be measured for now: %r", self._ref, error)
            return True
        most = limit()
        if most is None or used <= most or self._is_over:
            return True
        self._fail(f"was killed because it used {memory.shown(used)} of memory, more than its {memory.shown(most)}")
        self._process.kill()
        return False

    def close(self) -> None:
        """Cancel every limit, because the process has ended."""
        self._end_limits()
        for timer in (self._deadline, self._next_request, self._next_release, self._memory_task):
            if timer is not None:
                timer.cancel()

    def _end_limits(self) -> None:
        self._is_over = True
        for timer in self._limits.values():
            timer.cancel()
        self._limits.clear()

    def _exceeded(self, call: str, seconds: float) -> None:
        self._recorder.overdue(self._ref, f"{call} has taken more than {seconds:g} s")
        if self.answers_signals:
            self._output.expect_stacks()
            self._process.dump_stacks()
            # The sensor is not stopped yet: any of its threads may print the stacks, and a stop ends the process.
            self._loop.call_later(STACKS_DELAY, self._stop_exceeded, call, seconds)
        else:
            self._stop_exceeded(call, seconds)

    def _stop_exceeded(self, call: str, seconds: float) -> None:
        if not self._is_over:
            self._recorder.stacks(self._ref, self._output.stacks)
            self._fail(f"was stopped because {call} took more than {seconds:g} s")

    def _kill(self, timeout: float) -> None:
        self._recorder.insisted(self._ref, timeout)
        self._process.kill()

    def _insist(self) -> None:
        """Ask again, because some poll() methods catch every exception, and some servers handle SIGTERM themselves."""
        self._next_request = self._loop.call_later(REPEAT_INTERVAL, self._insist)
        if self.answers_signals:
            self._process.insist()
        else:
            self._process.terminate()

    def _keep_releasing(self, release: Callable[[], None], interval: float) -> None:
        self._next_release = self._loop.call_later(interval, self._keep_releasing, release, interval)
        release()

    async def _keep_checking_memory(
        self, limit: Callable[[], int | None], blocking: Callable[[Callable[[], Any]], Awaitable[Any]]
    ) -> None:
        while True:
            await asyncio.sleep(memory.CHECK_INTERVAL)
            if not await self.is_within_memory(limit, blocking):
                return
