"""How long to wait before the next attempt."""

from __future__ import annotations

import random

JITTER = 0.2
"""Share of a delay by which it is shortened or lengthened, unless said, so that many do not retry at one moment."""

FIRST_RECONNECT = 0.25
"""Seconds until the broker is tried again for the first time."""


def reconnect(failures: int, cap: float) -> float:
    """Seconds until the broker is tried again after so many failures in a row, from 1."""
    return delay(failures, first=min(FIRST_RECONNECT, cap), cap=cap)


def delay(failures: int, *, first: float, cap: float, jitter: float = JITTER) -> float:
    """Seconds after so many failures in a row: doubling from first up to cap, then jittered.

    :param failures: from 1.
    :param jitter: share of the delay, between 0 and 1, by which it is shortened or lengthened at random.
    """
    doubled: float = min(cap, first * 2.0 ** min(failures - 1, 60))
    return doubled * (1 + jitter * random.uniform(-1, 1))
