"""Durations as overrides write them."""

from __future__ import annotations

UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def duration(seconds: float) -> str:
    """Return a duration as overrides write it: in the largest unit that divides it, such as `90s` or `6h`."""
    whole = round(seconds)
    size, unit = next(((size, unit) for size, unit in UNITS if whole and whole % size == 0), UNITS[-1])
    return f"{whole // size}{unit}"
