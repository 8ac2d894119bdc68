"""Entities and the datastore's entries in MongoDB."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from bson import ObjectId
from pymongo import ReadPreference, WriteConcern, errors
from pymongo.collection import Collection

from st2sensor.errors import LeaseLost, StorageError
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
from st2sensor.storage.mongo.connection import Connection

R = TypeVar("R")

ANSWER_TIMEOUT = 10.0
"""Seconds that a server has to answer; one that hangs is as good as away."""

UPSERTS = 100
"""How often an upsert may lose a race."""


class MongoStorage:
    """:param url: `mongodb://...`.
    :param database: used unless the URL names one, as in StackStorm.
    :param timeout: seconds to find a server.
    :param client: pymongo's options beside the URL's.
    """

    def __init__(self, url: str, *, database: str, timeout: float, client: Mapping[str, Any] | None = None) -> None:
        self._connection = Connection(
            url, database=database, timeout=timeout, answer_timeout=ANSWER_TIMEOUT, client=client
        )
        self._client, self._database = self._connection.client, self._connection.database
        self._failures = self._connection.failures
        self._entries = self._database.get_collection(KEY_VALUES, read_preference=ReadPreference.PRIMARY)
        # A batch is deleted after its key is set: that must not be what is lost.
        self._safe_entries = self._entries.with_options(write_concern=WriteConcern("majority"))
        self._leases = self._connection.safe(LEASES)
        self._documents = Documents()

    def prepare(self) -> None:
        with self._failures():
            for collection in COLLECTIONS.values():
                self._create_indexes(collection.name, collection.indexed, uid=not collection.ours)
            entries = self._database[KEY_VALUES]
            entries.create_index("name")
            entries.create_index("expire_timestamp", expireAfterSeconds=0)
            entries.create_index("uid", unique=True, sparse=True)
            entries.create_index([("scope", 1), ("name", 1)], unique=True)
            of_batches = {"batches.name": {"$type": "string"}}
            self._leases.create_index("batches.name", unique=True, partialFilterExpression=of_batches)

    def _create_indexes(self, name: str, fields: tuple[str, ...], *, uid: bool) -> None:
        collection = self._database[name]
        for field in fields:
            collection.create_index(field)
        if uid:
            collection.create_index("uid", unique=True, sparse=True)
        collection.create_index([("pack", 1), ("name", 1)], unique=True)

    def all(self, kind: type[T]) -> list[T]:
        collection = COLLECTIONS[kind]
        with self._failures():
            found = self._database[collection.name].find(sort=[("pack", 1), ("name", 1)])
            return self._documents.read(kind, found)

    def get(self, kind: type[T], ref: str) -> T | None:
        collection = COLLECTIONS[kind]
        with self._failures():
            document = self._database[collection.name].find_one(_key(ref))
            return next(iter(self._documents.read(kind, [document] if document else [])), None)

    def put(self, entity: Entity) -> None:
        collection = COLLECTIONS[type(entity)]
        present, absent = changes(collection.to_document(entity))
        update: Document = {"$set": present}
        if isinstance(entity, Trigger):
            update["$setOnInsert"] = {"ref_count": present.pop("ref_count")}
        if absent:
            update["$unset"] = dict.fromkeys(absent, "")
        key = {"pack": entity.pack, "name": entity.name}
        self._upsert(lambda: self._database[collection.name].update_one(key, update, upsert=True))

    def rename_trigger(self, old_uid: str, entity: Entity) -> None:
        collection = COLLECTIONS[Trigger]
        present, _ = changes(collection.to_document(entity))
        del present["ref_count"]
        with self._failures():
            self._database[collection.name].update_one({"uid": old_uid}, {"$set": present})

    def remove(self, kind: type[Entity], ref: str) -> bool:
        with self._failures():
            return self._database[COLLECTIONS[kind].name].delete_one(_key(ref)).deleted_count == 1

    def count_reference(self, trigger_ref: str, change: int) -> None:
        triggers = self._database[COLLECTIONS[Trigger].name]
        key = _key(trigger_ref)
        with self._failures():
            triggers.update_one(key, {"$inc": {"ref_count": change}})
            triggers.delete_one(key | {"ref_count": {"$lte": 0}, "parameters": {"$exists": True}})

    def get_value(self, scope: str, name: str, now: datetime) -> KeyValue | None:
        with self._failures():
            return live(self._entries.find_one({"scope": scope, "name": name}), now)

    def put_value(self, entry: KeyValue, now: datetime) -> Change:
        key = {"scope": entry.scope, "name": entry.name}
        change = self._upsert(lambda: self._replace(self._entries, key, entry, now, insert=True))
        assert change is not None
        return change

    def swap_value(
        self, entry: KeyValue, expected: str | None, now: datetime, *, secret: bool = False
    ) -> Change | None:
        key: Document = {"scope": entry.scope, "name": entry.name}
        if expected is None:
            key["expire_timestamp"] = {"$lte": now}
        else:
            key |= {"value": expected, "secret": True if secret else {"$ne": True}, **_unexpired(now)}
        with self._failures():
            try:
                return self._replace(self._safe_entries, key, entry, now, insert=expected is None)
            except errors.DuplicateKeyError:
                # It did not match, and so it was to be inserted beside itself.
                return None

    def _replace(
        self, entries: Collection[Document], key: Document, entry: KeyValue, now: datetime, *, insert: bool
    ) -> Change | None:
        present, absent = changes(key_value_document(entry))
        identifier = ObjectId()
        update: Document = {"$set": present, "$setOnInsert": {"_id": identifier}}
        if absent:
            update["$unset"] = dict.fromkeys(absent, "")
        before = entries.find_one_and_update(key, update, upsert=insert)
        if before is None and not insert:
            return None
        known = identifier if before is None else before["_id"]
        return Change(old=live(before, now), new=replace(entry, id=str(known)))

    def list_values(
        self, scope: str, prefix: str, now: datetime, *, limit: int | None = None, offset: int = 0
    ) -> list[KeyValue]:
        names = {"$gte": prefix}
        end = end_of_prefix(prefix)
        if end is not None:
            names["$lt"] = end
        if limit == 0:
            return []
        query = {"scope": scope, "name": names, **_unexpired(now)}
        with self._failures():
            found = self._entries.find(query, sort=[("name", 1)], skip=offset, limit=limit or 0)
            return [key_value(document) for document in found]

    def remove_value(self, scope: str, name: str, now: datetime) -> KeyValue | None:
        with self._failures():
            return live(self._entries.find_one_and_delete({"scope": scope, "name": name}), now)

    def put_batch(self, batch: Batch) -> Batch | None:
        with self._failures():
            for _ in range(UPSERTS):
                if self._push_batch(batch):
                    return None
                for found in self._find_batches({"batches.name": batch.name}):
                    if found.name == batch.name:
                        return None if found.id == batch.id else found
        raise StorageError(f"{batch.name} is contended: triggers and cursor could not be stored")

    def _push_batch(self, batch: Batch) -> bool:
        """False when something is in its way."""
        lease = self._leases.find_one({"_id": batch.sensor}, {"fence": 1, "stored": 1}) or {}
        if batch.fence not in (None, lease.get("fence")):
            raise LeaseLost(batch.sensor)
        # Counted, so that one which comes late, when it was stored by another attempt and carried out, is refused.
        key: Document = {
            "_id": batch.sensor,
            "stored": lease.get("stored"),
            "batches.name": {"$ne": batch.name},
        }
        if batch.fence is not None:
            key["fence"] = batch.fence
        update = {"$push": {"batches": batch_document(batch)}, "$set": {"stored": lease.get("stored", 0) + 1}}
        with suppress(errors.DuplicateKeyError):
            stored = self._leases.update_one(key, update, upsert=not lease)
            return bool(stored.matched_count or stored.upserted_id)
        return False

    def batches(self, sensor: str | None = None) -> list[Batch]:
        with self._failures():
            return self._find_batches({"batches._id": {"$exists": True}} | ({} if sensor is None else {"_id": sensor}))

    def _find_batches(self, query: Document) -> list[Batch]:
        found = self._leases.find(query, {"batches": 1})
        return [batch_of(document) for lease in found for document in lease["batches"]]

    def remove_batch(self, batch: Batch) -> None:
        with self._failures():
            self._leases.update_one({"_id": batch.sensor}, {"$pull": {"batches": {"_id": batch.id}}})

    def clear(self) -> None:
        with self._failures():
            self._client.drop_database(self._database)

    def ping(self) -> None:
        with self._failures():
            self._database.command("ping")

    def close(self) -> None:
        self._connection.close()

    def _upsert(self, update: Callable[[], R]) -> R:
        with self._failures():
            for _ in range(UPSERTS):
                # Two upserts of one new key race: one inserts, the other is refused and finds it the next time, unless
                # somebody has deleted it meanwhile.
                with suppress(errors.DuplicateKeyError):
                    return update()
            return update()


def _unexpired(now: datetime) -> Document:
    """What matches entries that have not expired."""
    return {"$or": [{"expire_timestamp": None}, {"expire_timestamp": {"$gt": now}}]}


def _key(ref: str) -> dict[str, Any]:
    pack, _, name = ref.partition(".")
    return {"pack": pack, "name": name}
