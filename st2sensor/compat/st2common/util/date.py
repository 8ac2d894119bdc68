"""StackStorm's name for times with a zone."""

from datetime import datetime, timezone

from st2sensor.portable.isotime import parse

__all__ = ["add_utc_tz", "convert_to_utc", "get_datetime_utc_now", "parse"]


def get_datetime_utc_now() -> datetime:
    """Now, in UTC."""
    return datetime.now(timezone.utc)


def add_utc_tz(dt: datetime) -> datetime:
    """A time without a zone as one in UTC; others stay."""
    return dt.replace(tzinfo=timezone.utc) if dt.tzinfo is None else dt


def convert_to_utc(dt: datetime) -> datetime:
    """A time in UTC; without a zone it counts as that."""
    return add_utc_tz(dt).astimezone(timezone.utc)
