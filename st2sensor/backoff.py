"""Delays before the next attempt."""

from __future__ import annotations

import random

JITTER = 0.2
"""Default share by which a delay varies at random, so that containers do not all retry together."""

FIRST_RECONNECT = 0.25
"""Seconds until the first retry to reach the broker."""


def reconnect(failures: int, cap: float) -> float:
    """Return the seconds until the next attempt to reach the broker.

    :param failures: failures in a row, from 1.
    :param cap: maximum number of seconds, before jitter.
    """
    return delay(failures, first=min(FIRST_RECONNECT, cap), cap=cap)


def delay(failures: int, *, first: float, cap: float, jitter: float = JITTER) -> float:
    """Return the seconds until the next attempt. The delay doubles from `first` up to `cap`; then jitter is applied.

    :param failures: failures in a row, from 1.
    :param jitter: share of the delay, from 0 to 1, by which it is shortened or lengthened at random.
    """
    doubled: float = min(cap, first * 2.0 ** min(failures - 1, 60))
    return doubled * (1 + jitter * random.uniform(-1, 1))
