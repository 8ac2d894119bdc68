"""Times, durations, sizes and counts as people read them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence

from st2sensor.reports import Hang

UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))

BARS = " ▁▂▃▄▅▆▇█"


def clock(at: float | None) -> str:
    """Return a time without its date if that is today; empty for None.

    :param at: seconds since the epoch.
    """
    if at is None:
        return ""
    local = time.localtime(at)
    is_today = time.strftime("%Y%m%d", local) == time.strftime("%Y%m%d")
    return time.strftime("%H:%M:%S" if is_today else "%Y-%m-%d %H:%M:%S", local)


def span(seconds: float) -> str:
    """Return a duration in its two largest units: `3 h 12 min`.

    A negative duration, as after a clock change, counts as 0.
    """
    seconds = max(0.0, seconds)
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        # Round first: the result may be a minute.
        seconds = float(f"{seconds:.3g}")
    for (size, unit), (next_size, next_unit) in zip(UNITS, (*UNITS[1:], (1.0, "s")), strict=True):
        if seconds >= size:
            rest = int(seconds % size // next_size)
            return f"{int(seconds // size)} {unit}" + (f" {rest} {next_unit}" if rest else "")
    return f"{seconds:.3g} s"


def ago(at: float | None) -> str:
    """Return how long ago something was, in its largest unit; empty for None.

    :param at: seconds since the epoch.
    """
    if at is None:
        return ""
    seconds = time.time() - at
    if seconds < 1:
        return "now"
    size, unit = next(((size, unit) for size, unit in UNITS if seconds >= size), (1.0, "s"))
    return f"{int(seconds // size)} {unit} ago"


def hang(found: Hang | None) -> str:
    """Return the method that takes too long, and when the sensor last gave a sign of life; empty for None."""
    if found is None:
        return ""
    lasts = span(time.time() - found.since)
    return f"in {found.what} for {lasts}; last sign of life: {ago(found.heard) or 'none'}"


def percent(share: float | None) -> str:
    """Return a percentage with one decimal; empty for None."""
    return "" if share is None else f"{share:.1f}"


def count(number: int, what: str) -> str:
    """Return a number of things: `1 sensor`, `2 sensors`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def size(number: int | None) -> str:
    """Return a number of bytes in MB; empty for None."""
    return "" if number is None else f"{number / 2**20:.1f} MB"


def assignments(values: Mapping[str, object]) -> str:
    """Return named values as `name=value`, in JSON, with spaces between them."""
    return " ".join(f"{name}={json.dumps(value, default=str)}" for name, value in values.items())


def sparkline(counts: Sequence[int], width: int) -> str:
    """Return the newest counts as bars.

    :param width: maximum number of bars.
    """
    shown = list(counts[-width:])
    top = max(shown, default=0) or 1
    return "".join(BARS[-(-count * (len(BARS) - 1) // top)] for count in shown)
