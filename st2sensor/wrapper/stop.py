"""How a stop reaches the sensor: a signal raises StopSensor in the main thread, but never inside a call in flight.

SIGTERM asks. The container repeats it every second, together with a signal of its own that gets through to sensors
which ignore SIGTERM or handle it in their own way.
"""

from __future__ import annotations

import signal
import threading
from typing import Any

from st2sensor import rpc


class StopSensor(SystemExit):
    """Interrupts run() and poll(). A SystemExit, because servers and event loops let that one through."""

    def __init__(self) -> None:
        super().__init__(0)


class Stop:
    """The main thread's stop; as a context manager, a shield against it.

    :ivar asked: whether a signal has come since `begin`.
    """

    def __init__(self) -> None:
        self.asked = False
        self._shields = 1
        self._over = False
        self._main = threading.get_ident()
        for number in (signal.SIGTERM, rpc.STOP_SIGNAL):
            signal.signal(number, self._on_signal)

    def begin(self) -> None:
        """From now on a stop is raised. One that came before is lost: the container repeats it."""
        self.asked = False
        self._shields = 0

    def _on_signal(self, number: int, frame: Any) -> None:  # noqa: ARG002
        self.asked = True
        self._raise()

    def _raise(self) -> None:
        if self.asked and not self._over and self._shields == 0:
            raise StopSensor

    def __enter__(self) -> None:
        """Put a stop off until the end of the block, in the main thread; elsewhere signals are not raised anyway."""
        if threading.get_ident() == self._main:
            self._shields += 1

    def __exit__(self, *raised: object) -> None:
        if threading.get_ident() == self._main:
            self._shields -= 1
            if raised[0] is None:
                self._raise()

    def over(self) -> None:
        """From now on cleanup() runs: it is not interrupted."""
        self._over = True
