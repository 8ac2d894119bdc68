"""The last hour of the container in samples, for the charts of the status page."""

from __future__ import annotations

from collections import deque

INTERVAL = 10.0
"""Seconds between two samples."""

SAMPLES = 360
"""Number of samples that are kept: an hour."""

Sample = tuple[float, int, int]
"""Seconds since the epoch, triggers since the sample before, and depth of the outbox."""


class History:
    """A ring of samples. For the loop's thread."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=SAMPLES)
        self._total: int | None = None

    def add(self, at: float, total: int, depth: int) -> None:
        """Add a sample.

        :param at: seconds since the epoch.
        :param total: number of triggers since the container started.
        :param depth: number of triggers in the outbox.
        """
        triggers = 0 if self._total is None else max(0, total - self._total)
        self._total = total
        self._samples.append((round(at, 1), triggers, depth))

    @property
    def last(self) -> float:
        """Time of the newest sample; 0 before the first."""
        return self._samples[-1][0] if self._samples else 0.0

    def after(self, at: float) -> list[Sample]:
        """Return the samples that are newer than a time, oldest first."""
        return [sample for sample in self._samples if sample[0] > at]
