"""The process behind a child that is alive: its output, and the clocks that run against it."""

from __future__ import annotations

from asyncio import AbstractEventLoop, Task, TimerHandle
from collections.abc import Callable

from st2sensor.container.launch.cgroup import Cgroup
from st2sensor.container.launch.handle import Handle
from st2sensor.container.sessions.activity import Activity
from st2sensor.container.supervision.output import Output

MAIN, TRIGGERS = "main", "triggers"
"""Threads of the wrapper that call the sensor's methods; each is in one at a time."""

LEAST = 0.01
"""Seconds between two looks."""

INSIST = 1.0
"""Seconds between two requests to stop."""


class Run:
    """For the loop's thread.

    :param token: what the wrapper identifies itself with.
    :param cgroup: of the sensor alone, where there are control groups.
    :ivar greeted: whether the wrapper has connected: from then on it answers signals.
    :ivar log_level: of the sensor's records, as last told.
    """

    def __init__(
        self, loop: AbstractEventLoop, process: Handle, output: Output, token: str, cgroup: Cgroup | None
    ) -> None:
        self._loop = loop
        self.process = process
        self.output = output
        self.token = token
        self.cgroup = cgroup
        self.greeted = False
        self.log_level = 0
        self.activity = Activity()
        self._overdue: dict[str, TimerHandle] = {}
        self._insisting: TimerHandle | None = None
        self._letting_go: TimerHandle | None = None
        self._watch: Task[None] | None = None

    def expect(self, thread: str, seconds: float | None, overdue: Callable[[], None]) -> None:
        """Call back unless something else is expected of a thread within so many seconds; None: never."""
        earlier = self._overdue.pop(thread, None)
        if earlier is not None:
            earlier.cancel()
        if seconds is not None:
            self._overdue[thread] = self._loop.call_later(seconds, overdue)

    def stop(self, patience: float, overdue: Callable[[], None]) -> None:
        """Ask it to stop, again and again, and call back when patience, in seconds, is over."""
        self.expect(TRIGGERS, None, overdue)
        self.expect(MAIN, patience, overdue)
        self.process.terminate()
        self._insisting = self._loop.call_later(INSIST, self._insist)

    def let_go(self, interval: float, look: Callable[[], None]) -> None:
        """Have a look every so many seconds, for as long as the process lives."""
        self._letting_go = self._loop.call_later(max(LEAST, interval), self.let_go, interval, look)
        look()

    def watch(self, task: Task[None]) -> None:
        """Have a task go on for as long as the process lives."""
        self._watch = task

    def reap(self) -> int:
        """Collect the exit code of a process that has ended, and what it said last."""
        for clock in (*self._overdue.values(), self._insisting, self._letting_go, self._watch):
            if clock is not None:
                clock.cancel()
        code = self.process.reap()
        self.output.close()
        return code

    @property
    def was_out_of_memory(self) -> bool:
        """Whether the kernel has killed it because of its limit."""
        return self.cgroup is not None and self.cgroup.was_out_of_memory

    def _insist(self) -> None:
        """Many a poll() catches everything, and many a server handles SIGTERM in its own way."""
        self._insisting = self._loop.call_later(INSIST, self._insist)
        if self.greeted:
            self.process.insist()
        else:
            self.process.terminate()
