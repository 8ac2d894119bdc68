"""Waiting for something outside to become true."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from tests.plugins.patience import SOON

R = TypeVar("R")

LOOK_EVERY = 0.02
"""Seconds."""

REST = 4
"""How many times as long as a look took passes before the next one, so that looking takes a fifth of a core at most."""


def eventually(what: str, look: Callable[[], R], timeout: float = SOON) -> R:
    """Look until there is something; returns it. Fails with `what` after timeout seconds."""
    deadline = time.monotonic() + timeout
    while True:
        began = time.monotonic()
        found = look()
        if found:
            return found
        looked = time.monotonic()
        if looked > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what}; last seen: {found!r}")
        time.sleep(max(LOOK_EVERY, REST * (looked - began)))


def grown(what: str, count: Callable[[], int], target: int, timeout: float = SOON) -> int:
    """Count until a number is reached; returns the last count. Fails once it has not grown for timeout seconds."""
    reached = count()
    while reached < target:
        before = reached
        try:
            reached = eventually(what, lambda: found if (found := count()) > before else 0, timeout)  # noqa: B023
        except AssertionError as error:
            raise AssertionError(f"{before} of {target} {what}, and no more: {error}") from None
    return reached
