"""Passes a stop on to the sensor: a signal raises StopSensor in the main thread, but never inside a call in flight.

The container sends SIGTERM and repeats it every second, together with a second signal for sensors that ignore SIGTERM
or handle it themselves. If the sensor has swallowed the exception, the next signal raises it again; if the sensor is
still unwinding, the signal does nothing. If a sensor keeps swallowing the exception, the signal's handler calls
cleanup() itself, and the sensor ends.

Once the sensor has been asked to stop, the container refuses its calls that are waiting in the container. In the main
thread StopSensor takes the place of that refusal; in any other thread, and in a fork, the call raises the refusal.
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
"""The errors of a call that was waiting and was released because the sensor has been asked to stop."""

UNWINDING = 3.0
"""Seconds within which a sensor must unwind. An exception that exists for longer was swallowed and kept."""

SWALLOWED = 3
"""Number of times that a sensor may swallow the exception before the signal's handler ends it."""


class StopSensor(SystemExit):
    """Interrupts run() and poll(). It is a SystemExit, because servers and event loops do not catch that."""

    def __init__(self) -> None:
        super().__init__(0)


class Stop:
    """The stop of the main thread. As a context manager, it shields a block from the stop.

    :ivar asked: whether a signal has come since `begin`.
    """

    def __init__(self) -> None:
        self.asked = False
        self._shields = 1
        self._over = False
        self._raised: Callable[[], Optional[StopSensor]] = lambda: None
        """Returns the exception that is unwinding the sensor, or None."""
        self._raised_at = 0.0
        self._swallowed = -1
        """Number of times that the sensor has swallowed the exception; -1 before it is first raised."""
        self.end_here: Callable[[], object] = lambda: None
        """Ends the process if raising the exception does not."""
        self._main = threading.get_ident()
        for number in (signal.SIGTERM, rpc.STOP_SIGNAL):
            signal.signal(number, self._on_signal)

    def begin(self) -> None:
        """From now on, raise StopSensor when a stop signal arrives. An earlier one is lost, but will be repeated."""
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
                # The exception's traceback holds this frame. A reference from here would keep the exception alive after
                # it was swallowed.
                del stop

    def __enter__(self) -> None:
        """Delay a stop until the end of the block. Only the main thread needs this: other threads get no signals."""
        if threading.get_ident() == self._main:
            self._shields += 1

    def __exit__(self, *raised: Any) -> None:
        if threading.get_ident() == self._main:
            self._shields -= 1
            if raised[0] is None or issubclass(raised[0], RELEASED):
                self._raise()

    def over(self) -> None:
        """From now on, ignore stop signals, because cleanup() is running.

        Raises StopSensor if a signal arrives at the same moment.
        """
        self._over = True

    def follow(self, call: Callable[[], int], stopped: int) -> int:
        """Call a function, and ignore stop signals once it has ended. Return its result, or `stopped` after a stop."""
        try:
            code = call()
            self.over()
        except StopSensor:
            # After a long call of C code, two signals are handled one right after the other. The second one does
            # nothing as long as the exception of the first one is being handled, that is, up to the end of this block.
            self.over()
            return stopped
        return code
