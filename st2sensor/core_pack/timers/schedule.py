"""When a timer fires: from the parameters of its trigger, as StackStorm has them. No clock, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from apscheduler.triggers.interval import IntervalTrigger
from dateutil import parser
from tzlocal import get_localzone

from st2sensor.core_pack.timers.cron import TICK, Cron

INTERVAL, DATE, CRON = "core.st2.IntervalTimer", "core.st2.DateTimer", "core.st2.CronTimer"
TYPES = (INTERVAL, DATE, CRON)

NO_DATES = (datetime(2000, 1, 1), datetime(2001, 2, 2))
"""What stands for the parts that a date does not name."""


class Schedule(Protocol):
    """The times at which a timer fires."""

    def after(self, moment: datetime) -> datetime | None:
        """The first time after a moment, in UTC; None when there is none any more."""


@dataclass(frozen=True, slots=True)
class Once:
    """:param date: in UTC."""

    date: datetime

    def after(self, moment: datetime) -> datetime | None:
        return self.date if self.date > moment else None


@dataclass(frozen=True, slots=True)
class Every:
    """Each so often since a moment, whatever the clocks of a time zone do."""

    trigger: IntervalTrigger

    def after(self, moment: datetime) -> datetime | None:
        try:
            found = _utc(self.trigger.get_next_fire_time(None, moment + TICK))
            # Of intervals that floating point cannot tell from each other.
            return found if found is None or found > moment else _utc(self.trigger.get_next_fire_time(moment, moment))
        except (ValueError, OverflowError):
            # After the last year that there is.
            return None


def schedule_of(trigger_type: str, parameters: Mapping[str, Any], start: datetime, zone: str | None) -> Schedule:
    """The schedule that a trigger of one of TYPES asks for.

    :param start: from which an interval counts.
    :param zone: the time zone of triggers that name none; None for this host's.

    Raises ValueError that says what is wrong with the parameters.
    """
    local = _zone(parameters.get("timezone") or zone)
    asked = {name: value for name, value in parameters.items() if name != "timezone" and value is not None}
    try:
        if trigger_type == DATE:
            return Once(_date(asked["date"], local))
        if trigger_type == CRON:
            return _cron(asked, local)
        return _every(asked["unit"], asked["delta"], start)
    except (KeyError, TypeError, OverflowError) as exception:
        raise ValueError(f"{exception!r} in {asked}") from exception
    except ValueError as exception:
        # APScheduler names a value, and not whose it is.
        raise ValueError(f"{exception} in {asked}") from exception


def _cron(fields: Mapping[str, Any], zone: tzinfo) -> Cron:
    if not fields:
        raise ValueError("no field is given, which would be each second; give one, as in minute=0")
    return Cron(fields, zone)


def _every(unit: str, delta: int, start: datetime) -> Every:
    if delta < 1:
        raise ValueError("delta must be 1 or more")
    every = Every(IntervalTrigger(**{unit: delta}, start_date=start, timezone=UTC))
    if every.after(start) is None:
        raise ValueError(f"{delta} {unit} is longer than the calendar")
    return every


def _date(text: str, zone: tzinfo) -> datetime:
    """A date that names year, month and day, in UTC."""
    first, second = (parser.parse(text, default=default, tzinfos=_offset_of) for default in NO_DATES)
    if first != second:
        raise ValueError(f"{text!r} is no whole date; write it as in 2026-12-31 23:59:59")
    date: datetime = first if first.tzinfo else first.replace(tzinfo=zone)
    return date.astimezone(UTC)


def _offset_of(name: str | None, offset: int | None) -> int | None:
    """Seconds from UTC of a zone as a date names it. Raises ValueError for an abbreviation that may be several."""
    if offset is None and name is not None and name not in ("UTC", "GMT", "Z"):
        raise ValueError(f"{name} is no time zone; write an offset, as in +01:00, or set timezone")
    return 0 if offset is None and name is not None else offset


def latest(schedule: Schedule, after: datetime, until: datetime) -> datetime | None:
    """The last time after one moment and not after another; None when there is none.

    By bisection: a timer that was away for years is asked some dozen times, not for each of its times.
    """
    last = None
    found = _within(schedule, after, until)
    while found is not None:
        last = found
        middle = last + (until - last) / 2
        found = _within(schedule, middle, until)
        if found is None:
            until = middle
            found = _within(schedule, last, until)
    return last


def _within(schedule: Schedule, after: datetime, until: datetime) -> datetime | None:
    found = schedule.after(after)
    return found if found is not None and found <= until else None


def _zone(name: str | None) -> tzinfo:
    try:
        return ZoneInfo(name) if name else get_localzone()
    except (LookupError, ValueError, TypeError, OSError) as exception:
        raise ValueError(f"there is no time zone {name!r}: {exception}; write one as in Europe/Berlin") from exception


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)
