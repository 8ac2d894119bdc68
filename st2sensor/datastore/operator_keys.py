"""The datastore as operators see it: every key in a scope, under the name that is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from st2sensor.datastore.keyring import Keyring
from st2sensor.errors import DatastoreError, KeyNotFound, ValueRefused
from st2sensor.models import SYSTEM_SCOPE, Change, KeyValue
from st2sensor.portable.isotime import utc_now
from st2sensor.portable.keyspace import SCOPES, SEPARATOR, check_name, check_value, expiry
from st2sensor.storage.base import Storage


class OperatorKeys:
    """Reads and writes any key. Calls block.

    Every method raises StorageError if the database fails, and ValueError or TypeError for an invalid argument.
    """

    def __init__(self, storage: Storage, keyring: Keyring, now: Callable[[], datetime] = utc_now) -> None:
        self._storage = storage
        self._keyring = keyring
        self._now = now

    def list(self, scope: str, prefix: str = "", limit: int | None = None) -> list[KeyValue]:
        """Return the entries of a scope, by name. Secrets stay ciphertext.

        :param scope: scope as it is stored.
        """
        if prefix:
            check_name(prefix)
        return self._storage.list_values(scope, prefix, self._now(), limit=limit)

    def get(self, scope: str, name: str) -> KeyValue:
        """Return an entry. A secret stays ciphertext. Raises KeyNotFound."""
        check_name(name)
        entry = self._storage.get_value(scope, name, self._now())
        if entry is None:
            raise _missing(scope, name)
        return entry

    def decrypted(self, entry: KeyValue) -> KeyValue:
        """Return an entry, decrypted if it is a secret. Raises DatastoreError."""
        return replace(entry, value=self._keyring.decrypt(entry.name, entry.value)) if entry.secret else entry

    def entry(
        self, scope: str, name: str, value: str, *, ttl: float | None, encrypt: bool, is_ciphertext: bool
    ) -> KeyValue:
        """Return an entry that can be stored.

        Raises DatastoreError if a key cannot be used, or no key can decrypt the ciphertext.

        :param ttl: seconds until the entry expires; None and 0 for never.
        :param is_ciphertext: whether the value is encrypted already.
        """
        check_name(name)
        check_value(value)
        expires = expiry(self._now(), ttl)
        if is_ciphertext:
            self._keyring.decrypt(name, value)
        elif encrypt:
            value = self._keyring.encrypt(value)
        return KeyValue(name=name, value=value, scope=scope, secret=encrypt or is_ciphertext, expire_timestamp=expires)

    def put(self, entry: KeyValue) -> Change:
        """Insert or replace an entry."""
        return self._storage.put_value(entry, self._now())

    def delete(self, scope: str, name: str) -> Change:
        """Delete an entry. Raises KeyNotFound."""
        check_name(name)
        removed = self._storage.remove_value(scope, name, self._now())
        if removed is None:
            raise _missing(scope, name)
        return Change(old=removed, new=None)

    def move(self, old: str, new: str) -> Sequence[Change]:
        """Give all keys of one sensor to another one, and return the changes. A repeated call finishes an earlier one.

        Raises ValueRefused, and does nothing, if the other sensor has a different value for one of the keys.

        :param old: reference of the sensor that has them, for example `p.S`; `new`, for example `p.S@prod`.
        """
        start, now = f"{old}{SEPARATOR}", self._now()
        found = self._storage.list_values(SYSTEM_SCOPE, start, now)
        moved = [replace(entry, name=f"{new}{SEPARATOR}{entry.name.removeprefix(start)}", id=None) for entry in found]
        for entry in moved:
            check_name(entry.name)
            known = self._storage.get_value(SYSTEM_SCOPE, entry.name, now)
            if known is not None and (known.value, known.secret) != (entry.value, entry.secret):
                raise ValueRefused(f"{entry.name} already has another value; delete one of the two keys")
        # A crash in between leaves some keys twice, but loses none.
        stored = [self._storage.put_value(entry, now) for entry in moved]
        removed = [self._storage.remove_value(SYSTEM_SCOPE, entry.name, now) for entry in found]
        return stored + [Change(old=entry, new=None) for entry in removed if entry is not None]

    def reencrypt(self) -> Iterator[tuple[KeyValue, bool | DatastoreError]]:
        """Encrypt every secret with the current key.

        Yields each secret, and either whether it was changed, or the error that prevented it.
        """
        for scope in SCOPES["all"]:
            for entry in self.list(scope):
                if entry.secret:
                    yield entry, self._reencrypt(entry)

    def _reencrypt(self, entry: KeyValue) -> bool | DatastoreError:
        if self._keyring.is_current(entry.value):
            return False
        try:
            text = self._keyring.decrypt(entry.name, entry.value)
        except DatastoreError as error:
            return error
        renewed = replace(entry, value=self._keyring.encrypt(text))
        # If someone else changes the secret meanwhile, that change encrypts it with the current key.
        return self._storage.swap_value(renewed, entry.value, self._now(), secret=True) is not None


def _missing(scope: str, name: str) -> KeyNotFound:
    return KeyNotFound(f"there is no key {name} in scope {scope}; st2sensor key list shows the existing ones")
