"""Reports which sensors hang, in which method, since when, and when each last sent anything."""

from __future__ import annotations

import logging
import time
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable
from typing import Protocol

from st2sensor.container.sessions.activity import WAITS, Activity, Doing, hanging
from st2sensor.container.sessions.session import Waiting
from st2sensor.logs.setup import of_sensor
from st2sensor.reports import Hang

LOG = logging.getLogger("st2sensor.operators")

HANG_CHECK_INTERVAL = 5.0
"""Seconds between two checks for the log."""


class Activities(Protocol):
    """The activities of sensors, as their wrappers report them."""

    def with_process(self) -> list[str]:
        """Return the sensors that have a process."""

    def activity_of(self, ref: str) -> Activity | None:
        """Return the running methods of a sensor; None if it has no process."""


class Sessions(Protocol):
    """The sessions of sensors."""

    def oldest(self, ref: str) -> Waiting | None:
        """Return the request of a sensor that has waited longest for its answer."""

    def heard_at(self, ref: str) -> float | None:
        """Return when a sensor last sent anything."""


class Hangs:
    """For the loop's thread.

    :param poll_interval: returns a sensor's poll interval according to its metadata.
    :param clock: the loop's clock.
    """

    def __init__(
        self,
        activities: Activities,
        sessions: Sessions,
        poll_interval: Callable[[str], float | None],
        clock: Callable[[], float],
    ) -> None:
        self._activities = activities
        self._sessions = sessions
        self._poll_interval = poll_interval
        self._clock = clock
        self._logged: dict[str, str] = {}
        """By sensor, the method in which it hangs, as last written to the log."""
        self._timer: TimerHandle | None = None

    def follow(self, loop: AbstractEventLoop) -> None:
        """Log each hang from now on."""
        self._timer = loop.call_later(HANG_CHECK_INTERVAL, self.follow, loop)
        self.look()

    def close(self) -> None:
        """Stop logging."""
        if self._timer is not None:
            self._timer.cancel()

    def of(self, ref: str) -> Hang | None:
        """Return how a sensor hangs; None if it does not."""
        activity = self._activities.activity_of(ref)
        if activity is None:
            return None
        waiting, now = self._sessions.oldest(ref), self._clock()
        call = None if waiting is None else Doing(WAITS.get(waiting.method, "a call"), waiting.since)
        interval = activity.poll_interval or self._poll_interval(ref)
        found = hanging(activity.oldest, call, interval, now)
        if found is None:
            return None
        heard = self._sessions.heard_at(ref)
        return Hang(what=found.what, since=_wall(found.since, now), heard=None if heard is None else _wall(heard, now))

    def all(self) -> dict[str, Hang]:
        """Return the hangs of all sensors, by reference."""
        found = ((ref, self.of(ref)) for ref in sorted(self._activities.with_process()))
        return {ref: hang for ref, hang in found if hang is not None}

    def look(self) -> None:
        """Log the hangs that have begun or ended since the last call."""
        found = self.all()
        for ref, hang in found.items():
            if self._logged.get(ref) != hang.what:
                LOG.warning("%s hangs: %s", ref, described(hang), extra=of_sensor(ref))
        for ref, what in self._logged.items():
            if ref not in found:
                LOG.info("%s no longer hangs in %s", ref, what, extra=of_sensor(ref))
        self._logged = {ref: hang.what for ref, hang in found.items()}


def described(hang: Hang) -> str:
    """Return a hang in words."""
    now = time.time()
    heard = "has never sent a message" if hang.heard is None else f"last sent a message {now - hang.heard:.0f} s ago"
    return f"it has been in {hang.what} for {now - hang.since:.0f} s; it {heard}"


def _wall(monotonic: float, now: float) -> float:
    # Rounded, so that every call returns the same time.
    return round(time.time() - (now - monotonic), 1)
