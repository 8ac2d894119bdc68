"""Times, spans and sizes for people."""

from __future__ import annotations

import time

from st2sensor.reports import Hang

UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))

BARS = " ▁▂▃▄▅▆▇█"


def clock(at: float | None) -> str:
    """A time of today by its hour, others with the date; empty for none."""
    if at is None:
        return ""
    local = time.localtime(at)
    is_today = time.strftime("%Y%m%d", local) == time.strftime("%Y%m%d")
    return time.strftime("%H:%M:%S" if is_today else "%Y-%m-%d %H:%M:%S", local)


def span(seconds: float) -> str:
    """A span by its largest unit, and the next one: `3 h 12 min`; one that a changed clock made negative is none."""
    seconds = max(0.0, seconds)
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        # As it is shown, which may make it a minute.
        seconds = float(f"{seconds:.3g}")
    for (size, unit), (next_size, next_unit) in zip(UNITS, (*UNITS[1:], (1.0, "s")), strict=True):
        if seconds >= size:
            rest = int(seconds % size // next_size)
            return f"{int(seconds // size)} {unit}" + (f" {rest} {next_unit}" if rest else "")
    return f"{seconds:.3g} s"


def ago(at: float | None) -> str:
    """How long ago something was, by the largest unit; empty for never."""
    if at is None:
        return ""
    seconds = time.time() - at
    if seconds < 1:
        return "now"
    size, unit = next(((size, unit) for size, unit in UNITS if seconds >= size), (1.0, "s"))
    return f"{int(seconds // size)} {unit} ago"


def hang(found: Hang | None) -> str:
    """What a sensor is in for long, and when it was last heard of; empty for nothing."""
    if found is None:
        return ""
    lasts = span(time.time() - found.since)
    return f"in {found.what} for {lasts}; last sign of life: {ago(found.heard) or 'none'}"


def percent(share: float | None) -> str:
    """A share in percent; empty for none."""
    return "" if share is None else f"{share:.1f}"


def count(number: int, what: str) -> str:
    """A number of things, in the plural where it is not one: `1 sensor`, `2 sensors`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def size(number: int | None) -> str:
    """Bytes as megabytes."""
    return "" if number is None else f"{number / 2**20:.1f} MB"


def sparkline(counts: list[int] | tuple[int, ...], width: int) -> str:
    """Counts as bars, the newest `width` of them."""
    shown = list(counts[-width:])
    top = max(shown, default=0) or 1
    return "".join(BARS[-(-count * (len(BARS) - 1) // top)] for count in shown)
