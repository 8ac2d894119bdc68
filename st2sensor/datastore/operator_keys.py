"""The datastore as operators see it: every key of a scope, under the name it is stored by."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime

from st2sensor.datastore.keyring import Keyring
from st2sensor.datastore.sensor_keys import utc_now
from st2sensor.errors import DatastoreError, KeyNotFound
from st2sensor.models import Change, KeyValue
from st2sensor.portable.keyspace import SCOPES, check_name, check_value, expiry
from st2sensor.storage.base import Storage


class OperatorKeys:
    """Calls block. Each raises StorageError for the database, ValueError and TypeError for what cannot be stored."""

    def __init__(self, storage: Storage, keyring: Keyring, now: Callable[[], datetime] = utc_now) -> None:
        self._storage = storage
        self._keyring = keyring
        self._now = now

    def list(self, scope: str, prefix: str = "", limit: int | None = None) -> list[KeyValue]:
        """Secrets are ciphertext. :param scope: as it is stored."""
        if prefix:
            check_name(prefix)
        return self._storage.list_values(scope, prefix, self._now(), limit=limit)

    def get(self, scope: str, name: str) -> KeyValue:
        """A secret is ciphertext. Raises KeyNotFound."""
        check_name(name)
        entry = self._storage.get_value(scope, name, self._now())
        if entry is None:
            raise _missing(scope, name)
        return entry

    def decrypted(self, entry: KeyValue) -> KeyValue:
        """An entry with the text of its secret, if it is one. Raises DatastoreError."""
        return replace(entry, value=self._keyring.decrypt(entry.name, entry.value)) if entry.secret else entry

    def entry(
        self, scope: str, name: str, value: str, *, ttl: float | None, encrypt: bool, is_ciphertext: bool
    ) -> KeyValue:
        """An entry as it is to be stored.

        :param is_ciphertext: the value is encrypted already.

        Raises DatastoreError for a key that cannot be used, and for ciphertext that none of the keys can read.
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
        """Store an entry, whatever was there before."""
        return self._storage.put_value(entry, self._now())

    def delete(self, scope: str, name: str) -> Change:
        """Raises KeyNotFound."""
        check_name(name)
        removed = self._storage.remove_value(scope, name, self._now())
        if removed is None:
            raise _missing(scope, name)
        return Change(old=removed, new=None)

    def reencrypt(self) -> Iterator[tuple[KeyValue, bool | DatastoreError]]:
        """Encrypt every secret under the current key.

        Yields each with whether there was anything to do, or with why it stays as it was.
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
        anew = replace(entry, value=self._keyring.encrypt(text))
        # One that was changed meanwhile was encrypted under the current key by whoever did.
        return self._storage.swap_value(anew, entry.value, self._now(), secret=True) is not None


def _missing(scope: str, name: str) -> KeyNotFound:
    return KeyNotFound(f"there is no key {name} in scope {scope}; st2sensor key list shows those that there are")
