"""Entities and the datastore's entries in the embedded database."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from st2sensor.errors import LeaseLost
from st2sensor.models import Batch, Change, Entity, KeyValue, Rule, Trigger
from st2sensor.storage.base import T
from st2sensor.storage.batches import batch_document
from st2sensor.storage.documents import COLLECTIONS, changes
from st2sensor.storage.fields import Document, shown
from st2sensor.storage.key_values import KEY_VALUES, end_of_prefix, key_value_document
from st2sensor.storage.members import LEASES
from st2sensor.storage.reader import Reader
from st2sensor.storage.sqlite.connection import (
    BOUND_ROW,
    ROW,
    SPACE,
    TABLES,
    Connection,
    delete,
    documents_of,
    find,
    find_all,
    sound,
    store,
)

SWEEP_EVERY = 60.0
"""Seconds between two deletions of expired entries."""

LIVE = "CASE WHEN json_valid(document) THEN coalesce(json_extract(document, '$.expire_timestamp') > ?, 1) ELSE 1 END"
"""Condition that an entry has not expired at a time in seconds since the epoch. Malformed entries meet it."""

WITH_BATCHES = "CASE WHEN json_valid(document) THEN json_type(document, '$.batches') IS NOT NULL ELSE 0 END"
"""Condition that a lease may hold batches."""


class SqliteStorage:
    """Implements the Storage protocol. Raises StorageUnavailable if the file cannot be opened.

    :param path: the database file. Its folder is created if it is missing.
    """

    def __init__(self, path: Path) -> None:
        self._connection = Connection(path)
        self._locked, self._transaction = self._connection.locked, self._connection.transaction
        self._reader = Reader()
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
            found = find_all(connection, collection.name, BOUND_ROW)
        return self._reader.read(kind, found)

    def size(self, kind: type[Entity]) -> int:
        with self._locked() as connection:
            (count,) = connection.execute(f"SELECT count(*) FROM {COLLECTIONS[kind].name}").fetchone()
        return int(count)

    def get(self, kind: type[T], ref: str) -> T | None:
        collection = COLLECTIONS[kind]
        with self._locked() as connection:
            document = find(connection, collection.name, *_key(ref))
        return next(iter(self._reader.read(kind, [document] if document else [])), None)

    def put(self, entity: Entity) -> None:
        self.put_all([entity])

    def put_all(self, entities: Sequence[Entity]) -> None:
        with self._transaction() as connection:
            for entity in entities:
                collection = COLLECTIONS[type(entity)]
                present, absent = changes(collection.to_document(entity))
                document = sound(find(connection, collection.name, entity.pack, entity.name)) or {"_id": _new_id()}
                if isinstance(entity, Trigger):
                    present["ref_count"] = document.get("ref_count", present["ref_count"])
                merged = {name: value for name, value in document.items() if name not in absent} | present
                store(connection, collection.name, entity.pack, entity.name, merged)

    def insert(self, entity: Entity) -> bool:
        collection = COLLECTIONS[type(entity)]
        present, _ = changes(collection.to_document(entity))
        with self._transaction() as connection:
            if sound(find(connection, collection.name, entity.pack, entity.name)) is not None:
                return False
            store(connection, collection.name, entity.pack, entity.name, {"_id": _new_id(), **present})
            return True

    def rename_trigger(self, old_uid: str, entity: Entity) -> None:
        # The name does not change with the parameters, so the row stays where it is.
        assert old_uid.startswith(f"trigger:{entity.pack}:{entity.name}:")
        self.put(entity)

    def replace_rule(self, known: Rule, changed: Rule | None) -> bool:
        collection = COLLECTIONS[Rule]
        with self._transaction() as connection:
            document = sound(find(connection, collection.name, known.pack, known.name))
            if document is None or document.get("trigger") != known.trigger:
                return False
            if changed is None:
                return delete(connection, collection.name, known.pack, known.name)
            present, absent = changes(collection.to_document(changed))
            merged = {name: value for name, value in document.items() if name not in absent} | present
            store(connection, collection.name, known.pack, known.name, merged)
            return True

    def remove(self, kind: type[Entity], ref: str) -> bool:
        with self._locked() as connection:
            return delete(connection, COLLECTIONS[kind].name, *_key(ref))

    def count_reference(self, trigger_ref: str, change: int) -> None:
        table, key = COLLECTIONS[Trigger].name, _key(trigger_ref)
        with self._transaction() as connection:
            document = sound(find(connection, table, *key))
            if document is None:
                return
            count = document.get("ref_count")
            document["ref_count"] = (count if isinstance(count, int) else 0) + change
            if document["ref_count"] <= 0 and "parameters" in document:
                delete(connection, table, *key)
            else:
                store(connection, table, *key, document)

    def stackstorm_rules(self, trigger: str | None = None) -> int:  # noqa: ARG002
        # StackStorm never writes to an embedded database.
        return 0

    def get_value(self, scope: str, name: str, now: datetime) -> KeyValue | None:
        with self._locked() as connection:
            return self._reader.live(find(connection, KEY_VALUES, scope, name), now)

    def put_value(self, entry: KeyValue, now: datetime) -> Change:
        with self._transaction() as connection:
            self._sweep_now_and_then(connection, now)
            return self._replace(connection, find(connection, KEY_VALUES, entry.scope, entry.name), entry, now)

    def swap_value(
        self, entry: KeyValue, expected: str | None, now: datetime, *, secret: bool = False
    ) -> Change | None:
        with self._transaction() as connection:
            document = find(connection, KEY_VALUES, entry.scope, entry.name)
            current = self._reader.live(document, now)
            found = None if current is None else (current.value, current.secret)
            if found != (None if expected is None else (expected, secret)):
                return None
            return self._replace(connection, document, entry, now)

    def list_values(
        self, scope: str, prefix: str, now: datetime, *, limit: int | None = None, offset: int = 0
    ) -> list[KeyValue]:
        query = f"SELECT {ROW} FROM {KEY_VALUES} WHERE space = ? AND name >= ? AND {LIVE}"
        values: list[object] = [scope, prefix, now.timestamp()]
        end = end_of_prefix(prefix)
        if end is not None:
            query, values = f"{query} AND name < ?", [*values, end]

        def fetch(skip: int, most: int | None) -> Iterator[Document]:
            window = [-1 if most is None else most, skip]
            with self._locked() as connection:
                rows = connection.execute(f"{query} ORDER BY name LIMIT ? OFFSET ?", [*values, *window]).fetchall()
            return documents_of(rows)

        return self._reader.page(fetch, now, limit, offset)

    def remove_value(self, scope: str, name: str, now: datetime) -> KeyValue | None:
        with self._transaction() as connection:
            found = find(connection, KEY_VALUES, scope, name)
            delete(connection, KEY_VALUES, scope, name)
            return self._reader.removed(found, scope, name, now)

    def put_batch(self, batch: Batch) -> Batch | None:
        with self._transaction(durable=True) as connection:
            for found in self._batches(connection):
                if found.name == batch.name:
                    return None if found.id == batch.id else found
            lease = sound(find(connection, LEASES, SPACE, batch.sensor)) or {"_id": batch.sensor}
            if batch.fence not in (None, lease.get("fence")):
                raise LeaseLost(batch.sensor)
            lease["batches"] = [*_list(lease.get("batches")), batch_document(batch)]
            store(connection, LEASES, SPACE, batch.sensor, lease)
            return None

    def batches(self, sensor: str | None = None) -> list[Batch]:
        with self._locked() as connection:
            return [batch for batch in self._batches(connection) if sensor in (None, batch.sensor)]

    def remove_batch(self, batch: Batch) -> None:
        with self._transaction() as connection:
            lease = sound(find(connection, LEASES, SPACE, batch.sensor))
            if lease is not None:
                kept = [other for other in _list(lease.get("batches")) if _id_of(other) != batch.id]
                lease["batches"] = kept
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

    def _batches(self, connection: sqlite3.Connection) -> list[Batch]:
        rows = connection.execute(f"SELECT {ROW} FROM {LEASES} WHERE {WITH_BATCHES}")
        return list(self._reader.batches(documents_of(rows)))

    def _replace(
        self, connection: sqlite3.Connection, known: Document | None, entry: KeyValue, now: datetime
    ) -> Change:
        kept = sound(known)
        identifier = _new_id() if kept is None else shown(kept["_id"])
        present, _ = changes(key_value_document(entry))
        store(connection, KEY_VALUES, entry.scope, entry.name, {"_id": identifier} | present)
        return Change(old=self._reader.live(known, now), new=replace(entry, id=identifier))


def _list(batches: object) -> list[Any]:
    return batches if isinstance(batches, list) else []


def _id_of(batch: object) -> object:
    return batch.get("_id") if isinstance(batch, dict) else None


def _key(ref: str) -> tuple[str, str]:
    pack, _, name = ref.partition(".")
    return pack, name


def _new_id() -> str:
    return secrets.token_hex(12)
