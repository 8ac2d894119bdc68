"""Reads and writes times as ISO 8601 text, as StackStorm's packs do. Standard library only, CPython 3.9."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Union

TIME = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)[T ](?P<time>\d\d:\d\d:\d\d)(?:\.(?P<fraction>\d{1,6})\d*)?"
    r"\s*(?P<zone>Z|[+-]\d\d(?::?\d\d)?)?"
)


def utc_now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(timezone.utc)


def format(dt: Union[datetime, int, float], usec: bool = True, offset: bool = True) -> str:
    """Return a time as text. A time without a zone counts as UTC.

    :param dt: a time, or seconds since the epoch.
    :param usec: include microseconds.
    :param offset: write the zone as in `+00:00`; otherwise write `Z` for UTC, and nothing for other zones.
    """
    moment = dt if isinstance(dt, datetime) else datetime.fromtimestamp(dt, timezone.utc)
    text = moment.strftime("%Y-%m-%dT%H:%M:%S.%f" if usec else "%Y-%m-%dT%H:%M:%S")
    zone = moment.strftime("%z") or "+0000"
    if offset:
        return f"{text}{zone[:3]}:{zone[3:5]}"
    return f"{text}Z" if moment.tzinfo is None or moment.tzname() == "UTC" else text


def validate(value: Union[str, datetime], raise_exception: bool = True) -> bool:
    """Return whether a value is a time, or a time as text.

    :param raise_exception: raise ValueError instead of returning False.
    """
    if isinstance(value, datetime) or TIME.fullmatch(value):
        return True
    if raise_exception:
        raise ValueError(f"{value!r} is not a time; write it as in 2026-01-31T12:00:00.000000Z")
    return False


def parse(value: Union[str, datetime], preserve_original_tz: bool = False) -> datetime:
    """Return the time that a text represents, in UTC. Text without a zone counts as UTC. Raises ValueError.

    :param preserve_original_tz: keep the zone of the text.
    """
    validate(value)
    moment = value if isinstance(value, datetime) else _parsed(value)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return moment if preserve_original_tz else moment.astimezone(timezone.utc)


def _parsed(text: str) -> datetime:
    match = TIME.fullmatch(text)
    assert match is not None
    zone = (match["zone"] or "Z").replace("Z", "+0000").replace(":", "")
    whole = f"{match['date']} {match['time']}.{match['fraction'] or '0'} {zone:0<5}"
    return datetime.strptime(whole, "%Y-%m-%d %H:%M:%S.%f %z")
