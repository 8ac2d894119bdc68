"""Starts the one wrapper of `st2sensor run` in this terminal, whose input, output and Ctrl-C are the sensor's."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from st2sensor.container.launch.handle import Handle
from st2sensor.container.launch.spec import WRAPPER, Inherited, LaunchSpec
from st2sensor.sharing.clocks import Moment

TERMINAL = 0
"""File descriptor of standard input."""


class Foreground:
    """Stands for a launcher. The sensor runs as this process's user, without limits of its own.

    :param sensors: what it inherits.
    """

    def __init__(self, sensors: Inherited) -> None:
        self._sensors = sensors
        self._has_terminal = False

    async def start(self, launch: LaunchSpec) -> Handle:
        """Start the wrapper, and give it the terminal, where there is one. Raises OSError."""
        output, unused = os.pipe()
        os.set_blocking(output, False)
        os.close(unused)
        # Ctrl-Z would stop the sensor alone, and leave the terminal with it.
        with _deaf_to(signal.SIGTSTP):
            started = subprocess.Popen(
                [launch.interpreter, WRAPPER, launch.ref],
                env=self._sensors.environment(os.environ) | launch.environment(),
                process_group=0,
            )
        # Whoever supervises it collects it by its handle.
        pid, started.returncode = started.pid, 0
        # One that was started in the background leaves the terminal to whom it belongs.
        self._has_terminal = os.isatty(TERMINAL) and os.tcgetpgrp(TERMINAL) == os.getpgrp()
        if self._has_terminal:
            _hand_terminal(pid)
        return Handle(pid, os.pidfd_open(pid), output, launch.command)

    def forget(self, group: int) -> None:  # noqa: ARG002 (a launcher is told)
        """The wrapper is gone: the terminal is this process's again."""
        if self._has_terminal:
            _hand_terminal(os.getpgrp())

    def limit(self, end: Moment) -> None:
        """A sensor in the foreground is under no lease."""

    def close(self) -> None:
        """There is nothing to end."""


def _hand_terminal(group: int) -> None:
    # It may have been closed meanwhile.
    with _deaf_to(signal.SIGTTOU), suppress(OSError):
        os.tcsetpgrp(TERMINAL, group)


@contextmanager
def _deaf_to(number: signal.Signals) -> Iterator[None]:
    """Whoever is not in the foreground is stopped for changing that, unless it ignores the signal."""
    previous = signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(number, previous)
