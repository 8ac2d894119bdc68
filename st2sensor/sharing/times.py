"""The spans of time of a lease. All are measured by CLOCK_BOOTTIME: wall clocks jump, and others stop in a suspend.

    0         term - grace      term           silence    lease
    |----------------|-----------|----------------|---------|
    renewed          sensors     dispatch() is    another   they run
                     are asked   refused, they    one takes there
                     to stop     are killed       them

A holder counts from before it asked for the renewal, a contender from after it has seen it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

TICK, TERM, GRACE, SILENCE = 1 / 12, 0.6, 0.1, 0.75
"""Shares of a lease."""

FAST = 0.05
"""Seconds between looks while somebody hands sensors over."""


def boottime() -> float:
    """Seconds since this host has started, suspended ones too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """In seconds.

    :param tick: between renewals.
    :param term: that a holder may go on after a renewal.
    :param grace: that its sensors have to stop before the end of that.
    :param silence: after which a member that has not renewed is evicted.
    :param calm: that the members must not have changed before sensors are moved to balance them.
    """

    tick: float
    term: float
    grace: float
    silence: float
    calm: float


def times_of(lease: float) -> Times:
    """:param lease: seconds within which the sensors of a dead member run elsewhere."""
    return Times(tick=lease * TICK, term=lease * TERM, grace=lease * GRACE, silence=lease * SILENCE, calm=lease)
