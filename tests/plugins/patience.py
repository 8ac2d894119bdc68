"""The times after which tests treat something as stuck: the only deadlines that tests have.

The deadlines are longer on a slower machine; its speed is measured once, when the suite starts. With
TEST_PATIENCE=3 every deadline is three times as long instead. Nothing waits until its deadline unless a test fails.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

VARIABLE = "TEST_PATIENCE"

STARTS = 5
"""Number of interpreters to start in order to measure the machine."""

USUAL = 0.025
"""Seconds that one start takes on the machine that the deadlines were chosen for."""

SLOWEST = 10.0
"""The largest factor that a measurement gives. TEST_PATIENCE may be larger."""


def measure() -> float:
    """Return how many times slower than usual this machine is now; 1 if it is faster."""
    began = time.monotonic()
    for _ in range(STARTS):
        subprocess.run([sys.executable, "-I", "-S", "-c", "pass"], check=True)
    return min(SLOWEST, max(1.0, (time.monotonic() - began) / STARTS / USUAL))


def settle() -> float:
    """Return the factor for this process and all processes that it starts. Raises ValueError if it is not a number."""
    text = os.environ.get(VARIABLE) or f"{measure():.2f}"
    os.environ[VARIABLE] = text
    factor = float(text)
    if not 0 < factor < float("inf"):
        raise ValueError(f"{VARIABLE}={text}: it has to be a number above 0")
    return factor


FACTOR = settle()

SOON = 60 * FACTOR
"""Seconds until a single event: a start, a line of the log, an answer."""

LATER = 180 * FACTOR
"""Seconds until a long task is done: a server has started, a thousand events or a backlog have arrived."""

AT_LAST = 600 * FACTOR
"""Seconds until a test counts as stuck."""
