"""The datastore as sensors see it: keys of their own, and keys that all share. Runs in the container."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from st2sensor.errors import DatastoreRefused
from st2sensor.keyring import Keyring
from st2sensor.models import SYSTEM_SCOPE, Batch, Change, KeyValue
from st2sensor.storage.base import Storage

SEPARATOR = ":"
"""Between a sensor's reference and the key, in the stored name of a key of its own."""

NAMESPACE = re.compile(r"[^.:]+\.[^\W\d]\w*:")
"""How the stored names of sensors' own keys begin: PACK.CLASS and the separator."""

NAME_LIMIT = 1024
VALUE_LIMIT = 4 * 1024 * 1024
"""Bytes in UTF-8 of a stored name, and of a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """A sensor, and what an operator allows it.

    :param sensor: its reference.
    :param writes_global: whether it may change keys that all share.
    :param decrypts_global: whether it may decrypt them.
    """

    sensor: str
    writes_global: bool = True
    decrypts_global: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An entry as a sensor gets it.

    :param encrypted: whether its value is the ciphertext.
    """

    entry: KeyValue
    encrypted: bool


MOST = 2**31 - 1
"""Entries in a list, and before it."""


def utc_now() -> datetime:
    return datetime.now(UTC)


class Datastore:
    """Calls block. Each raises StorageUnavailable when the database cannot be reached, StorageError when it refuses,
    ValueError or TypeError for what cannot be a name, value, ttl or scope, and DatastoreRefused for what the sensor may
    not do.

    :param now: the clock that entries expire by.
    """

    def __init__(self, storage: Storage, keyring: Keyring, now: Callable[[], datetime] = utc_now) -> None:
        self._storage = storage
        self._keyring = keyring
        self._now = now

    def get(self, asker: Asker, name: str, *, local: bool, scope: str, decrypt: bool) -> Found | None:
        """:param local: whether the key is the sensor's own."""
        stored = _stored_name(asker, name, local, scope)
        if decrypt and not local:
            _may_decrypt(asker, stored)
        entry = self._storage.get_value(scope, stored, self._now())
        if entry is None or not entry.secret:
            return None if entry is None else Found(entry=entry, encrypted=False)
        if not decrypt:
            # As StackStorm does.
            return Found(entry=entry, encrypted=True)
        return Found(entry=replace(entry, value=self._keyring.decrypt(stored, entry.value)), encrypted=False)

    def set(
        self, asker: Asker, name: str, value: str, *, local: bool, scope: str, ttl: float | None, encrypt: bool
    ) -> Change:
        """:param ttl: seconds that the entry lives; None for ever."""
        stored = _own_name(asker, name, local, scope)
        check_value(value)
        entry = KeyValue(
            name=stored,
            value=self._keyring.encrypt(value) if encrypt else value,
            scope=scope,
            secret=encrypt,
            expire_timestamp=expiry(self._now(), ttl),
        )
        return self._storage.put_value(entry, self._now())

    def compare_and_set(
        self, asker: Asker, name: str, expected: str | None, value: str, *, local: bool, ttl: float | None
    ) -> Change | None:
        """None when the value is not, or no longer, the expected one; expected None is no entry."""
        stored = _own_name(asker, name, local, SYSTEM_SCOPE)
        _check_expected(expected)
        check_value(value)
        entry = KeyValue(name=stored, value=value, expire_timestamp=expiry(self._now(), ttl))
        return self._storage.swap_value(entry, expected, self._now())

    def list(self, asker: Asker, *, local: bool, prefix: str | None, limit: int | None, offset: int) -> list[Found]:
        if prefix is not None and not isinstance(prefix, str):
            raise TypeError(f"prefix must be a string, not {prefix!r}")
        start = _text(prefix or "", "a prefix")
        for what, number in (("limit", 0 if limit is None else limit), ("offset", offset)):
            if not isinstance(number, int) or not 0 <= number <= MOST:
                raise ValueError(f"{what} must be a whole number from 0 to {MOST}, not {number!r}")
        found = self._storage.list_values(
            SYSTEM_SCOPE,
            f"{asker.sensor}{SEPARATOR}{start}" if local else start,
            self._now(),
            limit=limit,
            offset=offset,
        )
        return [Found(entry=entry, encrypted=entry.secret) for entry in found]

    def delete(self, asker: Asker, name: str, *, local: bool, scope: str) -> Change | None:
        """None when there was no such key."""
        stored = _own_name(asker, name, local, scope)
        removed = self._storage.remove_value(scope, stored, self._now())
        return None if removed is None else Change(old=removed, new=None)

    def begin(self, asker: Asker, draft: Batch, *, local: bool, is_expected: bool) -> Batch | None:
        """Store a batch, after which it is carried out whatever happens. May be repeated.

        :param draft: `name` as the sensor gives it, and with `is_expected` the value that it expects.

        None, and nothing stored, when there is another value than the expected one. A batch that is in the way, and has
        to be carried out first, is returned instead of this one.
        """
        stored = _own_name(asker, draft.name, local, SYSTEM_SCOPE)
        _check_expected(draft.expected)
        check_value(draft.value)
        entry = self._storage.get_value(SYSTEM_SCOPE, stored, self._now())
        if entry is not None and (entry.secret or entry.expire_timestamp):
            raise DatastoreRefused(
                f"{stored} cannot be set together with triggers: it is a secret, or has a ttl; delete it first"
            )
        current = None if entry is None else entry.value
        if is_expected and current != draft.expected:
            return None
        batch = replace(draft, name=stored, expected=current)
        return self._storage.put_batch(batch) or batch

    def finish(self, batch: Batch) -> Change | None:
        """Set the key of a batch whose triggers are on their way, and forget it. May be repeated.

        Somebody who has changed the key meanwhile is left alone.
        """
        entry = KeyValue(name=batch.name, value=batch.value)
        change = self._storage.swap_value(entry, batch.expected, self._now())
        self._storage.remove_batch(batch)
        return change

    def unfinished(self, sensor: str) -> list[Batch]:  # type: ignore[valid-type]
        """The batches of a sensor that wait to be carried out."""
        return self._storage.batches(sensor)


