"""Waiting until something outside the test becomes true."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from tests.plugins.patience import SOON

R = TypeVar("R")

FIRST_PAUSE, LAST_PAUSE = 0.01, 0.1
"""Seconds between two checks: a short wait ends at once, and a long one costs little."""

GROWTH = 1.25
"""The factor by which each pause is longer than the last one."""

REST = 9
"""The pause after a check, as a multiple of the check's duration: checks use at most a tenth of a core."""


def eventually(what: str, look: Callable[[], R], timeout: float = SOON) -> R:
    """Call `look` until its result is true, and return the result. Fails with `what` after timeout seconds."""
    deadline = time.monotonic() + timeout
    pause = FIRST_PAUSE
    while True:
        began = time.monotonic()
        found = look()
        if found:
            return found
        looked = time.monotonic()
        if looked > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what}; last seen: {found!r}")
        time.sleep(max(pause, REST * (looked - began)))
        pause = min(LAST_PAUSE, pause * GROWTH)


def grown(what: str, count: Callable[[], int], target: int, timeout: float = SOON) -> int:
    """Count until a number is reached, and return the last count. Fails if it does not grow for timeout seconds."""
    reached = count()
    while reached < target:
        before = reached
        try:
            reached = eventually(what, lambda: found if (found := count()) > before else 0, timeout)  # noqa: B023
        except AssertionError as error:
            raise AssertionError(f"{before} of {target} {what}, and no more: {error}") from None
    return reached
