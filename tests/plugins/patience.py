"""How long tests wait before something counts as stuck: the only deadlines that tests have.

They grow with how slow the machine is. That is measured once, when the suite starts, and can be set: TEST_PATIENCE=3
makes every deadline three times as long. Nothing waits until its deadline unless a test fails.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

VARIABLE = "TEST_PATIENCE"

STARTS = 5
"""Interpreters that are started to measure the machine."""

USUAL = 0.025
"""Seconds that one start takes on the machine that the deadlines were chosen for."""

SLOWEST = 10.0
"""The longest that deadlines are stretched without being asked to."""


def measure() -> float:
    """How many times slower than usual this machine is just now; 1 for one that is faster."""
    began = time.monotonic()
    for _ in range(STARTS):
        subprocess.run([sys.executable, "-I", "-S", "-c", "pass"], check=True)
    return min(SLOWEST, max(1.0, (time.monotonic() - began) / STARTS / USUAL))


def settle() -> float:
    """The factor, for this process and all that it starts. Raises ValueError for a variable that is no number."""
    text = os.environ.get(VARIABLE) or f"{measure():.2f}"
    os.environ[VARIABLE] = text
    factor = float(text)
    if not 0 < factor < float("inf"):
        raise ValueError(f"{VARIABLE}={text}: it has to be a number above 0")
    return factor


FACTOR = settle()

SOON = 60 * FACTOR
"""Seconds until one thing has happened: a start, a line of log, an answer."""

LATER = 180 * FACTOR
"""Seconds until much has happened: a server's start, a thousand events, a drained outage."""

AT_LAST = 600 * FACTOR
"""Seconds until a test counts as stuck."""
