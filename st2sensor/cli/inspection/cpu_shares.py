"""What sensors use of the processor between two looks at them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from st2sensor.reports import SensorReport

Shares = Mapping[str, float | None]
"""Percent of one processor, by sensor; None where nobody knows yet."""


class CpuShares:
    """Remembers the last look."""

    def __init__(self) -> None:
        self._used: dict[tuple[str, int | None], float] = {}
        self._at = 0.0

    def shares(self, sensors: Iterable[SensorReport], now: float) -> Shares:
        """What each has used since the last look; None for a process that is new since then.

        :param now: seconds on a clock that is not changed.
        """
        used = {(report.ref, report.pid): report.cpu for report in sensors if report.cpu is not None}
        span, self._at = now - self._at, now
        before, self._used = self._used, used
        return {
            key[0]: max(0.0, seconds - before[key]) / span * 100 if key in before and span > 0 else None
            for key, seconds in used.items()
        }
