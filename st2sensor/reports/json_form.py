"""The JSON of reports, for people and tools: times are ISO 8601 text in UTC, which ends with Z."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from st2sensor.portable import isotime

TIMES = frozenset(
    {"at", "failing_since", "heard", "next_start", "outbox_oldest", "seen", "silent_since", "since", "started"}
    | {"triggered_at"}
)
"""Names of the fields of reports that are seconds since the epoch."""


def fields_of(report: Any) -> dict[str, Any]:
    """Return the fields of a dataclass for JSON, with every time as text."""
    found: dict[str, Any] = with_times(asdict(report))
    return found


def moment(seconds: float) -> str | None:
    """Return a time as text; None for one outside of the years 1 to 9999.

    :param seconds: since the epoch.
    """
    try:
        return isotime.format(seconds, offset=False)
    except (OverflowError, ValueError, OSError):
        return None


def with_times(value: Any, name: str = "") -> Any:
    """Return a JSON value of reports with every time as text.

    :param name: the key of the value, which says whether it is a time.
    """
    if isinstance(value, Mapping):
        return {key: with_times(item, key) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [with_times(item) for item in value]
    if name in TIMES and isinstance(value, int | float):
        return moment(value)
    return value