def expiry(now: datetime, ttl: float | None) -> datetime | None:
    """When an entry ceases to be. Raises TypeError and ValueError.

    :param ttl: seconds that it lives; None for ever.
    """
    if ttl is None:
        return None
    if isinstance(ttl, bool) or not isinstance(ttl, (int, float)):
        raise TypeError(f"ttl must be a number of seconds, not {ttl!r}")
    try:
        if not math.isfinite(ttl) or ttl <= 0:
            raise ValueError(f"ttl must be more than 0 seconds, not {ttl!r}; leave it away for a key that stays")
        expires = now + timedelta(seconds=ttl)
    except OverflowError as exception:
        raise ValueError("the ttl is too long; leave it away for a key that stays") from exception
    # Databases keep milliseconds; what is cut off must not end a key early.
    return expires + timedelta(microseconds=-expires.microsecond % 1000)


def _stored_name(asker: Asker, name: str, local: bool, scope: str) -> str:
    check_name(name)
    if scope != SYSTEM_SCOPE:
        raise ValueError(f"scope {scope!r} is not one that sensors have; use {SYSTEM_SCOPE!r}")
    stored = f"{asker.sensor}{SEPARATOR}{name}" if local else name
    check_name(stored)
    return stored


def _own_name(asker: Asker, name: str, local: bool, scope: str) -> str:
    """The stored name of a key that a sensor may change."""
    stored = _stored_name(asker, name, local, scope)
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


def _may_decrypt(asker: Asker, stored: str) -> None:
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


def _check_expected(expected: str | None) -> None:
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
