"""Keys that move from one sensor to another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from st2sensor.datastore.keyring import Keyring
from st2sensor.datastore.operator_keys import OperatorKeys
from st2sensor.errors import ValueRefused
from st2sensor.models import SYSTEM_SCOPE, KeyValue
from st2sensor.portable.isotime import utc_now
from st2sensor.settings import KeyValues
from st2sensor.storage.sqlite.storage import SqliteStorage

LATER = (utc_now() + timedelta(days=1)).replace(microsecond=0)


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[SqliteStorage]:
    with closing(SqliteStorage(tmp_path / "st2.db")) as opened:
        opened.prepare()
        yield opened


def put(storage: SqliteStorage, name: str, value: str, *, secret: bool = False, until: datetime | None = None) -> None:
    storage.put_value(KeyValue(name=name, value=value, secret=secret, expire_timestamp=until), utc_now())


def names(storage: SqliteStorage) -> dict[str, str]:
    return {entry.name: entry.value for entry in storage.list_values(SYSTEM_SCOPE, "", utc_now())}


def keys(storage: SqliteStorage, tmp_path: Path) -> OperatorKeys:
    return OperatorKeys(storage, Keyring(KeyValues(encryption_key_path=tmp_path / "none.json", enable_encryption=True)))


def test_keys_move_with_their_secrets_and_times(storage: SqliteStorage, tmp_path: Path) -> None:
    put(storage, "p.S:a", "1", until=LATER)
    put(storage, "p.S:b", "cipher", secret=True)
    put(storage, "p.S2:a", "other")
    put(storage, "p.S@other:a", "other")
    changes = keys(storage, tmp_path).move("p.S", "p.S@one")
    assert len(changes) == 4
    assert names(storage) == {"p.S@one:a": "1", "p.S@one:b": "cipher", "p.S2:a": "other", "p.S@other:a": "other"}
    moved = storage.get_value(SYSTEM_SCOPE, "p.S@one:a", utc_now())
    assert moved is not None
    assert moved.expire_timestamp == LATER
    secret = storage.get_value(SYSTEM_SCOPE, "p.S@one:b", utc_now())
    assert secret is not None
    assert secret.secret


def test_a_key_with_another_value_is_not_replaced(storage: SqliteStorage, tmp_path: Path) -> None:
    put(storage, "p.S:a", "1")
    put(storage, "p.S:b", "2")
    put(storage, "p.S@one:b", "3")
    with pytest.raises(ValueRefused, match="p.S@one:b already has another value"):  # noqa: RUF043
        keys(storage, tmp_path).move("p.S", "p.S@one")
    assert names(storage) == {"p.S:a": "1", "p.S:b": "2", "p.S@one:b": "3"}
    # A move that was interrupted can be repeated.
    put(storage, "p.S@one:b", "2")
    keys(storage, tmp_path).move("p.S", "p.S@one")
    assert names(storage) == {"p.S@one:a": "1", "p.S@one:b": "2"}
