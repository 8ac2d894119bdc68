"""Storage embedded in one SQLite file: the documents of MongoDB, without a server."""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from st2sensor.errors import StorageError, StorageUnavailable
from st2sensor.models import Entity, KeyValue, Trigger
from st2sensor.storage.base import T
from st2sensor.storage.documents import (
    COLLECTIONS,
    KEY_VALUES,
    Document,
    Documents,
    changes,
    key_value,
    key_value_document,
)

BUSY_TIMEOUT = 30.0
"""Seconds to wait for another process's write."""

TABLE = """
CREATE TABLE IF NOT EXISTS {name} (
    space TEXT NOT NULL, name TEXT NOT NULL, document TEXT NOT NULL, PRIMARY KEY (space, name)
) WITHOUT ROWID
"""


class SqliteStorage:
    """:param path: the database file; its folder is made when missing.

    Raises StorageUnavailable when the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._documents = Documents()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as exception:
            raise StorageUnavailable(f"cannot open the embedded database {path}: {exception}") from exception

    def prepare(self) -> None:
        with self._locked() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            for name in [*(collection.name for collection in COLLECTIONS.values()), KEY_VALUES]:
                connection.execute(TABLE.format(name=name))

    def all(self, kind: type[T]) -> list[T]:
        collection = COLLECTIONS[kind]
        with self._locked() as connection:
            rows = connection.execute(f"SELECT document FROM {collection.name} ORDER BY space, name").fetchall()
        return self._documents.read(kind, (json.loads(text) for (text,) in rows))

    def get(self, kind: type[T], ref: str) -> T | None:
        collection = COLLECTIONS[kind]
        with self._locked() as connection:
            document = _find(connection, collection.name, *_key(ref))
        return next(iter(self._documents.read(kind, [document] if document else [])), None)

    def put(self, entity: Entity) -> None:
        collection = COLLECTIONS[type(entity)]
        present, absent = changes(collection.to_document(entity))
        with self._transaction() as connection:
            document = _find(connection, collection.name, entity.pack, entity.name) or {"_id": _new_id()}
            if isinstance(entity, Trigger):
                present["ref_count"] = document.get("ref_count", present["ref_count"])
            merged = {name: value for name, value in document.items() if name not in absent} | present
            _store(connection, collection.name, entity.pack, entity.name, merged)

    def rename_trigger(self, old_uid: str, entity: Entity) -> None:
        # The name does not change with the parameters, so the row stays where it is.
        assert old_uid.startswith(f"trigger:{entity.pack}:{entity.name}:")
        self.put(entity)

    def remove(self, kind: type[Entity], ref: str) -> bool:
        with self._locked() as connection:
            return _delete(connection, COLLECTIONS[kind].name, *_key(ref))

    def count_reference(self, trigger_ref: str, change: int) -> None:
        table, key = COLLECTIONS[Trigger].name, _key(trigger_ref)
        with self._transaction() as connection:
            document = _find(connection, table, *key)
            if document is None:
                return
            document["ref_count"] = document.get("ref_count", 0) + change
            if document["ref_count"] <= 0 and "parameters" in document:
                _delete(connection, table, *key)
            else:
                _store(connection, table, *key, document)

    def get_value(self, scope: str, name: str) -> KeyValue | None:
        with self._locked() as connection:
            document = _find(connection, KEY_VALUES, scope, name)
        return None if document is None else key_value(document)

    def put_value(self, entry: KeyValue) -> None:
        with self._transaction() as connection:
            known = _find(connection, KEY_VALUES, entry.scope, entry.name) or {"_id": _new_id()}
            document = {"_id": known["_id"]} | key_value_document(entry)
            _store(connection, KEY_VALUES, entry.scope, entry.name, document)

    def list_values(self, scope: str, prefix: str) -> list[KeyValue]:
        query = f"SELECT document FROM {KEY_VALUES} WHERE space = ? AND substr(name, 1, ?) = ? ORDER BY name"
        with self._locked() as connection:
            rows = connection.execute(query, (scope, len(prefix), prefix)).fetchall()
        return [key_value(json.loads(text)) for (text,) in rows]

    def remove_value(self, scope: str, name: str) -> bool:
        with self._locked() as connection:
            return _delete(connection, KEY_VALUES, scope, name)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def _locked(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._lock:
                yield self._connection
        except sqlite3.OperationalError as exception:
            raise StorageUnavailable(f"the embedded database {self._path} cannot be used: {exception}") from exception
        except sqlite3.Error as exception:
            raise StorageError(f"the embedded database {self._path} refused: {exception}") from exception

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._locked() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")


def _find(connection: sqlite3.Connection, table: str, space: str, name: str) -> Document | None:
    row = connection.execute(f"SELECT document FROM {table} WHERE space = ? AND name = ?", (space, name)).fetchone()
    return None if row is None else json.loads(row[0])


def _store(connection: sqlite3.Connection, table: str, space: str, name: str, document: Document) -> None:
    connection.execute(f"REPLACE INTO {table} VALUES (?, ?, ?)", (space, name, json.dumps(document)))


def _delete(connection: sqlite3.Connection, table: str, space: str, name: str) -> bool:
    return connection.execute(f"DELETE FROM {table} WHERE space = ? AND name = ?", (space, name)).rowcount == 1


def _key(ref: str) -> tuple[str, str]:
    pack, _, name = ref.partition(".")
    return pack, name


def _new_id() -> str:
    return secrets.token_hex(12)
