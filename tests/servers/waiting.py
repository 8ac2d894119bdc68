"""Waiting for something outside to become true."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from tests.support.patience import SOON

R = TypeVar("R")

LOOK_EVERY = 0.02
"""Seconds."""


def eventually(what: str, look: Callable[[], R], timeout: float = SOON) -> R:
    """Look until there is something; returns it. Fails with `what` after timeout seconds."""
    deadline = time.monotonic() + timeout
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what}; last seen: {found!r}")
        time.sleep(LOOK_EVERY)
