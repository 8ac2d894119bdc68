"""How a stop reaches the sensor: SIGTERM raises StopSensor in the main thread, but never inside a call in flight."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

INSIST = 1.0
"""Seconds between two interruptions of a sensor that does not stop."""


class StopSensor(SystemExit):
    """Interrupts run() and poll(). A SystemExit, because servers and event loops let that one through."""

    def __init__(self) -> None:
        super().__init__(0)


class Stop:
    """The main thread's stop; as a context manager, a shield against it.

    :ivar asked: whether SIGTERM has come.
    """

    def __init__(self) -> None:
        self.asked = False
        self._shields = 0
        self._over = False
        self._main = threading.main_thread().ident
        signal.signal(signal.SIGTERM, self._on_signal)

    def _on_signal(self, number: int, frame: Any) -> None:  # noqa: ARG002
        if not self.asked:
            self.asked = True
            threading.Thread(target=self._insist, name="st2sensor-stop", daemon=True).start()
        self._raise()

    def _insist(self) -> None:
        """Raise again while the sensor goes on: many a poll() catches everything."""
        time.sleep(INSIST)
        while not self._over:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(INSIST)

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
