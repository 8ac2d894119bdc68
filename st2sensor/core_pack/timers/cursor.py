"""How far a timer has come, as it is kept in the datastore: after a restart, and elsewhere, it goes on from there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

CORRECTION = timedelta(hours=3)
"""A clock that is set back by more was wrong, as in Vixie's cron; by less, it lives some time a second time."""


FIRST, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""What no clock shows, because it lies before or after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """:param start: since when the timer is known, and from which an interval counts.
    :param after: the time up to which it has fired.
    :param parameters: the trigger's: of others, this cursor says nothing.
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
        """The timer has fired up to a time."""
        return replace(self, after=after)

    def set_back(self, now: datetime, *, is_interval: bool) -> Cursor:
        """The cursor for a clock that shows `now`, if that is before what the timer has seen.

        An interval goes on from now, because so much time has passed. Times of cron do not come again, unless the clock
        was wrong.
        """
        behind = self.after - now
        if behind <= timedelta(0) or not (is_interval or behind > CORRECTION):
            return self
        return replace(self, start=now if is_interval else min(self.start, now), after=now)


def new(now: datetime, parameters: Mapping[str, Any]) -> Cursor:
    """The cursor of a timer that is first heard of."""
    return Cursor(start=now, after=now, parameters=dict(parameters))


def from_text(text: str, parameters: Mapping[str, Any]) -> Cursor | None:
    """A cursor as it was stored; None for one that is unreadable, or of other parameters."""
    cursor = _parsed(text)
    return cursor if cursor is not None and cursor.parameters == dict(parameters) else None


def moved_at(text: str) -> datetime:
    """When a stored cursor has moved last; long ago for one that is unreadable."""
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
        # Naive ones cannot be compared with others.
        is_whole = FIRST < cursor.start <= cursor.after < LAST
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return cursor if is_whole else None
