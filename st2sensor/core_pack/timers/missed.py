"""What becomes of times at which a timer should have fired and did not: because nothing ran, or the clock jumped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from st2sensor.core_pack.timers.cron import TICK
from st2sensor.core_pack.timers.schedule import Schedule, latest

PUNCTUAL = timedelta(seconds=10)
"""Later than that, a time counts as missed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """:param times: at which the timer fires now, in order.
    :param until: up to which nothing is left to fire.
    :param is_late: whether the first that was due was missed.
    """

    times: tuple[datetime, ...]
    until: datetime
    is_late: bool


Policy = Callable[[Schedule, datetime, datetime, int], tuple[datetime, ...]]
"""Of a schedule, the times to fire of those from the first to the last one, and how many at the most."""


def skip(schedule: Schedule, first: datetime, last: datetime, most: int) -> tuple[datetime, ...]:  # noqa: ARG001
    """None."""
    return ()


def once(schedule: Schedule, first: datetime, last: datetime, most: int) -> tuple[datetime, ...]:  # noqa: ARG001
    """The last, for all of them."""
    return (last,)


def every(schedule: Schedule, first: datetime, last: datetime, most: int) -> tuple[datetime, ...]:
    """All; of too many, the last."""
    times: list[datetime] = []
    moment: datetime | None = last
    while moment is not None and len(times) < most:
        times.append(moment)
        moment = latest(schedule, first - TICK, moment - TICK)
    return tuple(reversed(times))


POLICIES: dict[str, Policy] = {"skip": skip, "once": once, "all": every}


def due(schedule: Schedule, first: datetime, now: datetime, policy: str, most: int) -> Due:
    """What of a schedule is to be fired now.

    :param first: its first time that has not been fired, which has come.
    :param policy: of POLICIES, for what was missed.
    :param most: times that are fired at once, at the most.
    """
    last = latest(schedule, first, now) or first
    take = POLICIES[policy]
    if now - first <= PUNCTUAL:
        # Nothing was away: it only took a moment.
        take = every
    elif policy == "skip" and now - last <= PUNCTUAL:
        take = once
    return Due(times=take(schedule, first, last, most), until=last, is_late=now - first > PUNCTUAL)
