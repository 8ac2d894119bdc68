"""The orders in which `st2sensor top` shows sensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from st2sensor.reports import SensorReport

SORTS: Mapping[str, Callable[[SensorReport], Any]] = {
    "state": lambda report: (not report.failing, not report.troubles, report.state == "running", report.ref),
    "triggers": lambda report: -report.triggers_per_minute,
    "memory": lambda report: -(report.memory or 0),
    "cpu": lambda report: -(report.cpu or 0),
    "restarts": lambda report: -report.restarts,
    "name": lambda report: report.ref,
}


def ordered(sensors: Sequence[SensorReport], sort: str, shares: Mapping[str, float | None]) -> list[SensorReport]:
    """Return sensors in order. The order by cpu uses current use if it is known, and total use otherwise.

    :param sort: a key of SORTS.
    :param shares: percentage of a processor that each sensor uses now.
    """
    if sort == "cpu" and shares:
        return sorted(sensors, key=lambda report: -(shares.get(report.ref) or 0))
    return sorted(sensors, key=SORTS[sort])
