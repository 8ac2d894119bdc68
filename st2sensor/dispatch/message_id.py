"""Makes the ids of messages. They are unique, and grow with time: an index of them grows at its end."""

from __future__ import annotations

import secrets

SLOT = 4
"""Seconds that share the beginning of an id."""

TIME_DIGITS, RANDOM_DIGITS = 5, 27
"""Numbers of hexadecimal digits. The time begins again after 48 days; the rest alone makes an id unique."""


def message_id(at: float, number: int | None = None) -> str:
    """Return the id of a message, in 32 hexadecimal digits.

    :param at: the time of dispatch, in seconds since the epoch.
    :param number: what makes it unique, less than 2**108; None for a random number.
    """
    number = secrets.randbits(4 * RANDOM_DIGITS) if number is None else number
    return f"{int(at // SLOT) % (1 << 4 * TIME_DIGITS):05x}{number:027x}"
