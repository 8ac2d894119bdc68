"""Creates the indexes of StackStorm's collections and our own, and handles indexes that cannot be created.

Reading needs no index. A unique index cannot be created if other programs have left duplicate documents, or have
created it with other options. In that case a document can be changed only if it has no duplicate. A new document gets
an id derived from its name, so that it cannot be inserted twice.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from typing import Any

from bson import ObjectId
from pymongo import errors
from pymongo.collection import Collection
from pymongo.database import Database

from st2sensor.errors import StorageError
from st2sensor.storage.documents import COLLECTIONS
from st2sensor.storage.fields import Document
from st2sensor.storage.key_values import KEY_VALUES
from st2sensor.storage.members import LEASES
from st2sensor.storage.mongo.failures import is_passing, reason_of

LOG = logging.getLogger("st2sensor.storage")

Keys = list[tuple[str, int]]

AUTHENTICATION_FAILED = 18


class Indexes:
    """Remembers which unique indexes are missing."""

    def __init__(self, database: Database[Document]) -> None:
        self._database = database
        self._missing: dict[str, str] = {}
        """Why a collection lacks the index that prevents duplicates, by the collection's name."""
        self._failed: dict[str, list[str]] = {}
        """Indexes that could not be created, by reason."""

    def create(self) -> None:
        """Create missing indexes, and warn about those that cannot be created."""
        self._failed.clear()
        self._create_all()
        for reason, failed in self._failed.items():
            LOG.warning("indexes cannot be created: %s; reading works without them: %s", reason, ", ".join(failed))

    def _create_all(self) -> None:
        for collection in COLLECTIONS.values():
            for field in collection.indexed:
                self._create(collection.name, [(field, 1)])
            if not collection.ours:
                self._create(collection.name, [("uid", 1)], unique=True, sparse=True)
            self._create(collection.name, [("pack", 1), ("name", 1)], is_identity=True, unique=True)
        self._create(KEY_VALUES, [("name", 1)])
        self._create(KEY_VALUES, [("expire_timestamp", 1)], expireAfterSeconds=0)
        self._create(KEY_VALUES, [("uid", 1)], unique=True, sparse=True)
        self._create(KEY_VALUES, [("scope", 1), ("name", 1)], is_identity=True, unique=True)
        of_batches = {"batches.name": {"$type": "string"}}
        self._create(LEASES, [("batches.name", 1)], is_identity=True, unique=True, partialFilterExpression=of_batches)

    def _create(self, name: str, keys: Keys, *, is_identity: bool = False, **options: Any) -> None:
        try:
            self._database[name].create_index(keys, **options)
        except errors.OperationFailure as exception:
            if is_passing(exception) or exception.code == AUTHENTICATION_FAILED:
                raise
            reason = reason_of(exception)
            fields = " and ".join(field for field, _ in keys)
            self._failed.setdefault(reason, []).append(f"{fields} of {name}")
            if is_identity:
                self._missing[name] = f"its unique index of {fields} cannot be created: {reason}"

    def identifier(self, collection: Collection[Document], key: Mapping[str, str]) -> Document:
        """Return the `_id` of a new document if nothing else prevents duplicates; otherwise an empty document.

        Raises StorageError if the key has duplicates already.
        """
        reason = self._missing.get(collection.name)
        if reason is None:
            return {}
        if collection.count_documents(dict(key), limit=2) > 1:
            raise StorageError(
                f"collection {collection.name} has {'.'.join(key.values())} twice, and {reason}; delete one of them"
            )
        name = "\0".join((collection.name, *key.values())).encode("utf-8", "surrogatepass")
        return {"_id": ObjectId(hashlib.sha256(name).digest()[:12])}

    def check(self, collection: Collection[Document]) -> None:
        """Raise StorageError if nothing prevents duplicates in a collection."""
        reason = self._missing.get(collection.name)
        if reason is not None:
            raise StorageError(f"nothing can be stored in collection {collection.name}: {reason}")
