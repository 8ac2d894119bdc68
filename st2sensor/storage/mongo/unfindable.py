"""Finds the entries of the datastore that no query by scope and name returns, because one of the two is not text."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from pymongo.collection import Collection

from st2sensor.storage.fields import Document
from st2sensor.storage.mongo.decoding import all_plain

LOOK_INTERVAL = 60.0
"""Seconds between two searches."""

MOST_FOUND = 1000
"""Maximum number of documents that one search returns."""

NOT_TEXT = (
    *("double", "object", "array", "binData", "objectId", "bool", "date", "null", "regex", "javascript"),
    *("javascriptWithScope", "int", "timestamp", "long", "decimal", "minKey", "maxKey"),
)
"""All types of values except text. Unlike "not text", these types can be looked up in an index."""

QUERY: Document = {
    "$or": [
        condition for field in ("scope", "name") for condition in ({field: None}, {field: {"$type": list(NOT_TEXT)}})
    ]
}


class Unfindable:
    """For any thread.

    :param clock: returns seconds; the time of the monotonic clock by default.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._look_at = clock()
        self._lock = threading.Lock()

    def documents(self, entries: Collection[Document]) -> Iterator[Document]:
        """Yield these entries; none if the last search was less than LOOK_INTERVAL ago."""
        if self._is_due():
            yield from all_plain(entries.find(QUERY, limit=MOST_FOUND))

    def _is_due(self) -> bool:
        with self._lock:
            now = self._clock()
            if now < self._look_at:
                return False
            self._look_at = now + LOOK_INTERVAL
            return True
