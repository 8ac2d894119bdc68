"""Starts the one wrapper of `st2sensor run` in this terminal: its input, output and Ctrl-C go to the sensor."""

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
    """A `Launcher`. The sensor runs as this process's user, without limits of its own.

    :param sensors: the settings that the sensor inherits.
    """

    def __init__(self, sensors: Inherited) -> None:
        self._sensors = sensors
        self._has_terminal = False

    async def start(self, launch: LaunchSpec) -> Handle:
        """Start the wrapper, and give it the terminal if there is one. Raises OSError."""
        output, unused = os.pipe()
        os.set_blocking(output, False)
        os.close(unused)
        # Ctrl-Z would suspend only the sensor, which would keep the terminal.
        with _ignoring(signal.SIGTSTP):
            started = subprocess.Popen(
                [launch.interpreter, WRAPPER, launch.ref],
                env=self._sensors.environment(os.environ) | launch.environment(),
                process_group=0,
            )
        # The supervisor waits for the process through its Handle, so Popen must not.
        pid, started.returncode = started.pid, 0
        # A container that was started in the background does not take the terminal.
        self._has_terminal = os.isatty(TERMINAL) and os.tcgetpgrp(TERMINAL) == os.getpgrp()
        if self._has_terminal:
            _hand_terminal(pid)
        return Handle(pid, os.pidfd_open(pid), output, launch.command)

    def forget(self, group: int) -> None:  # noqa: ARG002 (there is only one)
        """Take the terminal back: the wrapper has ended."""
        if self._has_terminal:
            _hand_terminal(os.getpgrp())

    def limit(self, end: Moment) -> None:
        """Do nothing: a sensor in the foreground has no lease."""

    def close(self) -> None:
        """Do nothing: there is no other process."""


def _hand_terminal(group: int) -> None:
    # The terminal may have been closed meanwhile.
    with _ignoring(signal.SIGTTOU), suppress(OSError):
        os.tcsetpgrp(TERMINAL, group)


@contextmanager
def _ignoring(number: signal.Signals) -> Iterator[None]:
    """Ignore a signal, because otherwise the kernel stops a background process that changes the terminal."""
    previous = signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(number, previous)
