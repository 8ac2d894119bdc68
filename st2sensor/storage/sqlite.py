"""Storage embedded in one SQLite file: the documents of MongoDB, without a server."""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from st2sensor.errors import StorageError, StorageUnavailable
from st2sensor.models import Batch, Change, Entity, KeyValue, Trigger
from st2sensor.storage.base import T
from st2sensor.storage.documents import (
    BATCHES,
    COLLECTIONS,
    KEY_VALUES,
    Document,
    Documents,
    batch_document,
    changes,
    end_of_prefix,
    key_value,
    key_value_document,
    live,
)
from st2sensor.storage.documents import batch as batch_of

BUSY_TIMEOUT = 5.0
"""Seconds to wait for another process's write."""

SWEEP_EVERY = 60.0
"""Seconds between two looks for entries that have expired."""

SPACE = ""
"""Of batches, which have names of their own."""

LIVE = "coalesce(json_extract(document, '$.expire_timestamp') > ?, 1)"
"""Whether an entry has not expired at some second since the epoch."""

TABLES = [*(collection.name for collection in COLLECTIONS.values()), KEY_VALUES, BATCHES]

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
        self._swept_at = 0.0
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
            for name in TABLES:
                connection.execute(TABLE.format(name=name))

    def clear(self) -> None:
        self.prepare()
        with self._transaction() as connection:
            for name in TABLES:
                connection.execute(f"DELETE FROM {name}")

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

    def get_value(self, scope: str, name: str, now: datetime) -> KeyValue | None:
        with self._locked() as connection:
            return live(_find(connection, KEY_VALUES, scope, name), now)

    def put_value(self, entry: KeyValue, now: datetime) -> Change:
        with self._transaction() as connection:
            self._sweep_now_and_then(connection, now)
            return _replace(connection, _find(connection, KEY_VALUES, entry.scope, entry.name), entry, now)

    def swap_value(
        self, entry: KeyValue, expected: str | None, now: datetime, *, secret: bool = False
    ) -> Change | None:
        with self._transaction() as connection:
            document = _find(connection, KEY_VALUES, entry.scope, entry.name)
            current = live(document, now)
            found = None if current is None else (current.value, current.secret)
            if found != (None if expected is None else (expected, secret)):
                return None
            return _replace(connection, document, entry, now)

    def list_values(
        self, scope: str, prefix: str, now: datetime, *, limit: int | None = None, offset: int = 0
    ) -> list[KeyValue]:
        query = f"SELECT document FROM {KEY_VALUES} WHERE space = ? AND name >= ? AND {LIVE}"
        values: list[object] = [scope, prefix, now.timestamp()]
        end = end_of_prefix(prefix)
        if end is not None:
            query, values = f"{query} AND name < ?", [*values, end]
        values += [-1 if limit is None else limit, offset]
        with self._locked() as connection:
            rows = connection.execute(f"{query} ORDER BY name LIMIT ? OFFSET ?", values).fetchall()
        return [key_value(_document(text)) for (text,) in rows]

    def remove_value(self, scope: str, name: str, now: datetime) -> KeyValue | None:
        with self._transaction() as connection:
            found = live(_find(connection, KEY_VALUES, scope, name), now)
            _delete(connection, KEY_VALUES, scope, name)
            return found

    def put_batch(self, batch: Batch) -> Batch | None:
        with self._transaction(durable=True) as connection:
            found = _find(connection, BATCHES, SPACE, batch.name)
            if found is None:
                _store(connection, BATCHES, SPACE, batch.name, batch_document(batch))
            return None if found is None or found["_id"] == batch.id else batch_of(found)

    def batches(self, sensor: str | None = None) -> list[Batch]:
        with self._locked() as connection:
            rows = connection.execute(f"SELECT document FROM {BATCHES}").fetchall()
        found = [batch_of(json.loads(text)) for (text,) in rows]
        return [item for item in found if sensor in (None, item.sensor)]

    def remove_batch(self, batch: Batch) -> None:
        with self._transaction() as connection:
            found = _find(connection, BATCHES, SPACE, batch.name)
            if found is not None and found["_id"] == batch.id:
                _delete(connection, BATCHES, SPACE, batch.name)

    def ping(self) -> None:
        with self._locked() as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")

    def _sweep_now_and_then(self, connection: sqlite3.Connection, now: datetime) -> None:
        if not self._swept_at <= now.timestamp() < self._swept_at + SWEEP_EVERY:
            self._swept_at = now.timestamp()
            connection.execute(f"DELETE FROM {KEY_VALUES} WHERE NOT {LIVE}", (self._swept_at,))

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
    def _transaction(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """:param durable: whether it survives power loss, as others do a little later."""
        with self._locked() as connection:
            if durable:
                connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
            if durable:
                connection.execute("PRAGMA synchronous = NORMAL")


def _find(connection: sqlite3.Connection, table: str, space: str, name: str) -> Document | None:
    row = connection.execute(f"SELECT document FROM {table} WHERE space = ? AND name = ?", (space, name)).fetchone()
    return None if row is None else _document(row[0])


def _document(text: str) -> Document:
    document: Document = json.loads(text)
    if "expire_timestamp" in document:
        document["expire_timestamp"] = datetime.fromtimestamp(document["expire_timestamp"], UTC)
    return document


def _replace(connection: sqlite3.Connection, known: Document | None, entry: KeyValue, now: datetime) -> Change:
    identifier = _new_id() if known is None else known["_id"]
    present, _ = changes(key_value_document(entry))
    _store(connection, KEY_VALUES, entry.scope, entry.name, {"_id": identifier} | present)
    return Change(old=live(known, now), new=replace(entry, id=identifier))


def _store(connection: sqlite3.Connection, table: str, space: str, name: str, document: Document) -> None:
    text = json.dumps(document, default=datetime.timestamp)
    connection.execute(f"REPLACE INTO {table} VALUES (?, ?, ?)", (space, name, text))


def _delete(connection: sqlite3.Connection, table: str, space: str, name: str) -> bool:
    return connection.execute(f"DELETE FROM {table} WHERE space = ? AND name = ?", (space, name)).rowcount == 1


def _key(ref: str) -> tuple[str, str]:
    pack, _, name = ref.partition(".")
    return pack, name


def _new_id() -> str:
    return secrets.token_hex(12)
