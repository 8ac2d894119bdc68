"""The datastore in memory. To sensors it looks like the container's datastore."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Dict, List, Optional

from st2sensor.errors import DatastoreRefused
from st2sensor.portable import isotime
from st2sensor.portable.keyspace import (
    SYSTEM_SCOPE,
    Asker,
    check_expected,
    check_value,
    expiry,
    may_decrypt,
    own_name,
    start_of_page,
    stored_name,
)

Answer = Dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """A stored key.

    :param expires: when the key expires; None for never.
    """

    name: str
    value: str
    secret: bool = False
    expires: Optional[datetime] = None


@dataclass
class Clock:
    """A clock that only moves when it is advanced. It starts at a whole second, so that a ttl ends exactly."""

    now: datetime = field(default_factory=lambda: datetime.now(timezone.utc).replace(microsecond=0))

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class MemoryDatastore:
    """Implements the datastore methods of the wrapper protocol, with their parameters.

    There is no encryption key: a secret is kept as text, and its ciphertext is a placeholder.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: Dict[str, Entry] = {}

    def get(self, asker: Asker, name: str, *, local: bool, scope: str, decrypt: bool) -> Optional[Answer]:
        stored = stored_name(asker, name, local, scope)
        if decrypt and not local:
            may_decrypt(asker, stored)
        entry = self._live(stored)
        return None if entry is None else _answer(entry, decrypt)

    def set(
        self, asker: Asker, name: str, value: str, *, local: bool, scope: str, ttl: Optional[float], encrypt: bool
    ) -> bool:
        stored = own_name(asker, name, local, scope)
        check_value(value)
        self._put(Entry(stored, value, secret=encrypt, expires=expiry(self._clock.now, ttl)))
        return True

    def compare_and_set(
        self, asker: Asker, name: str, expected: Optional[str], value: str, *, local: bool, ttl: Optional[float]
    ) -> bool:
        stored = own_name(asker, name, local, SYSTEM_SCOPE)
        check_expected(expected)
        check_value(value)
        expires = expiry(self._clock.now, ttl)
        entry = self._live(stored)
        if (None if entry is None else (entry.value, entry.secret)) != (
            None if expected is None else (expected, False)
        ):
            return False
        self._put(Entry(stored, value, expires=expires))
        return True

    def list(
        self, asker: Asker, *, local: bool, prefix: Optional[str], limit: Optional[int], offset: int
    ) -> List[Answer]:
        start = start_of_page(asker, local, prefix, limit, offset)
        found = [entry for name, entry in sorted(self._entries.items()) if name.startswith(start) and self._live(name)]
        page = found[offset:] if limit is None else found[offset : offset + limit]
        return [_answer(entry, decrypt=False) for entry in page]

    def delete(self, asker: Asker, name: str, *, local: bool, scope: str) -> bool:
        stored = own_name(asker, name, local, scope)
        was = self._live(stored) is not None
        self._entries.pop(stored, None)
        return was

    def settable(
        self, asker: Asker, name: str, value: str, *, local: bool, is_expected: bool, expected: Optional[str]
    ) -> bool:
        """Return whether a key may be set together with triggers. Raises DatastoreRefused if that is never allowed."""
        stored = own_name(asker, name, local, SYSTEM_SCOPE)
        check_expected(expected)
        check_value(value)
        entry = self._live(stored)
        if entry is not None and (entry.secret or entry.expires):
            raise DatastoreRefused(
                f"{stored} cannot be set together with triggers: it is a secret, or has a ttl; delete it first"
            )
        return not is_expected or (None if entry is None else entry.value) == expected

    def _live(self, stored: str) -> Optional[Entry]:
        entry = self._entries.get(stored)
        return None if entry is None or (entry.expires and entry.expires <= self._clock.now) else entry

    def _put(self, entry: Entry) -> None:
        self._entries[entry.name] = entry


def _answer(entry: Entry, decrypt: bool) -> Answer:
    encrypted = entry.secret and not decrypt
    return {
        "name": entry.name,
        "value": f"<ciphertext of {entry.name}>" if encrypted else entry.value,
        "secret": entry.secret,
        "encrypted": encrypted,
        "expire_timestamp": None if entry.expires is None else isotime.format(entry.expires, offset=False),
    }
