"""StackStorm's name for helpers for times with a zone."""

from datetime import datetime, timezone

from st2sensor.portable.isotime import parse

__all__ = ["add_utc_tz", "convert_to_utc", "get_datetime_utc_now", "parse"]


def get_datetime_utc_now() -> datetime:
    """Return the current time, in UTC."""
    return datetime.now(timezone.utc)


def add_utc_tz(dt: datetime) -> datetime:
    """Return a time that has a zone unchanged, and any other time as one in UTC."""
    return dt.replace(tzinfo=timezone.utc) if dt.tzinfo is None else dt


def convert_to_utc(dt: datetime) -> datetime:
    """Return a time in UTC. A time without a zone counts as UTC."""
    return add_utc_tz(dt).astimezone(timezone.utc)
