"""The progress of a timer, kept in the datastore, from which it continues after a restart or on another host."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

CORRECTION = timedelta(hours=3)
"""A clock that is set back by more than this was wrong, as in Vixie's cron. Otherwise, it repeats some time."""

FIRST, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""Bounds of plausible times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """The progress of a timer.

    :param start: the moment from which the timer is known, and from which an interval counts.
    :param after: the time up to which it has fired.
    :param parameters: the trigger's parameters. The cursor is not valid for any others.
    """

    start: datetime
    after: datetime
    parameters: Mapping[str, Any]

    def to_text(self) -> str:
        return json.dumps(
            {
                "start": self.start.isoformat(),
                "after": self.after.isoformat(),
                "parameters": dict(self.parameters),
            },
            sort_keys=True,
        )

    def moved(self, after: datetime) -> Cursor:
        """Return the cursor of a timer that has fired up to a time."""
        return replace(self, after=after)

    def set_back(self, now: datetime, *, is_interval: bool) -> Cursor:
        """Return the cursor for a clock that shows `now`, which may be earlier than the timer's last time.

        An interval restarts from now, because that much time has passed. Cron times are not repeated, unless the clock
        was wrong.
        """
        behind = self.after - now
        if behind <= timedelta(0) or not (is_interval or behind > CORRECTION):
            return self
        return replace(self, start=now if is_interval else min(self.start, now), after=now)


def new(now: datetime, parameters: Mapping[str, Any]) -> Cursor:
    """Return the cursor of a new timer."""
    return Cursor(start=now, after=now, parameters=dict(parameters))


def from_text(text: str, parameters: Mapping[str, Any]) -> Cursor | None:
    """Parse a stored cursor; None if it is unreadable or has other parameters."""
    cursor = _parsed(text)
    return cursor if cursor is not None and cursor.parameters == dict(parameters) else None


def moved_at(text: str) -> datetime:
    """Return when a stored cursor last moved; long ago if it is unreadable."""
    cursor = _parsed(text)
    return datetime.min.replace(tzinfo=UTC) if cursor is None else cursor.after


def _parsed(text: str) -> Cursor | None:
    try:
        stored = json.loads(text)
        cursor = Cursor(
            start=datetime.fromisoformat(stored["start"]),
            after=datetime.fromisoformat(stored["after"]),
            parameters=stored["parameters"],
        )
        # Comparing a naive time with an aware one raises TypeError.
        is_whole = FIRST < cursor.start <= cursor.after < LAST
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return cursor if is_whole else None
