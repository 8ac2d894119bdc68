"""Reads points in time as people write them."""

from __future__ import annotations

import re
import time
from datetime import datetime

import click

AGO = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>s|m|min|h|d)(?:\s+ago)?", re.ASCII)

SECONDS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def moment_of(option: str, text: str | None) -> float | None:
    """Return the point in time that an option names, in seconds since the epoch; None for None.

    :param text: a time ago, as in `90s`, `10m`, `2h` or `7d`; a time of today, as in `14:30`; or ISO 8601, as in
        `2026-11-27` or `2026-11-27T14:30:00Z`. A time without a zone is in this host's zone.

    Raises click.BadParameter for anything else.
    """
    if text is None:
        return None
    stripped = text.strip()
    if match := AGO.fullmatch(stripped):
        return max(0.0, time.time() - float(match["number"]) * SECONDS[match["unit"]])
    try:
        if re.fullmatch(r"\d\d?:\d\d(:\d\d)?", stripped, re.ASCII):
            stripped = f"{time.strftime('%Y-%m-%d')}T{stripped.zfill(5)}"
        return datetime.fromisoformat(stripped).timestamp()
    except (ValueError, OverflowError, OSError):
        raise click.BadParameter(
            f"{text!r} is not a time; write 90s, 30m, 2h or 7d for a time ago, 14:30, or 2026-01-31T12:00:00Z",
            param_hint=option,
        ) from None
