"""The datastore as sensors see it: keys of their own, and keys that all share. Runs in the container."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from st2sensor.errors import (
    DatastoreError,
    DatastoreUnavailable,
    StorageError,
    StorageUnavailable,
    UnsupportedOption,
)
from st2sensor.models import SYSTEM_SCOPE, KeyValue
from st2sensor.storage.base import Storage

R = TypeVar("R")

SEPARATOR = ":"
"""Between a sensor's reference and the key, in the stored name of a key of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Datastore:
    """Calls block. Each raises DatastoreUnavailable when the database cannot be reached, DatastoreError when it
    refuses, and ValueError for a name or scope that cannot be."""

    storage: Storage

    def get(self, sensor: str, name: str, *, local: bool, scope: str, decrypt: bool) -> KeyValue | None:
        """:param sensor: the reference of the sensor that asks; :param local: whether the key is its own."""
        if decrypt:
            raise UnsupportedOption("decrypt is not supported by this version of st2sensor")
        stored = _stored_name(sensor, name, local, scope)
        return _reaching(lambda: self.storage.get_value(scope, stored))

    def set(
        self, sensor: str, name: str, value: str, *, local: bool, scope: str, ttl: float | None, encrypt: bool
    ) -> None:
        if ttl is not None:
            raise UnsupportedOption("ttl is not supported by this version of st2sensor")
        if encrypt:
            raise UnsupportedOption("encrypt is not supported by this version of st2sensor")
        entry = KeyValue(name=_stored_name(sensor, name, local, scope), value=value, scope=scope)
        _reaching(lambda: self.storage.put_value(entry))

    def list(self, sensor: str, *, local: bool, prefix: str | None) -> list[KeyValue]:
        start = f"{sensor}{SEPARATOR}" if local else ""
        return _reaching(lambda: self.storage.list_values(SYSTEM_SCOPE, start + (prefix or "")))

    def delete(self, sensor: str, name: str, *, local: bool, scope: str) -> bool:
        """False when there was no such key."""
        stored = _stored_name(sensor, name, local, scope)
        return _reaching(lambda: self.storage.remove_value(scope, stored))


def _stored_name(sensor: str, name: str, local: bool, scope: str) -> str:
    if not isinstance(name, str) or not name:
        raise ValueError(f"a datastore key must be a non-empty string, not {name!r}")
    if scope != SYSTEM_SCOPE:
        raise ValueError(f"scope {scope!r} is not one that sensors have; use {SYSTEM_SCOPE!r}")
    return f"{sensor}{SEPARATOR}{name}" if local else name


def _reaching(call: Callable[[], R]) -> R:
    try:
        return call()
    except StorageUnavailable as exception:
        raise DatastoreUnavailable(str(exception)) from exception
    except StorageError as exception:
        raise DatastoreError(str(exception)) from exception
