"""The queries and updates for single entities."""

from __future__ import annotations

from pymongo.collection import Collection

from st2sensor.models import Entity, Trigger
from st2sensor.storage.documents import COLLECTIONS, changes
from st2sensor.storage.fields import Document
from st2sensor.storage.mongo.indexes import Indexes


def key_of(ref: str) -> dict[str, str]:
    """Return the query for the document of the entity with a reference."""
    pack, _, name = ref.partition(".")
    return {"pack": pack, "name": name}


def change_of(entity: Entity, indexes: Indexes, collection: Collection[Document]) -> tuple[dict[str, str], Document]:
    """Return the query for an entity's document, and the update that inserts or changes it.

    Raises StorageError if the collection has the entity twice, and nothing prevents that.
    """
    key = {"pack": entity.pack, "name": entity.name}
    present, absent = changes(COLLECTIONS[type(entity)].to_document(entity))
    inserted = indexes.identifier(collection, key)
    if isinstance(entity, Trigger):
        inserted["ref_count"] = present.pop("ref_count")
    update: Document = {"$set": present, "$setOnInsert": inserted}
    if absent:
        update["$unset"] = dict.fromkeys(absent, "")
    return key, update
