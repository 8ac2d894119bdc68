"""Computes when a timer fires, from the parameters of its trigger, as StackStorm defines them. No clock, no I/O."""

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
"""Two defaults for parts that a date omits: if the results differ, a part was omitted."""


class Schedule(Protocol):
    """The times at which a timer fires."""

    def after(self, moment: datetime) -> datetime | None:
        """Return the first time after a moment, in UTC; None if there is none."""


@dataclass(frozen=True, slots=True)
class Once:
    """Fires at one date.

    :param date: in UTC.
    """

    date: datetime

    def after(self, moment: datetime) -> datetime | None:
        return self.date if self.date > moment else None


@dataclass(frozen=True, slots=True)
class Every:
    """Fires at a fixed interval, independent of time zones."""

    trigger: IntervalTrigger

    def after(self, moment: datetime) -> datetime | None:
        try:
            found = _utc(self.trigger.get_next_fire_time(None, moment + TICK))
            # Rounding may return the moment itself for very short intervals.
            return found if found is None or found > moment else _utc(self.trigger.get_next_fire_time(moment, moment))
        except (ValueError, OverflowError):
            # Beyond the last year of the calendar.
            return None


def schedule_of(trigger_type: str, parameters: Mapping[str, Any], start: datetime, zone: str | None) -> Schedule:
    """Return the schedule of a trigger. Raises ValueError for bad parameters.

    :param trigger_type: one of TYPES.
    :param start: the moment from which an interval counts.
    :param zone: the time zone of triggers that name none; None for this host's.
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
        # APScheduler names the value, but not its parameter.
        raise ValueError(f"{exception} in {asked}") from exception


def _cron(fields: Mapping[str, Any], zone: tzinfo) -> Cron:
    if not fields:
        raise ValueError("no field is given, which would mean every second; give one, as in minute=0")
    return Cron(fields, zone)


def _every(unit: str, delta: int, start: datetime) -> Every:
    if delta < 1:
        raise ValueError("delta must be 1 or more")
    every = Every(IntervalTrigger(**{unit: delta}, start_date=start, timezone=UTC))
    if every.after(start) is None:
        raise ValueError(f"{delta} {unit} is longer than the calendar")
    return every


def _date(text: str, zone: tzinfo) -> datetime:
    """Parse a date with year, month and day, and return it in UTC."""
    first, second = (parser.parse(text, default=default, tzinfos=_offset_of) for default in NO_DATES)
    if first != second:
        raise ValueError(f"{text!r} is not a complete date; write it as in 2026-12-31 23:59:59")
    date: datetime = first if first.tzinfo else first.replace(tzinfo=zone)
    return date.astimezone(UTC)


def _offset_of(name: str | None, offset: int | None) -> int | None:
    """Return the offset from UTC, in seconds, of a zone in a date. Raises ValueError for an ambiguous abbreviation."""
    if offset is None and name is not None and name not in ("UTC", "GMT", "Z"):
        raise ValueError(f"{name} is not a time zone; write an offset, as in +01:00, or set timezone")
    return 0 if offset is None and name is not None else offset


def latest(schedule: Schedule, after: datetime, until: datetime) -> datetime | None:
    """Return the last time after one moment and not after another; None if there is none.

    Bisection calls a schedule a few dozen times, even if a timer did not run for years.
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
