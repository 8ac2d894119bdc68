"""Decides which missed times of a timer are fired: times at which nothing was running, or that the clock skipped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from st2sensor.core_pack.timers.cron import TICK
from st2sensor.core_pack.timers.schedule import Schedule, latest

PUNCTUAL = timedelta(seconds=10)
"""Delay after which a time counts as missed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """The times of a timer to fire now.

    :param times: in order.
    :param until: the moment up to which nothing is left to fire.
    :param is_late: whether the first due time was missed.
    """

    times: tuple[datetime, ...]
    until: datetime
    is_late: bool


Policy = Callable[[Schedule, datetime, datetime, int], tuple[datetime, ...]]
"""Receives a schedule, its first and last missed time, and a maximum; returns the times to fire."""


def skip(schedule: Schedule, first: datetime, last: datetime, most: int) -> tuple[datetime, ...]:  # noqa: ARG001
    """Return no time."""
    return ()


def once(schedule: Schedule, first: datetime, last: datetime, most: int) -> tuple[datetime, ...]:  # noqa: ARG001
    """Return the last time, which stands for all of them."""
    return (last,)


def every(schedule: Schedule, first: datetime, last: datetime, most: int) -> tuple[datetime, ...]:
    """Return all times, or the last ones if there are too many."""
    times: list[datetime] = []
    moment: datetime | None = last
    while moment is not None and len(times) < most:
        times.append(moment)
        moment = latest(schedule, first - TICK, moment - TICK)
    return tuple(reversed(times))


POLICIES: dict[str, Policy] = {"skip": skip, "once": once, "all": every}


def due(schedule: Schedule, first: datetime, now: datetime, policy: str, most: int) -> Due:
    """Return the times of a schedule to fire now.

    :param first: the first time that has not been fired; not later than `now`.
    :param policy: the name of one of POLICIES.
    :param most: the maximum number of times to fire.
    """
    last = latest(schedule, first, now) or first
    take = POLICIES[policy]
    if now - first <= PUNCTUAL:
        # This is not an outage, only a short delay.
        take = every
    elif policy == "skip" and now - last <= PUNCTUAL:
        take = once
    return Due(times=take(schedule, first, last, most), until=last, is_late=now - first > PUNCTUAL)
