"""The share of a processor that each sensor uses between two samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from st2sensor.reports import SensorReport

Shares = Mapping[str, float | None]
"""Percentage of one processor, by sensor; None if it is not known yet."""


class CpuShares:
    """Computes the shares from each sample and the one before."""

    def __init__(self) -> None:
        self._used: dict[tuple[str, int | None], float] = {}
        self._at = 0.0

    def shares(self, sensors: Iterable[SensorReport], now: float) -> Shares:
        """Return the shares since the last sample. None means that the process is new since then.

        :param now: seconds of a monotonic clock.
        """
        used = {(report.ref, report.pid): report.cpu for report in sensors if report.cpu is not None}
        span, self._at = now - self._at, now
        before, self._used = self._used, used
        return {
            key[0]: max(0.0, seconds - before[key]) / span * 100 if key in before and span > 0 else None
            for key, seconds in used.items()
        }
