"""Entities and the datastore's entries in MongoDB."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from typing import Any, TypeVar

from bson import ObjectId
from pymongo import ReadPreference, UpdateOne, errors
from pymongo.collection import Collection
from pymongo.read_concern import ReadConcern

from st2sensor.errors import LeaseLost, StorageError
from st2sensor.models import Batch, Change, Entity, KeyValue, Rule, Trigger
from st2sensor.storage.base import T
from st2sensor.storage.batches import batch_document
from st2sensor.storage.documents import COLLECTIONS, STACKSTORM_RULES, changes
from st2sensor.storage.fields import Document
from st2sensor.storage.key_values import KEY_VALUES, end_of_prefix, key_value_document
from st2sensor.storage.members import LEASES
from st2sensor.storage.mongo.connection import Connection
from st2sensor.storage.mongo.decoding import all_plain, plain
from st2sensor.storage.mongo.entities import change_of, key_of
from st2sensor.storage.mongo.finder import Finder
from st2sensor.storage.mongo.indexes import Indexes
from st2sensor.storage.mongo.unfindable import Unfindable
from st2sensor.storage.reader import Reader

R = TypeVar("R")

ANSWER_TIMEOUT = 10.0
"""Seconds within which a server must answer. A hanging server counts as unreachable."""

UPSERTS = 100
"""Maximum number of attempts for an upsert that loses races."""

BARRIER = "st2sensor_barrier"
"""Collection of one document. It is written before reads that must not miss a write still waiting for its majority."""

WELL_FORMED: Document = {
    "value": {"$type": "string"},
    "secret": {"$in": [True, False, None]},
    "$or": [{"expire_timestamp": None}, {"expire_timestamp": {"$type": "date"}}],
}
"""Query for well-formed entries of the datastore."""


class MongoStorage:
    """Implements the Storage protocol. Raises ConfigError.

    :param url: `mongodb://...`.
    :param database: name of the database, unless the URL names one, as in StackStorm.
    :param timeout: seconds to find a server.
    :param client: pymongo's options besides those in the URL.
    """

    def __init__(self, url: str, *, database: str, timeout: float, client: Mapping[str, Any] | None = None) -> None:
        self._connection = Connection(
            url, database=database, timeout=timeout, answer_timeout=ANSWER_TIMEOUT, client=client
        )
        self._client, self._database = self._connection.client, self._connection.database
        self._failures = self._connection.failures
        self._entries = self._database.get_collection(KEY_VALUES, read_preference=ReadPreference.PRIMARY)
        self._finder = Finder(self._entries)
        # A batch is deleted once its key has been set, so the write that sets the key must not be lost.
        self._safe_entries = self._connection.safe(KEY_VALUES).with_options(read_concern=ReadConcern())
        self._leases = self._connection.safe(LEASES)
        self._barriers = self._connection.safe(BARRIER)
        self._reader = Reader()
        self._unfindable = Unfindable()
        self._indexes = Indexes(self._database)

    def prepare(self) -> None:
        with self._failures():
            self._indexes.create()

    def all(self, kind: type[T]) -> list[T]:
        collection = COLLECTIONS[kind]
        with self._failures():
            found = self._database[collection.name].find(sort=[("pack", 1), ("name", 1)])
            return self._reader.read(kind, all_plain(found))

    def size(self, kind: type[Entity]) -> int:
        with self._failures():
            return self._database[COLLECTIONS[kind].name].estimated_document_count()

    def get(self, kind: type[T], ref: str) -> T | None:
        collection = COLLECTIONS[kind]
        with self._failures():
            found = self._database[collection.name].find(key_of(ref))
            return next(iter(self._reader.read(kind, all_plain(found))), None)

    def put(self, entity: Entity) -> None:
        target = self._database[COLLECTIONS[type(entity)].name]
        with self._failures():
            key, update = change_of(entity, self._indexes, target)
            self._upsert(lambda: target.update_one(key, update, upsert=True))

    def put_all(self, entities: Sequence[Entity]) -> None:
        for kind, alike in groupby(entities, type):
            target = self._database[COLLECTIONS[kind].name]
            with self._failures():
                found = [change_of(entity, self._indexes, target) for entity in alike]
                target.bulk_write([UpdateOne(key, update, upsert=True) for key, update in found], ordered=False)

    def insert(self, entity: Entity) -> bool:
        collection = COLLECTIONS[type(entity)]
        present, _ = changes(collection.to_document(entity))
        key = {"pack": entity.pack, "name": entity.name}
        target = self._database[collection.name]
        with self._failures():
            update = {"$setOnInsert": present | self._indexes.identifier(target, key)}
            done = self._upsert(lambda: target.update_one(key, update, upsert=True))
            return done.upserted_id is not None

    def rename_trigger(self, old_uid: str, entity: Entity) -> None:
        collection = COLLECTIONS[Trigger]
        present, _ = changes(collection.to_document(entity))
        del present["ref_count"]
        with self._failures():
            self._database[collection.name].update_one({"uid": old_uid}, {"$set": present})

    def replace_rule(self, known: Rule, changed: Rule | None) -> bool:
        rules = self._database[COLLECTIONS[Rule].name]
        key = {"pack": known.pack, "name": known.name, "trigger": known.trigger}
        with self._failures():
            if changed is None:
                return rules.delete_one(key).deleted_count == 1
            present, absent = changes(COLLECTIONS[Rule].to_document(changed))
            update: Document = {"$set": present}
            if absent:
                update["$unset"] = dict.fromkeys(absent, "")
            return rules.update_one(key, update).matched_count == 1

    def remove(self, kind: type[Entity], ref: str) -> bool:
        with self._failures():
            return self._database[COLLECTIONS[kind].name].delete_one(key_of(ref)).deleted_count == 1

    def count_reference(self, trigger_ref: str, change: int) -> None:
        triggers = self._database[COLLECTIONS[Trigger].name]
        key = key_of(trigger_ref)
        with self._failures():
            triggers.update_one(key, {"$inc": {"ref_count": change}})
            if change < 0:
                triggers.delete_one(key | {"ref_count": {"$lte": 0}, "parameters": {"$exists": True}})

    def stackstorm_rules(self, trigger: str | None = None) -> int:
        with self._failures():
            return self._database[STACKSTORM_RULES].count_documents({} if trigger is None else {"trigger": trigger})

    def get_value(self, scope: str, name: str, now: datetime) -> KeyValue | None:
        with self._failures():
            return self._reader.live(plain(self._finder.find_one({"scope": scope, "name": name})), now)

    def put_value(self, entry: KeyValue, now: datetime) -> Change:
        key = {"scope": entry.scope, "name": entry.name}
        with self._failures():
            change = self._upsert(lambda: self._replace(self._entries, key, entry, now, insert=True))
        assert change is not None
        return change

    def swap_value(
        self, entry: KeyValue, expected: str | None, now: datetime, *, secret: bool = False
    ) -> Change | None:
        key: Document = {"scope": entry.scope, "name": entry.name}
        if expected is None:
            # An expired or malformed document is replaced.
            key["$or"] = [{"expire_timestamp": {"$lte": now}}, {"$nor": [WELL_FORMED]}]
        else:
            key |= {"value": expected, "secret": True if secret else {"$ne": True}, **_unexpired(now)}
        with self._failures():
            try:
                return self._replace(self._safe_entries, key, entry, now, insert=expected is None)
            except errors.DuplicateKeyError:
                # The entry did not match, so the upsert tried to insert a duplicate.
                return None

    def _replace(
        self, entries: Collection[Document], key: Document, entry: KeyValue, now: datetime, *, insert: bool
    ) -> Change | None:
        present, absent = changes(key_value_document(entry))
        identity = {"_id": ObjectId()}
        if insert:
            identity |= self._indexes.identifier(entries, {"scope": entry.scope, "name": entry.name})
        update: Document = {"$set": present, "$setOnInsert": identity}
        if absent:
            update["$unset"] = dict.fromkeys(absent, "")
        before = entries.find_one_and_update(key, update, upsert=insert)
        if before is None and not insert:
            return None
        known = identity["_id"] if before is None else before["_id"]
        return Change(old=self._reader.live(plain(before), now), new=replace(entry, id=str(known)))

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

        def fetch(skip: int, most: int | None) -> Iterator[Document]:
            return all_plain(self._entries.find(query, sort=[("name", 1)], skip=skip, limit=most or 0))

        with self._failures():
            self._reader.report_keys(self._unfindable.documents(self._entries))
            return self._reader.page(fetch, now, limit, offset)

    def remove_value(self, scope: str, name: str, now: datetime) -> KeyValue | None:
        with self._failures():
            found = self._entries.find_one_and_delete({"scope": scope, "name": name})
            return self._reader.removed(plain(found), scope, name, now)

    def put_batch(self, batch: Batch) -> Batch | None:
        with self._failures():
            self._indexes.check(self._leases)
            for _ in range(UPSERTS):
                if self._push_batch(batch):
                    return None
                for found in self._find_batches({"batches.name": batch.name}):
                    if found.name == batch.name:
                        return None if found.id == batch.id else found
        raise StorageError(
            f"{batch.name} is contended, or the document of {batch.sensor} in {LEASES} is malformed: "
            "the triggers and the cursor could not be stored"
        )

    def _push_batch(self, batch: Batch) -> bool:
        """Add a batch to its sensor's lease. Returns False if the lease has changed, or holds a batch of that name."""
        lease = self._leases.find_one({"_id": batch.sensor}, {"fence": 1, "stored": 1}) or {}
        if batch.fence not in (None, lease.get("fence")):
            raise LeaseLost(batch.sensor)
        # Counting batches makes the database refuse a late attempt whose batch was already stored by another attempt
        # and carried out since.
        key: Document = {"_id": batch.sensor, "stored": lease.get("stored"), "batches.name": {"$ne": batch.name}}
        if batch.fence is not None:
            key["fence"] = batch.fence
        count = lease.get("stored")
        following = (count if isinstance(count, int) else 0) + 1
        update = {"$push": {"batches": batch_document(batch)}, "$set": {"stored": following}}
        with suppress(errors.DuplicateKeyError):
            stored = self._leases.update_one(key, update, upsert=not lease)
            return bool(stored.matched_count or stored.upserted_id)
        return False

    def batches(self, sensor: str | None = None) -> list[Batch]:
        with self._failures():
            if sensor is None:
                return self._find_batches({"batches._id": {"$exists": True}})
            # Incrementing the count also makes a batch that is still on its way to the server come too late.
            self._upsert(lambda: self._leases.update_one({"_id": sensor}, {"$inc": {"stored": 1}}, upsert=True))
            return self._find_batches({"_id": sensor, "batches._id": {"$exists": True}})

    def _find_batches(self, query: Document) -> list[Batch]:
        """Return batches. A majority has all of them, and no write that is waiting for its majority is missed."""
        with self._client.start_session() as session:
            # A majority confirms this write after all earlier ones on the primary, and the session sees them.
            self._barriers.update_one({"_id": BARRIER}, {"$inc": {"passed": 1}}, upsert=True, session=session)
            found = self._leases.find(query, {"batches": 1}, session=session)
            return list(self._reader.batches(all_plain(found)))

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
        for _ in range(UPSERTS):
            # If two upserts of one new key race, one inserts it, and the other is refused. The latter finds the
            # document at its next attempt, unless it was deleted meanwhile.
            with suppress(errors.DuplicateKeyError):
                return update()
        return update()


def _unexpired(now: datetime) -> Document:
    """Return the query for entries that have not expired."""
    return {"expire_timestamp": {"$not": {"$lte": now}}}
