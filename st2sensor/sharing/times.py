"""The spans of time of a lease. A holder measures its own lease with two clocks, see `clocks`, and
a contender measures it with one.

    0         term - grace      term           silence    lease
    |----------------|-----------|----------------|---------|
    renewed          sensors     dispatch() is    another   they run
                     are asked   refused, they    member    there
                     to stop     are killed       takes them

A holder counts from a moment before it requests the renewal, a contender from a moment after it has seen the renewal.
"""

from __future__ import annotations

from dataclasses import dataclass

TICK, TERM, GRACE, SILENCE = 1 / 12, 0.6, 0.1, 0.75
"""Shares of a lease."""

TOLERANCE = 0.05
"""Share of a lease by which the clocks may disagree between two renewals.

This is more than the steps of a healthy NTP daemon: ntpd steps from 0.128 s on, and the share of the shortest lease is
0.15 s. Slewing moves both clocks alike. The tolerance is a third of SILENCE - TERM, the margin before another member
takes over, but it uses up none of that margin, because the faster clock counts.
"""

FAST = 0.05
"""Seconds between turns while a member is handing sensors over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Spans of time in seconds.

    :param tick: time between two renewals.
    :param term: time for which a holder may act after a renewal.
    :param grace: time at the end of the term for sensors to stop.
    :param silence: time without a renewal after which a member is evicted.
    :param tolerance: difference of the clocks since a renewal above which a holder must renew first.
    :param calm: time without a change of members before sensors are moved to balance them.
    """

    tick: float
    term: float
    grace: float
    silence: float
    tolerance: float
    calm: float


def times_of(lease: float) -> Times:
    """Return the times of a lease.

    :param lease: seconds within which the sensors of a dead member run elsewhere.
    """
    return Times(
        tick=lease * TICK,
        term=lease * TERM,
        grace=lease * GRACE,
        silence=lease * SILENCE,
        tolerance=lease * TOLERANCE,
        calm=lease,
    )
