"""Limits the lines that a sensor writes to the log, by a bucket that fills at a rate, and counts dropped lines."""

from __future__ import annotations

BURST = 10.0
"""Seconds' worth of lines that a sensor may write at once after being quiet."""


class Throttle:
    """:param rate: lines a second; 0 for no limit."""

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._level = rate * BURST
        self._at = now
        self.dropped = 0
        """Lines dropped since the last `settle`."""

    def admits(self, now: float, cost: int = 1) -> bool:
        """Take one line. Returns False if it must be dropped.

        :param cost: number of usual lines that a long line counts as.
        """
        if not self._rate:
            return True
        self._level = min(self._rate * BURST, self._level + (now - self._at) * self._rate)
        self._at = now
        if self._level < 1:
            self.dropped += 1
            return False
        self._level -= cost
        return True

    def settle(self) -> int:
        """Return the number of lines dropped since the last call."""
        dropped, self.dropped = self.dropped, 0
        return dropped
