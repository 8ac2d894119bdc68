"""Decides how long the container runs, and keeps its exit code."""

from __future__ import annotations

import asyncio

from st2sensor.container.supervision.child import Child, State


class Lifetime:
    """Only the loop's thread may change this object; any thread may read it.

    :param wake: set when the container should stop.
    :param only: whether the container runs one sensor alone, and ends with it.
    :ivar is_stopping: whether the container should stop, or is stopping.
    :ivar exit_code: the container's exit code.
    """

    def __init__(self, wake: asyncio.Event, *, only: bool) -> None:
        self._wake = wake
        self._only = only
        self.is_stopping = False
        self.exit_code = 0

    def stop(self) -> None:
        """Stop the container."""
        self.is_stopping = True
        self._wake.set()

    def ended(self, child: Child, code: int) -> None:
        """Note the end of a sensor's process. A container that runs only this sensor ends with the same exit code.

        :param code: negative for a signal; the container then exits as a shell would, with 128 + signal.
        """
        if self._only and child.state is not State.STOPPED:
            self.exit_code = code if code >= 0 else 128 - code
            self.stop()
