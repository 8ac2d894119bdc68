"""The datastore as sensors see it: keys of their own, and keys that all share. Runs in the container."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from st2sensor.datastore.keyring import Keyring
from st2sensor.errors import DatastoreRefused
from st2sensor.models import SYSTEM_SCOPE, Batch, Change, KeyValue
from st2sensor.portable.keyspace import (
    Asker,
    check_expected,
    check_value,
    expiry,
    may_decrypt,
    own_name,
    start_of_page,
    stored_name,
)
from st2sensor.storage.base import Storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An entry as a sensor gets it.

    :param encrypted: whether its value is the ciphertext.
    """

    entry: KeyValue
    encrypted: bool


def utc_now() -> datetime:
    return datetime.now(UTC)


class SensorKeys:
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
        stored = stored_name(asker, name, local, scope)
        if decrypt and not local:
            may_decrypt(asker, stored)
        entry = self._storage.get_value(SYSTEM_SCOPE, stored, self._now())
        if entry is None or not entry.secret:
            return None if entry is None else Found(entry=entry, encrypted=False)
        if not decrypt:
            # As StackStorm does.
            return Found(entry=entry, encrypted=True)
        return Found(entry=replace(entry, value=self._keyring.decrypt(stored, entry.value)), encrypted=False)

    def set(
        self, asker: Asker, name: str, value: str, *, local: bool, scope: str, ttl: float | None, encrypt: bool
    ) -> Change:
        """:param ttl: seconds that the entry lives; None and 0 forever."""
        stored = own_name(asker, name, local, scope)
        check_value(value)
        entry = KeyValue(
            name=stored,
            value=self._keyring.encrypt(value) if encrypt else value,
            scope=SYSTEM_SCOPE,
            secret=encrypt,
            expire_timestamp=expiry(self._now(), ttl),
        )
        return self._storage.put_value(entry, self._now())

    def compare_and_set(
        self, asker: Asker, name: str, expected: str | None, value: str, *, local: bool, ttl: float | None
    ) -> Change | None:
        """None when the value is not, or no longer, the expected one; expected None is no entry."""
        stored = own_name(asker, name, local, SYSTEM_SCOPE)
        check_expected(expected)
        check_value(value)
        entry = KeyValue(name=stored, value=value, expire_timestamp=expiry(self._now(), ttl))
        return self._storage.swap_value(entry, expected, self._now())

    def list(self, asker: Asker, *, local: bool, prefix: str | None, limit: int | None, offset: int) -> list[Found]:
        start = start_of_page(asker, local, prefix, limit, offset)
        found = self._storage.list_values(SYSTEM_SCOPE, start, self._now(), limit=limit, offset=offset)
        return [Found(entry=entry, encrypted=entry.secret) for entry in found]

    def delete(self, asker: Asker, name: str, *, local: bool, scope: str) -> Change | None:
        """None when there was no such key."""
        stored = own_name(asker, name, local, scope)
        removed = self._storage.remove_value(SYSTEM_SCOPE, stored, self._now())
        return None if removed is None else Change(old=removed, new=None)

    def begin(self, asker: Asker, draft: Batch, *, local: bool, is_expected: bool) -> Batch | None:
        """Store a batch, after which it is carried out whatever happens. May be repeated.

        :param draft: `name` as the sensor gives it, and with `is_expected` the value that it expects.

        None, and nothing stored, when there is another value than the expected one. A batch that is in the way, and has
        to be carried out first, is returned instead of this one.
        """
        stored = own_name(asker, draft.name, local, SYSTEM_SCOPE)
        check_expected(draft.expected)
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
