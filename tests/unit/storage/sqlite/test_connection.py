"""The connection to the embedded database."""

from __future__ import annotations

from pathlib import Path

import pytest

from st2sensor.errors import StorageUnavailable
from st2sensor.storage.sqlite import connection as sqlite_connection
from st2sensor.storage.sqlite.connection import BOUND_ROW, LARGEST, TABLES, Connection, find_all

NORMAL, FULL = 1, 2


@pytest.fixture
def connection(tmp_path: Path) -> Connection:
    opened = Connection(tmp_path / "st2.db")
    opened.prepare()
    return opened


def synchronous(connection: Connection) -> int:
    with connection.locked() as locked:
        (value,) = locked.execute("PRAGMA synchronous").fetchone()
    return int(value)


def test_a_durable_transaction_is_synchronous_and_later_ones_are_not(connection: Connection) -> None:
    with connection.transaction(durable=True) as inside:
        assert inside.execute("PRAGMA synchronous").fetchone() == (FULL,)
    assert synchronous(connection) == NORMAL
    connection.close()


def test_a_failed_durable_transaction_leaves_later_ones_as_they_were(connection: Connection) -> None:
    with pytest.raises(LookupError), connection.transaction(durable=True):
        raise LookupError
    assert synchronous(connection) == NORMAL
    connection.close()


def test_a_durable_transaction_that_cannot_begin_leaves_later_ones_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_connection, "BUSY_TIMEOUT", 0.0)
    connection, other = Connection(tmp_path / "st2.db"), Connection(tmp_path / "st2.db")
    connection.prepare()
    with other.transaction(), pytest.raises(StorageUnavailable), connection.transaction(durable=True):
        pass
    assert synchronous(connection) == NORMAL
    connection.close()
    other.close()


def test_documents_beyond_their_bound_are_named_and_not_read(connection: Connection) -> None:
    connection.prepare()
    table = TABLES[0]
    with connection.locked() as opened:
        for name, size in (("small", 10), ("large", LARGEST)):
            document = '{"text": "' + "x" * size + '"}'
            opened.execute(f"INSERT INTO {table} VALUES ('', ?, ?)", (name, document))
        large, small = find_all(opened, table, BOUND_ROW)
        assert small["text"] == "x" * 10
        assert "text" not in large
        assert "has more than 16,777,216 characters" in large.values()
        assert len(find_all(opened, table)[0]["text"]) == LARGEST
