"""Entities and the datastore's entries in the embedded database."""

from __future__ import annotations

import json
import secrets
import sqlite3
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from st2sensor.errors import LeaseLost
from st2sensor.models import Batch, Change, Entity, KeyValue, Trigger
from st2sensor.storage.base import T
from st2sensor.storage.documents import (
    COLLECTIONS,
    KEY_VALUES,
    LEASES,
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
from st2sensor.storage.sqlite.connection import SPACE, TABLES, Connection, delete, document_of, find, store

SWEEP_EVERY = 60.0
"""Seconds between two looks for entries that have expired."""

LIVE = "coalesce(json_extract(document, '$.expire_timestamp') > ?, 1)"
"""Whether an entry has not expired at some second since the epoch."""


class SqliteStorage:
    """:param path: the database file; its folder is made when missing.

    Raises StorageUnavailable when the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._connection = Connection(path)
        self._locked, self._transaction = self._connection.locked, self._connection.transaction
        self._documents = Documents()
        self._swept_at = 0.0

    def prepare(self) -> None:
        self._connection.prepare()

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
            document = find(connection, collection.name, *_key(ref))
        return next(iter(self._documents.read(kind, [document] if document else [])), None)

    def put(self, entity: Entity) -> None:
        collection = COLLECTIONS[type(entity)]
        present, absent = changes(collection.to_document(entity))
        with self._transaction() as connection:
            document = find(connection, collection.name, entity.pack, entity.name) or {"_id": _new_id()}
            if isinstance(entity, Trigger):
                present["ref_count"] = document.get("ref_count", present["ref_count"])
            merged = {name: value for name, value in document.items() if name not in absent} | present
            store(connection, collection.name, entity.pack, entity.name, merged)

    def rename_trigger(self, old_uid: str, entity: Entity) -> None:
        # The name does not change with the parameters, so the row stays where it is.
        assert old_uid.startswith(f"trigger:{entity.pack}:{entity.name}:")
        self.put(entity)

    def remove(self, kind: type[Entity], ref: str) -> bool:
        with self._locked() as connection:
            return delete(connection, COLLECTIONS[kind].name, *_key(ref))

    def count_reference(self, trigger_ref: str, change: int) -> None:
        table, key = COLLECTIONS[Trigger].name, _key(trigger_ref)
        with self._transaction() as connection:
            document = find(connection, table, *key)
            if document is None:
                return
            document["ref_count"] = document.get("ref_count", 0) + change
            if document["ref_count"] <= 0 and "parameters" in document:
                delete(connection, table, *key)
            else:
                store(connection, table, *key, document)

    def get_value(self, scope: str, name: str, now: datetime) -> KeyValue | None:
        with self._locked() as connection:
            return live(find(connection, KEY_VALUES, scope, name), now)

    def put_value(self, entry: KeyValue, now: datetime) -> Change:
        with self._transaction() as connection:
            self._sweep_now_and_then(connection, now)
            return _replace(connection, find(connection, KEY_VALUES, entry.scope, entry.name), entry, now)

    def swap_value(
        self, entry: KeyValue, expected: str | None, now: datetime, *, secret: bool = False
    ) -> Change | None:
        with self._transaction() as connection:
            document = find(connection, KEY_VALUES, entry.scope, entry.name)
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
        return [key_value(document_of(text)) for (text,) in rows]

    def remove_value(self, scope: str, name: str, now: datetime) -> KeyValue | None:
        with self._transaction() as connection:
            found = live(find(connection, KEY_VALUES, scope, name), now)
            delete(connection, KEY_VALUES, scope, name)
            return found

    def put_batch(self, batch: Batch) -> Batch | None:
        with self._transaction(durable=True) as connection:
            for found in _batches(connection):
                if found.name == batch.name:
                    return None if found.id == batch.id else found
            lease = find(connection, LEASES, SPACE, batch.sensor) or {"_id": batch.sensor}
            if batch.fence not in (None, lease.get("fence")):
                raise LeaseLost(batch.sensor)
            lease["batches"] = [*lease.get("batches", ()), batch_document(batch)]
            store(connection, LEASES, SPACE, batch.sensor, lease)
            return None

    def batches(self, sensor: str | None = None) -> list[Batch]:
        with self._locked() as connection:
            return [batch for batch in _batches(connection) if sensor in (None, batch.sensor)]

    def remove_batch(self, batch: Batch) -> None:
        with self._transaction() as connection:
            lease = find(connection, LEASES, SPACE, batch.sensor)
            if lease is not None:
                lease["batches"] = [kept for kept in lease.get("batches", ()) if kept["_id"] != batch.id]
                store(connection, LEASES, SPACE, batch.sensor, lease)

    def ping(self) -> None:
        with self._locked() as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")

    def _sweep_now_and_then(self, connection: sqlite3.Connection, now: datetime) -> None:
        if not self._swept_at <= now.timestamp() < self._swept_at + SWEEP_EVERY:
            self._swept_at = now.timestamp()
            connection.execute(f"DELETE FROM {KEY_VALUES} WHERE NOT {LIVE}", (self._swept_at,))

    def close(self) -> None:
        self._connection.close()


def _batches(connection: sqlite3.Connection) -> list[Batch]:
    rows = connection.execute(f"SELECT document FROM {LEASES} WHERE json_array_length(document, '$.batches') > 0")
    return [batch_of(document) for (text,) in rows for document in document_of(text)["batches"]]


def _replace(connection: sqlite3.Connection, known: Document | None, entry: KeyValue, now: datetime) -> Change:
    identifier = _new_id() if known is None else known["_id"]
    present, _ = changes(key_value_document(entry))
    store(connection, KEY_VALUES, entry.scope, entry.name, {"_id": identifier} | present)
    return Change(old=live(known, now), new=replace(entry, id=identifier))


def _key(ref: str) -> tuple[str, str]:
    pack, _, name = ref.partition(".")
    return pack, name


def _new_id() -> str:
    return secrets.token_hex(12)
