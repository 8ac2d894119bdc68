"""Says which sensors hang: what each is in, since when, and when it was last heard of. In the log, and to reports."""

from __future__ import annotations

import logging
import time
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable, Iterable
from typing import Protocol

from st2sensor.container.sessions.activity import WAITS, Activity, Doing, hanging
from st2sensor.container.sessions.session import Waiting
from st2sensor.logs.setup import of_sensor
from st2sensor.reports import Hang

LOG = logging.getLogger("st2sensor.operators")

HANG_CHECK_INTERVAL = 5.0
"""Seconds between two looks that nobody asks for."""

NAMED = 3
"""Sensors that a summary names."""


class Activities(Protocol):
    """What sensors are in, as their wrappers tell it."""

    def with_process(self) -> list[str]:
        """Those that have a process."""

    def activity_of(self, ref: str) -> Activity | None:
        """What a sensor is in; None for one without a process."""


class Sessions(Protocol):
    """What sensors ask for."""

    def oldest(self, ref: str) -> Waiting | None:
        """The request of a sensor that waits longest."""

    def heard_at(self, ref: str) -> float | None:
        """When a sensor last said something."""


class Hangs:
    """For the loop's thread.

    :param poll_interval: of a sensor, as its metadata says.
    :param clock: the loop's.
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
        self._told: dict[str, str] = {}
        """What is in the log, by sensor."""
        self._timer: TimerHandle | None = None

    def follow(self, loop: AbstractEventLoop) -> None:
        """Tell the log of each hang, from now on."""
        self._timer = loop.call_later(HANG_CHECK_INTERVAL, self.follow, loop)
        self.look()

    def close(self) -> None:
        """Tell no more."""
        if self._timer is not None:
            self._timer.cancel()

    def of(self, ref: str) -> Hang | None:
        """How a sensor hangs, if it does."""
        activity = self._activities.activity_of(ref)
        if activity is None:
            return None
        waiting, now = self._sessions.oldest(ref), self._clock()
        waits = None if waiting is None else Doing(WAITS.get(waiting.method, "a call"), waiting.since)
        interval = activity.poll_interval or self._poll_interval(ref)
        found = hanging(activity.oldest, waits, interval, now)
        if found is None:
            return None
        heard = self._sessions.heard_at(ref)
        return Hang(what=found.what, since=_wall(found.since, now), heard=None if heard is None else _wall(heard, now))

    def all(self) -> dict[str, Hang]:
        """Those of all sensors, by reference."""
        found = ((ref, self.of(ref)) for ref in sorted(self._activities.with_process()))
        return {ref: hang for ref, hang in found if hang is not None}

    def look(self) -> None:
        """Tell the log what has come, and what is over."""
        found = self.all()
        for ref, hang in found.items():
            if self._told.get(ref) != hang.what:
                LOG.warning("%s hangs: %s", ref, described(hang), extra=of_sensor(ref))
        for ref, what in self._told.items():
            if ref not in found:
                LOG.info("%s does not hang in %s any more", ref, what, extra=of_sensor(ref))
        self._told = {ref: hang.what for ref, hang in found.items()}


def described(hang: Hang) -> str:
    """A hang in words."""
    now = time.time()
    heard = "never" if hang.heard is None else f"{now - hang.heard:.0f} s ago"
    return f"it is in {hang.what} for {now - hang.since:.0f} s; its last sign of life was {heard}"


def summary_of_hangs(refs: Iterable[str]) -> str:
    """Which sensors hang, the first few by name; empty for none."""
    named = list(refs)
    if not named:
        return ""
    more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
    hang = "hangs" if len(named) == 1 else "hang"
    return f"{', '.join(named[:NAMED])}{more} {hang}; st2sensor show {named[0]} says where"


def _wall(monotonic: float, now: float) -> float:
    # Rounded, so that it is the same each time.
    return round(time.time() - (now - monotonic), 1)
