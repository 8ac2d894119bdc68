"""The datastore as sensors see it: keys of their own, and keys that all sensors share. Runs in the container."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from st2sensor.datastore.keyring import Keyring
from st2sensor.errors import DatastoreRefused
from st2sensor.models import SYSTEM_SCOPE, Batch, Change, KeyValue
from st2sensor.portable.isotime import utc_now
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
    """An entry as a sensor receives it.

    :param encrypted: whether its value is ciphertext.
    """

    entry: KeyValue
    encrypted: bool


class SensorKeys:
    """Reads and writes keys for sensors. Calls block.

    Every method raises StorageUnavailable if the database cannot be reached, StorageError if the database refuses the
    operation, ValueError or TypeError for an invalid name, value, ttl or scope, and DatastoreRefused if the sensor
    lacks the permission.

    :param now: returns the time that decides which entries have expired.
    """

    def __init__(self, storage: Storage, keyring: Keyring, now: Callable[[], datetime] = utc_now) -> None:
        self._storage = storage
        self._keyring = keyring
        self._now = now

    def get(self, asker: Asker, name: str, *, local: bool, scope: str, decrypt: bool) -> Found | None:
        """Return an entry, or None if it does not exist.

        :param local: whether the key is the sensor's own.
        :param decrypt: whether to decrypt a secret.
        """
        stored = stored_name(asker, name, local, scope)
        if decrypt and not local:
            may_decrypt(asker, stored)
        entry = self._storage.get_value(SYSTEM_SCOPE, stored, self._now())
        if entry is None or not entry.secret:
            return None if entry is None else Found(entry=entry, encrypted=False)
        if not decrypt:
            # StackStorm does the same.
            return Found(entry=entry, encrypted=True)
        return Found(entry=replace(entry, value=self._keyring.decrypt(stored, entry.value)), encrypted=False)

    def set(
        self, asker: Asker, name: str, value: str, *, local: bool, scope: str, ttl: float | None, encrypt: bool
    ) -> Change:
        """Insert or replace an entry.

        :param ttl: seconds until the entry expires; None and 0 for never.
        """
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
        """Replace a value. Returns None, and does nothing, if the current value is not `expected`.

        :param expected: the required current value; None if the entry must not exist.
        """
        stored = own_name(asker, name, local, SYSTEM_SCOPE)
        check_expected(expected)
        check_value(value)
        entry = KeyValue(name=stored, value=value, expire_timestamp=expiry(self._now(), ttl))
        return self._storage.swap_value(entry, expected, self._now())

    def list(self, asker: Asker, *, local: bool, prefix: str | None, limit: int | None, offset: int) -> list[Found]:
        """Return entries by name: at most `limit`, after the first `offset`. Secrets stay ciphertext."""
        start = start_of_page(asker, local, prefix, limit, offset)
        found = self._storage.list_values(SYSTEM_SCOPE, start, self._now(), limit=limit, offset=offset)
        return [Found(entry=entry, encrypted=entry.secret) for entry in found]

    def delete(self, asker: Asker, name: str, *, local: bool, scope: str) -> Change | None:
        """Delete an entry. Returns None if it did not exist."""
        stored = own_name(asker, name, local, scope)
        removed = self._storage.remove_value(SYSTEM_SCOPE, stored, self._now())
        return None if removed is None else Change(old=removed, new=None)

    def begin(self, asker: Asker, draft: Batch, *, local: bool, is_expected: bool) -> Batch | None:
        """Store a batch, which is then always carried out. The call may be repeated.

        Returns the stored batch. If another batch must be carried out first, returns that one instead. Returns None,
        and stores nothing, if the current value is not the expected one.

        :param draft: the batch, with the `name` that the sensor uses.
        :param is_expected: whether the current value must be the draft's `expected`.
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
        """Set the key of a batch whose events are dispatched, and delete the batch. The call may be repeated.

        A value that someone else has set meanwhile is kept. Returns the change, or None if nothing was changed.
        """
        entry = KeyValue(name=batch.name, value=batch.value)
        change = self._storage.swap_value(entry, batch.expected, self._now())
        self._storage.remove_batch(batch)
        return change

    def unfinished(self, sensor: str) -> list[Batch]:  # type: ignore[valid-type]
        """Return a sensor's batches that must still be carried out."""
        return self._storage.batches(sensor)
