"""Computes cron times in a time zone whose clocks change.

APScheduler finds the wall-clock times; this module turns them into instants. APScheduler's own arithmetic on local
times skips some after clocks were put forward, and does not terminate in a repeated hour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from apscheduler.triggers.cron import CronTrigger

TICK = timedelta(microseconds=1)

SPAN = timedelta(hours=3)
"""Maximum time between a wall-clock time and a clock change that affects it."""

STRIDE = timedelta(days=7)
"""Clocks change at most once within this time."""

END = datetime(2200, 1, 1, tzinfo=UTC)
"""End of the search, because some fields never match together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of the clocks, forward or back.

    :param at: the first instant after the change, in UTC.
    :param before: the offset from UTC before the change.
    :param after: the offset from UTC after the change.
    """

    at: datetime
    before: timedelta
    after: timedelta


class Cron:
    """Fires at cron times.

    As in Vixie's cron, a fixed time in a repeated hour fires only the first time, and fields that begin with `*`
    continue to fire. A time that the clocks skip fires later by the skipped amount.

    Raises ValueError for invalid fields.

    :param fields: the arguments of CronTrigger.
    :param zone: the time zone of the fields.
    """

    def __init__(self, fields: Mapping[str, Any], zone: tzinfo) -> None:
        # A wall clock has no zone; UTC stands in for none.
        self._trigger = CronTrigger(**fields, timezone=UTC, end_date=END)
        self._zone = zone
        self._goes_on = any(
            str(field).startswith("*") for field in self._trigger.fields if field.name in ("hour", "minute")
        )

    def after(self, moment: datetime) -> datetime | None:
        """Return the first time after a moment, in UTC; None if there is none."""
        if moment >= END:
            return None
        times = []
        start, offset = moment, self._offset(moment)
        change = self._change(moment - SPAN, moment)
        while True:
            if change is not None:
                start, offset = max(start, self._resumption(change)), change.after
                times += self._shifted(change, moment)
            wall = self._wall(start + offset)
            end = start + SPAN if wall is None else wall - offset
            change = self._change(start if change is None else max(start, change.at), end)
            if change is None:
                return min([*times, end]) if wall is not None else min(times, default=None)
            # No time comes before the change. Search again after it.
            start = change.at - TICK

    def _resumption(self, change: Change) -> datetime:
        """Return the moment after which wall-clock times count again."""
        repeated = max(timedelta(0), change.before - change.after)
        return change.at - TICK + (timedelta(0) if self._goes_on else repeated)

    def _shifted(self, change: Change, moment: datetime) -> list[datetime]:
        """Return the first skipped time after a moment, if a change skips one."""
        wall = self._wall(max(moment, change.at - TICK) + change.before)
        return [wall - change.before] if wall is not None and wall < change.at + change.after else []

    def _wall(self, after: datetime) -> datetime | None:
        """Return the first matching wall-clock time after a given one."""
        found: datetime | None = self._trigger.get_next_fire_time(None, after + TICK)
        return found

    def _change(self, start: datetime, end: datetime) -> Change | None:
        """Return the first change after one moment and not after another."""
        offset = self._offset(start)
        while start < end:
            following = min(start + STRIDE, end)
            if self._offset(following) != offset:
                at = self._instant(start, following)
                return Change(at=at, before=offset, after=self._offset(at))
            start = following
        return None

    def _instant(self, start: datetime, end: datetime) -> datetime:
        """Return the instant of a change between two moments. Clocks change at whole seconds."""
        offset = self._offset(start)
        while end - start > timedelta(seconds=1):
            middle = start + (end - start) / 2
            start, end = (middle, end) if self._offset(middle) == offset else (start, middle)
        return end.replace(microsecond=0)

    def _offset(self, moment: datetime) -> timedelta:
        return moment.astimezone(self._zone).utcoffset() or timedelta(0)
