"""Finds one document by a command, without a cursor: pymongo spends more than a quarter of a call on a cursor."""

from __future__ import annotations

from typing import Any

from pymongo import errors
from pymongo.collection import Collection

from st2sensor.storage.fields import Document
from st2sensor.storage.mongo.failures import NOT_SENT, is_passing


class Finder:
    """For any thread.

    :param collection: where to look; its options hold, as for `Collection.find_one`.
    """

    def __init__(self, collection: Collection[Document]) -> None:
        self._collection = collection
        self._database = collection.database
        self._repeats = self._database.client.options.retry_reads
        self._command: dict[str, Any] = {"find": collection.name, "limit": 1, "singleBatch": True}
        concern = collection.read_concern.document
        if concern:
            self._command["readConcern"] = concern

    def find_one(self, query: Document) -> Document | None:
        """Return one document, or None. Raises the errors of pymongo."""
        try:
            return self._ask(query)
        except errors.PyMongoError as exception:
            # As for its own reads, which pymongo repeats once, unless the URL forbids it.
            if not self._repeats or isinstance(exception, NOT_SENT) or not is_passing(exception):
                raise
            return self._ask(query)

    def _ask(self, query: Document) -> Document | None:
        answer = self._database.command(
            {**self._command, "filter": query},
            read_preference=self._collection.read_preference,
            codec_options=self._collection.codec_options,
        )
        found: list[Document] = answer["cursor"]["firstBatch"]
        return found[0] if found else None
