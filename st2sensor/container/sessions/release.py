"""Lets a sensor that stops out of the calls it waits in, wherever they wait: for room in the outbox, for the disk, for
the database, for storage.

Calls that are answered as usual are left alone: who stops may still store a cursor, or dispatch a last trigger.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from st2sensor.container.sessions.session import Waiting
from st2sensor.errors import SensorStops

RELEASE_INTERVAL = 1.0
"""Seconds that a call may wait after its sensor was asked to stop."""

SHARE = 0.1
"""Of the time that a sensor has to stop; at the most so much is waited."""


class Released(Protocol):
    """What sensors ask for."""

    def oldest(self, ref: str) -> Waiting | None:
        """The request of a sensor that waits longest."""

    def release(self, ref: str, before: float, error: Exception) -> None:
        """Refuse what a sensor has asked for before a time, whatever becomes of it."""


class Release:
    """For the loop's thread.

    :param withdraw: takes back what a sensor waits with in the outbox, now and until it starts again.
    :param release: answers the calls that a sensor has made before a time, of which nothing will come.
    """

    def __init__(
        self,
        requests: Released,
        withdraw: Callable[[str], None],
        release: Callable[[str, float], None],
        clock: Callable[[], float],
    ) -> None:
        self._requests = requests
        self._withdraw = withdraw
        self._release = release
        self._clock = clock

    def look(self, ref: str, asked_at: float, patience: float) -> None:
        """To be called when a sensor is asked to stop, and again and again until it has.

        :param asked_at: when it was asked to. :param patience: see `patience`.
        """
        now, waiting = self._clock(), self._requests.oldest(ref)
        if now - asked_at < patience:
            self._withdraw(ref)
        if waiting is None:
            return
        waited = now - max(waiting.since, asked_at)
        if waited >= patience:
            self._release(ref, now - patience)
        if waited >= 2 * patience:
            # Nobody can tell what will come of it.
            error = SensorStops("the sensor is asked to stop; whether the call was carried out is not known")
            self._requests.release(ref, now - 2 * patience, error)


def patience_of(stop_timeout: float) -> float:
    """Seconds that a call may wait after its sensor was asked to stop, which it has so many seconds for."""
    return min(RELEASE_INTERVAL, SHARE * stop_timeout)
