"""The spans of time of a lease. Others' are measured by CLOCK_BOOTTIME, one's own by the wall clock, too: see `clocks`.

    0         term - grace      term           silence    lease
    |----------------|-----------|----------------|---------|
    renewed          sensors     dispatch() is    another   they run
                     are asked   refused, they    one takes there
                     to stop     are killed       them

A holder counts from before it asked for the renewal, a contender from after it has seen it.
"""

from __future__ import annotations

from dataclasses import dataclass

TICK, TERM, GRACE, SILENCE = 1 / 12, 0.6, 0.1, 0.75
"""Shares of a lease."""

TOLERANCE = 0.05
"""The share by which clocks may come to disagree between two renewals.

More than the steps that NTP daemons make while all is well: ntpd's are from 0.128 s on, and of the shortest lease it is
0.15 s. Slewing moves both clocks alike. A third of SILENCE - TERM, the margin until another one takes over, of which
nothing is used up, because the faster clock counts.
"""

FAST = 0.05
"""Seconds between looks while somebody hands sensors over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """In seconds.

    :param tick: between renewals.
    :param term: that a holder may go on after a renewal.
    :param grace: that its sensors have to stop before the end of that.
    :param silence: after which a member that has not renewed is evicted.
    :param tolerance: that its clocks may come to disagree by after a renewal, before it has to renew again.
    :param calm: that the members must not have changed before sensors are moved to balance them.
    """

    tick: float
    term: float
    grace: float
    silence: float
    tolerance: float
    calm: float


def times_of(lease: float) -> Times:
    """:param lease: seconds within which the sensors of a dead member run elsewhere."""
    return Times(
        tick=lease * TICK,
        term=lease * TERM,
        grace=lease * GRACE,
        silence=lease * SILENCE,
        tolerance=lease * TOLERANCE,
        calm=lease,
    )
