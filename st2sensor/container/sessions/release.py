"""Ends the calls in which a stopping sensor is waiting for space in the outbox, for the disk, or for the database.

Calls that are answered in time are not ended: a stopping sensor may still store a cursor, or dispatch a last trigger.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from st2sensor.container.sessions.session import Waiting
from st2sensor.errors import SensorStops

RELEASE_INTERVAL = 1.0
"""Seconds that a call may wait after its sensor was asked to stop."""

SHARE_OF_STOP_TIMEOUT = 0.1
"""Largest fraction of a sensor's stop timeout that a call may wait."""


class Released(Protocol):
    """The unanswered requests of sensors."""

    def oldest(self, ref: str) -> Waiting | None:
        """Return the request of a sensor that has waited longest for its answer."""

    def release(self, ref: str, before: float, error: Exception) -> None:
        """Refuse the requests that a sensor made before a given time, even if they may still be carried out."""


class Release:
    """For the loop's thread.

    :param withdraw: withdraws the events that a sensor is waiting to put into the outbox, and any later ones until the
        sensor starts again.
    :param release: fails the dispatches and datastore calls that a sensor made before a given time.
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
        """End calls of a sensor that has been asked to stop. Must be called repeatedly until it has stopped.

        :param asked_at: when it was asked to stop.
        :param patience: see `patience_of`.
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
            # Even the release did not end the call, so its outcome is unknown.
            error = SensorStops("the sensor has been asked to stop; it is not known whether the call was carried out")
            self._requests.release(ref, now - 2 * patience, error)


def patience_of(stop_timeout: float) -> float:
    """Return the seconds that a call may wait after its sensor was asked to stop.

    :param stop_timeout: seconds within which the sensor must stop.
    """
    return min(RELEASE_INTERVAL, SHARE_OF_STOP_TIMEOUT * stop_timeout)
