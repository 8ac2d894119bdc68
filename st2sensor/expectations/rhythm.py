"""Proposes how long a sensor may be quiet, from the times of its past events. Pure functions.

The longest gaps between events decide: short ones, such as those within a burst, say nothing about silence. Beyond the
smallest of these gaps, the rest is taken as exponential, the usual model of exceedances (peaks over threshold). The
proposal is the length that a gap exceeds with a probability of RISK in another period of the same length.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

FEWEST_GAPS = 8
"""Number of gaps below which nothing is proposed."""

LONGEST_GAPS = 20
"""Number of the longest gaps that decide."""

RISK = 1e-4
"""Accepted probability of a false alarm in a period as long as the examined one."""

LEAST_FACTOR, MOST_FACTOR = 1.5, 5.0
"""The proposal is at least and, with LONGEST_GAPS gaps or more, at most this multiple of the longest gap."""

LEAST_EVENT, LEAST_POLL = 10.0, 60.0
"""Smallest proposals, in seconds."""

POLL_INTERVALS = 5
"""The proposal is this number of times the poll interval and the mean duration of a poll."""

STEPS = ((86400.0, 86400.0), (3600.0, 3600.0), (60.0, 60.0), (0.0, 1.0))
"""Durations and the step to which a proposal from that duration on is rounded up, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """The rhythm of a sensor's events. Durations are in seconds.

    :param events: number of events.
    :param usual: the median gap between two events; None for fewer than two events.
    :param longest: the longest gap, including the one since the newest event; None for fewer than two events.
    :param event: the proposed expectation; None if there are too few events for one.
    """

    events: int
    usual: float | None = None
    longest: float | None = None
    event: float | None = None


def rhythm(times: Sequence[float], now: float) -> Rhythm:
    """Return the rhythm of events, with the proposed expectation.

    :param times: when the events were dispatched, in seconds since the epoch, in any order.
    :param now: end of the examined period, in the same unit.
    """
    ordered = sorted(times)
    if len(ordered) < 2:
        return Rhythm(events=len(ordered))
    gaps = sorted(later - earlier for earlier, later in pairwise(ordered))
    usual, open_gap = gaps[len(gaps) // 2], max(0.0, now - ordered[-1])
    longest = max(gaps[-1], open_gap)
    event = None if len(gaps) < FEWEST_GAPS else _rounded(max(LEAST_EVENT, _exceeded_rarely(gaps)))
    return Rhythm(events=len(ordered), usual=usual, longest=longest, event=event)


def poll_expectation(interval: float, mean_poll: float = 0.0) -> float:
    """Return the proposed number of seconds within which a poll should succeed.

    :param interval: seconds between two polls.
    :param mean_poll: seconds that a poll takes on average.
    """
    return _rounded(max(LEAST_POLL, POLL_INTERVALS * (interval + mean_poll)))


def _exceeded_rarely(gaps: Sequence[float]) -> float:
    """Return the proposal before it is rounded.

    :param gaps: sorted, in seconds.
    """
    top = gaps[-LONGEST_GAPS:]
    threshold, number = top[0], len(top)
    mean = sum(gap - threshold for gap in top) / number
    # A mean of few gaps is uncertain, by one part in the square root of their number.
    wanted = threshold + mean * (1 + 2 / math.sqrt(number)) * math.log(number / RISK)
    most = MOST_FACTOR * gaps[-1] if len(gaps) >= LONGEST_GAPS else math.inf
    return min(max(wanted, LEAST_FACTOR * gaps[-1]), most)


def _rounded(seconds: float) -> float:
    """Return a duration rounded up to a whole number of its largest unit, or of the next one if it is only a few."""
    step = next(step for least, step in STEPS if seconds >= 3 * least)
    return math.ceil(seconds / step) * step
