"""Times of cron in a time zone whose clocks change.

APScheduler finds the times that a wall clock shows; what instants these are is found here. Its own arithmetic on local
times leaves some out after clocks were put forward, and comes to no end in the hour that is repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from apscheduler.triggers.cron import CronTrigger

TICK = timedelta(microseconds=1)

SPAN = timedelta(hours=3)
"""For so long a change of clocks matters, at the most."""

STRIDE = timedelta(days=7)
"""Clocks change no oftener."""

END = datetime(2200, 1, 1, tzinfo=UTC)
"""Times are looked for up to then: some fields never meet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Clocks are put forward or back.

    :param at: the first instant after it, in UTC. :param before: the offset from UTC, and `after` it.
    """

    at: datetime
    before: timedelta
    after: timedelta


class Cron:
    """In an hour that is repeated, what has an hour and a minute of its own fires once, the first time; what begins
    with `*` goes on, as in Vixie's cron. What falls into time that is left out fires as much later.

    :param fields: as CronTrigger takes them. :param zone: where they are times of.

    Raises ValueError for fields that make no times.
    """

    def __init__(self, fields: Mapping[str, Any], zone: tzinfo) -> None:
        # A wall clock has no zone: UTC stands for that.
        self._trigger = CronTrigger(**fields, timezone=UTC, end_date=END)
        self._zone = zone
        self._goes_on = any(
            str(field).startswith("*") for field in self._trigger.fields if field.name in ("hour", "minute")
        )

    def after(self, moment: datetime) -> datetime | None:
        """The first time after a moment, in UTC; None when there is none any more."""
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
            # Up to the change there is no time; from there on others count.
            start = change.at - TICK

    def _resumption(self, change: Change) -> datetime:
        """The moment after which times of the wall clock count again."""
        repeated = max(timedelta(0), change.before - change.after)
        return change.at - TICK + (timedelta(0) if self._goes_on else repeated)

    def _shifted(self, change: Change, moment: datetime) -> list[datetime]:
        """The first time after a moment that falls into what a change leaves out, if there is one."""
        wall = self._wall(max(moment, change.at - TICK) + change.before)
        return [wall - change.before] if wall is not None and wall < change.at + change.after else []

    def _wall(self, after: datetime) -> datetime | None:
        """The first time of the wall clock after another."""
        found: datetime | None = self._trigger.get_next_fire_time(None, after + TICK)
        return found

    def _change(self, start: datetime, end: datetime) -> Change | None:
        """The first change after one moment and not after another."""
        offset = self._offset(start)
        while start < end:
            following = min(start + STRIDE, end)
            if self._offset(following) != offset:
                at = self._instant(start, following)
                return Change(at=at, before=offset, after=self._offset(at))
            start = following
        return None

    def _instant(self, start: datetime, end: datetime) -> datetime:
        """Of a change between two moments. Clocks change at whole seconds."""
        offset = self._offset(start)
        while end - start > timedelta(seconds=1):
            middle = start + (end - start) / 2
            start, end = (middle, end) if self._offset(middle) == offset else (start, middle)
        return end.replace(microsecond=0)

    def _offset(self, moment: datetime) -> timedelta:
        return moment.astimezone(self._zone).utcoffset() or timedelta(0)
