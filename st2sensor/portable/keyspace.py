"""Keys of the datastore: whose they are, and what can be a name, a value and a time to live.

The container goes by it, and so does what stands in for it in the tests of packs.
Standard library only, CPython 3.9.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Optional

from st2sensor.errors import DatastoreRefused

SYSTEM_SCOPE = "st2kv.system"
"""The scope of keys that sensors have."""

USER_SCOPE = "st2kv.user"

SENSORS_SCOPES = frozenset(["system", SYSTEM_SCOPE])
"""The names that StackStorm has for the scope of keys that sensors have."""

SCOPES = {"system": (SYSTEM_SCOPE,), "user": (USER_SCOPE,), "all": (SYSTEM_SCOPE, USER_SCOPE)}
"""Scopes as commands name them."""

SEPARATOR = ":"
"""Between a sensor's reference and the key, in the stored name of a key of its own."""

NAMESPACE = re.compile(r"[^.:]+\.[^\W\d]\w*:")
"""How the stored names of sensors' own keys begin: PACK.CLASS and the separator."""

NAME_LIMIT = 1024
VALUE_LIMIT = 4 * 1024 * 1024
"""Bytes in UTF-8 of a stored name, and of a value."""

MOST = 2**31 - 1
"""Entries in a list, and before it."""


@dataclass(frozen=True)
class Asker:
    """A sensor, and what an operator allows it.

    :param sensor: its reference.
    :param writes_global: whether it may change keys that all share.
    :param decrypts_global: whether it may decrypt them.
    """

    sensor: str
    writes_global: bool = True
    decrypts_global: bool = True


def expiry(now: datetime, ttl: Optional[float]) -> Optional[datetime]:
    """When an entry ceases to be. Raises TypeError and ValueError.

    :param ttl: seconds that it lives; None and 0 forever.
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
            raise ValueError(f"ttl must be more than 0 seconds, not {ttl!r}; leave it out for a key that stays")
        expires = now + timedelta(seconds=ttl)
    except OverflowError as exception:
        raise ValueError("the ttl is too long; leave it out for a key that stays") from exception
    # Databases keep milliseconds; what is cut off must not end a key early.
    return expires + timedelta(microseconds=-expires.microsecond % 1000)


def start_of_page(asker: Asker, local: bool, prefix: Optional[str], limit: Optional[int], offset: int) -> str:
    """How the stored names in a list begin. Raises TypeError and ValueError for what cannot be a page."""
    if prefix is not None and not isinstance(prefix, str):
        raise TypeError(f"prefix must be a string, not {prefix!r}")
    start = _text(prefix or "", "a prefix")
    for what, number in (("limit", 0 if limit is None else limit), ("offset", offset)):
        if not isinstance(number, int) or not 0 <= number <= MOST:
            raise ValueError(f"{what} must be a whole number from 0 to {MOST}, not {number!r}")
    return f"{asker.sensor}{SEPARATOR}{start}" if local else start


def stored_name(asker: Asker, name: str, local: bool, scope: str) -> str:
    """The name that a key is stored by. Raises ValueError."""
    check_name(name)
    if scope not in SENSORS_SCOPES:
        raise ValueError(f"scope {scope!r} is not one that sensors have; use {SYSTEM_SCOPE!r}")
    stored = f"{asker.sensor}{SEPARATOR}{name}" if local else name
    check_name(stored)
    return stored


def own_name(asker: Asker, name: str, local: bool, scope: str) -> str:
    """The name that a key which the sensor may change is stored by. Raises ValueError and DatastoreRefused."""
    stored = stored_name(asker, name, local, scope)
    if local or stored.startswith(f"{asker.sensor}{SEPARATOR}"):
        return stored
    if NAMESPACE.match(stored):
        raise DatastoreRefused(
            f"{asker.sensor} cannot change {stored}: what begins with PACK.CLASS: is that sensor's own; "
            "a key that sensors share begins otherwise"
        )
    if not asker.writes_global:
        raise DatastoreRefused(
            f"{asker.sensor} cannot change {stored}: global_write is deny for it, in [datastore] or in its pack's "
            "overrides; keys of its own (local=True) it can"
        )
    return stored


def may_decrypt(asker: Asker, stored: str) -> None:
    """Raises DatastoreRefused for a key that all share, or another's, which the sensor may not decrypt."""
    if stored.startswith(f"{asker.sensor}{SEPARATOR}"):
        return
    if NAMESPACE.match(stored):
        raise DatastoreRefused(f"{asker.sensor} cannot decrypt {stored}: it is another sensor's own")
    if not asker.decrypts_global:
        raise DatastoreRefused(
            f"{asker.sensor} cannot decrypt {stored}: decrypt_global is deny for it, in [datastore] or in its pack's "
            "overrides"
        )


def check_name(name: str) -> None:
    """Raises ValueError for what cannot be a name."""
    if not isinstance(name, str) or not name:
        raise ValueError(f"a datastore key must be a non-empty string, not {name!r}")
    size = len(_text(name, "a datastore key").encode())
    if size > NAME_LIMIT:
        raise ValueError(f"a datastore key of {size} bytes is too long: {NAME_LIMIT} is the limit, namespace included")


def check_expected(expected: Optional[str]) -> None:
    """Raises TypeError and ValueError for what no value can be."""
    if expected is not None:
        if not isinstance(expected, str):
            raise TypeError(f"expected must be a string or None, not {expected!r}")
        _text(expected, "the expected value")


def check_value(value: str) -> None:
    """Raises TypeError and ValueError for what cannot be a value."""
    if not isinstance(value, str):
        raise TypeError(f"a datastore value must be a string, not {value!r}")
    size = len(_text(value, "a datastore value").encode())
    if size > VALUE_LIMIT:
        raise ValueError(f"a datastore value of {size} bytes is too long: {VALUE_LIMIT} is the limit")


def _text(text: str, what: str) -> str:
    """Raises ValueError for text that no database takes."""
    try:
        text.encode()
    except UnicodeEncodeError as exception:
        raise ValueError(f"{what} must be text that UTF-8 has a form for: {exception}") from exception
    return text
