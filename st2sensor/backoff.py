"""How long to wait before the next attempt."""

from __future__ import annotations

import random

JITTER = 0.2
"""Share of a delay by which it is shortened or lengthened, so that many do not retry at the same moment."""

FIRST_RECONNECT, LAST_RECONNECT = 0.25, 15.0
"""Seconds between attempts to reach the broker."""


def reconnect(failures: int) -> float:
    """Seconds until the broker is tried again after so many failures in a row, from 1."""
    return delay(failures, first=FIRST_RECONNECT, cap=LAST_RECONNECT)


def delay(failures: int, *, first: float, cap: float, jitter: float | None = None) -> float:
    """Seconds after so many failures in a row: doubling from first up to cap, within JITTER.

    :param failures: from 1.
    :param jitter: between -1 and 1, drawn at random when None.
    """
    share = random.uniform(-1, 1) if jitter is None else jitter
    doubled: float = min(cap, first * 2.0 ** min(failures - 1, 60))
    return doubled * (1 + JITTER * share)
