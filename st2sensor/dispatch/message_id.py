"""Makes the ids of messages. They are unique, and grow with time: an index of them grows at its end."""

from __future__ import annotations

import secrets

SLOT = 4
"""Seconds that share the beginning of an id."""

TIME_DIGITS, RANDOM_DIGITS = 5, 27
"""Numbers of hexadecimal digits. The time begins again after 48 days; the rest alone makes an id unique."""

VERSION_BIT = 1 << 4 * (31 - 12)
"""A bit of the digit that is the version of a UUID, which is set in version 5. Random ids lack it, so that none is
taken for an id that follows from an event's key: see `outbox/gate.py`."""


def message_id(at: float, number: int | None = None) -> str:
    """Return the id of a message, in 32 hexadecimal digits.

    :param at: the time of dispatch, in seconds since the epoch.
    :param number: number that makes it unique, less than 2**108; None for a random number.
    """
    number = secrets.randbits(4 * RANDOM_DIGITS) & ~VERSION_BIT if number is None else number
    return f"{int(at // SLOT) % (1 << 4 * TIME_DIGITS):05x}{number:027x}"
