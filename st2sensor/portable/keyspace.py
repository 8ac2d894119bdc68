"""Rules for the datastore's keys: their owners, and valid names, values and times to live.

The container follows them, and so does the fake datastore for the tests of packs.
Standard library only, CPython 3.9.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Optional

from st2sensor.errors import DatastoreRefused

INSTANCE = "@"
"""Separates an instance's own name from that of its class."""

SYSTEM_SCOPE = "st2kv.system"
"""The scope of sensors' keys."""

USER_SCOPE = "st2kv.user"
"""The scope of users' keys."""

SENSORS_SCOPES = frozenset(["system", SYSTEM_SCOPE])
"""StackStorm's names for the scope of sensors' keys."""

SCOPES = {"system": (SYSTEM_SCOPE,), "user": (USER_SCOPE,), "all": (SYSTEM_SCOPE, USER_SCOPE)}
"""Scopes by the names that commands use."""

SEPARATOR = ":"
"""Separates the sensor's reference from the key in the stored name of a sensor's own key."""

NAMESPACE = re.compile(r"[^.:]+\.[^\W\d]\w*(@[A-Za-z0-9_-]{1,64})?:")
"""Matches the beginning of the stored name of a sensor's own key: PACK.CLASS or PACK.CLASS@NAME, and the separator."""

NAME_LIMIT = 1024
"""Maximum number of bytes of a stored name, in UTF-8."""

VALUE_LIMIT = 4 * 1024 * 1024
"""Maximum number of bytes of a value, in UTF-8."""

MOST = 2**31 - 1
"""The highest limit and offset of a list."""


@dataclass(frozen=True)
class Asker:
    """A sensor that uses the datastore, and its permissions.

    :param sensor: its reference.
    :param writes_global: whether it may change shared keys.
    :param decrypts_global: whether it may decrypt shared keys.
    """

    sensor: str
    writes_global: bool = True
    decrypts_global: bool = True


def expiry(now: datetime, ttl: Optional[float]) -> Optional[datetime]:
    """Return when an entry expires; None for never. Raises TypeError and ValueError.

    :param ttl: seconds until then; None and 0 for never.
    """
    if ttl is None:
        return None
    if isinstance(ttl, bool) or not isinstance(ttl, (int, float)):
        raise TypeError(f"ttl must be a number of seconds, not {ttl!r}")
    if ttl == 0:
        # As in StackStorm.
        return None
    try:
        if not math.isfinite(ttl) or ttl < 0:
            raise ValueError(f"ttl must be more than 0 seconds, not {ttl!r}; omit it for a key that never expires")
        expires = now + timedelta(seconds=ttl)
    except OverflowError as exception:
        raise ValueError("the ttl is too long; omit it for a key that never expires") from exception
    # Databases store milliseconds. Round up, so that no key expires early.
    return expires + timedelta(microseconds=-expires.microsecond % 1000)


def start_of_page(asker: Asker, local: bool, prefix: Optional[str], limit: Optional[int], offset: int) -> str:
    """Return the beginning of the stored names in a list. Raises TypeError and ValueError for an invalid page."""
    if prefix is not None and not isinstance(prefix, str):
        raise TypeError(f"prefix must be a string, not {prefix!r}")
    start = _text(prefix or "", "a prefix")
    for what, number in (("limit", 0 if limit is None else limit), ("offset", offset)):
        if not isinstance(number, int) or not 0 <= number <= MOST:
            raise ValueError(f"{what} must be a whole number from 0 to {MOST}, not {number!r}")
    return f"{asker.sensor}{SEPARATOR}{start}" if local else start


def stored_name(asker: Asker, name: str, local: bool, scope: str) -> str:
    """Return the name under which a key is stored. Raises ValueError."""
    check_name(name)
    if scope not in SENSORS_SCOPES:
        raise ValueError(f"scope {scope!r} is not available to sensors; use {SYSTEM_SCOPE!r}")
    stored = f"{asker.sensor}{SEPARATOR}{name}" if local else name
    check_name(stored)
    return stored


def own_name(asker: Asker, name: str, local: bool, scope: str) -> str:
    """Return the stored name of a key that the sensor is about to change.

    Raises ValueError, and DatastoreRefused when the sensor may not change it.
    """
    stored = stored_name(asker, name, local, scope)
    if local or stored.startswith(f"{asker.sensor}{SEPARATOR}"):
        return stored
    if NAMESPACE.match(stored):
        raise DatastoreRefused(
            f"{asker.sensor} cannot change {stored}: a key that begins with PACK.CLASS: belongs to that sensor; "
            "a shared key needs another name"
        )
    if not asker.writes_global:
        raise DatastoreRefused(
            f"{asker.sensor} cannot change {stored}: global_write is deny for it, in [datastore] or in its pack's "
            "overrides; it can change its own keys (local=True)"
        )
    return stored


def may_decrypt(asker: Asker, stored: str) -> None:
    """Check that a sensor may decrypt a key. Raises DatastoreRefused."""
    if stored.startswith(f"{asker.sensor}{SEPARATOR}"):
        return
    if NAMESPACE.match(stored):
        raise DatastoreRefused(f"{asker.sensor} cannot decrypt {stored}: it belongs to another sensor")
    if not asker.decrypts_global:
        raise DatastoreRefused(
            f"{asker.sensor} cannot decrypt {stored}: decrypt_global is deny for it, in [datastore] or in its pack's "
            "overrides"
        )


def check_name(name: str) -> None:
    """Check the name of a key. Raises ValueError."""
    if not isinstance(name, str) or not name:
        raise ValueError(f"a datastore key must be a non-empty string, not {name!r}")
    size = len(_text(name, "a datastore key").encode())
    if size > NAME_LIMIT:
        raise ValueError(f"a datastore key of {size} bytes is too long: the limit is {NAME_LIMIT}, namespace included")


def check_expected(expected: Optional[str]) -> None:
    """Check the expected value of a compare-and-set. Raises TypeError and ValueError."""
    if expected is not None:
        if not isinstance(expected, str):
            raise TypeError(f"expected must be a string or None, not {expected!r}")
        _text(expected, "the expected value")


def check_value(value: str) -> None:
    """Check a value. Raises TypeError and ValueError."""
    if not isinstance(value, str):
        raise TypeError(f"a datastore value must be a string, not {value!r}")
    size = len(_text(value, "a datastore value").encode())
    if size > VALUE_LIMIT:
        raise ValueError(f"a datastore value of {size} bytes is too long: the limit is {VALUE_LIMIT}")


def _text(text: str, what: str) -> str:
    """Return a text that databases can store. Raises ValueError for any other."""
    try:
        text.encode()
    except UnicodeEncodeError as exception:
        raise ValueError(f"{what} must be text that UTF-8 can encode: {exception}") from exception
    return text
