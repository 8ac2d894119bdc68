"""How a stop reaches the sensor: a signal raises StopSensor in the main thread, but never inside a call in flight.

SIGTERM asks. The container repeats it every second, together with a signal of its own that gets through to sensors
which ignore SIGTERM or handle it in their own way. Repeated, it is raised again where the sensor has swallowed it; one
that is just unwinding is left to that. A sensor that swallows it again and again is ended where it is, by the handler
of the signal, which calls cleanup() itself.

A call that waits in the container is refused there, once the sensor is asked to stop: in the main thread StopSensor
comes in place of that refusal, in any other thread and in a fork the call raises it.
"""

from __future__ import annotations

import signal
import threading
import time
import weakref
from typing import Any, Callable, Optional

from st2sensor.errors import DatastoreUnavailable, SensorStops
from st2sensor.portable import rpc

RELEASED = (SensorStops, DatastoreUnavailable)
"""What a call raises that waited and was released, because the sensor is asked to stop."""

UNWINDING = 3.0
"""Seconds that a sensor has to unwind: an exception that is still there after that was swallowed, too, and kept."""


SWALLOWED = 3
"""Times that a sensor may swallow the exception before it is ended where it is."""


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
        self._raised: Callable[[], Optional[StopSensor]] = lambda: None
        """The exception that is on its way, if it still is."""
        self._raised_at = 0.0
        self._swallowed = -1
        """How often it was raised before, in vain."""
        self.end_here: Callable[[], object] = lambda: None
        """Ends the process; used where the exception does not."""
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
        if not self.asked or self._over or self._shields:
            return
        now = time.monotonic()
        if self._raised() is None or now > self._raised_at + UNWINDING:
            self._swallowed += 1
            if self._swallowed >= SWALLOWED:
                self.end_here()
            stop = StopSensor()
            self._raised, self._raised_at = weakref.ref(stop), now
            try:
                raise stop
            finally:
                # Its traceback holds this frame: with a reference back it would outlive being swallowed.
                del stop

    def __enter__(self) -> None:
        """Put a stop off until the end of the block, in the main thread; elsewhere signals are not raised anyway."""
        if threading.get_ident() == self._main:
            self._shields += 1

    def __exit__(self, *raised: Any) -> None:
        if threading.get_ident() == self._main:
            self._shields -= 1
            if raised[0] is None or issubclass(raised[0], RELEASED):
                self._raise()

    def over(self) -> None:
        """From now on cleanup() runs: it is not interrupted."""
        self._over = True
