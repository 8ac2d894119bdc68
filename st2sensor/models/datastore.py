"""Entries of the datastore, and how they change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from st2sensor.portable import keyspace

SYSTEM_SCOPE, USER_SCOPE = keyspace.SYSTEM_SCOPE, keyspace.USER_SCOPE


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyValue:
    """An entry of the datastore.

    :param secret: whether the value is encrypted.
    :param expire_timestamp: when the entry expires, in UTC and whole milliseconds; None for never.
    """

    name: str
    value: str
    scope: str = SYSTEM_SCOPE
    secret: bool = False
    expire_timestamp: datetime | None = None
    id: str | None = field(default=None, compare=False)

    @property
    def uid(self) -> str:
        return f"key_value_pair:{self.scope}:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An entry before and after a change. None means that there was, or is, no entry."""

    old: KeyValue | None
    new: KeyValue | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Events and a datastore entry that take effect together. A stored batch is always carried out.

    Any container may carry it out, more than once.

    :param id: unique id of the batch.
    :param sensor: reference of the sensor.
    :param name: name of the entry, as it is stored.
    :param expected: the value that the new one replaces; None if there was no entry.
    :param events: the events to dispatch, as mappings.
    :param fence: fence of the lease under which it is stored; None if sensors are not shared.
    """

    id: str
    sensor: str
    name: str
    expected: str | None
    value: str
    events: tuple[Mapping[str, Any], ...]
    fence: int | None = field(default=None, compare=False)
