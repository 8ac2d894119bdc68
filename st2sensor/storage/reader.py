"""Reads documents. Malformed ones are skipped, with one warning each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

from st2sensor.models import Batch, KeyValue
from st2sensor.storage.base import T
from st2sensor.storage.batches import batch, batch_documents
from st2sensor.storage.documents import COLLECTIONS
from st2sensor.storage.fields import BROKEN, Document, Misfit, shown
from st2sensor.storage.key_values import KEY_VALUES, key_value
from st2sensor.storage.members import LEASES

LOG = logging.getLogger("st2sensor.storage")

REMEMBERED = 10_000
"""Maximum number of malformed documents that are remembered. If there are more, warnings are repeated."""

LONGEST_ID = 200
"""Maximum number of characters of a document's id in a warning."""

R = TypeVar("R")

Fetch = Callable[[int, int | None], Iterable[Mapping[str, Any]]]
"""Reads documents, given the number to skip and the maximum number to read."""


class Reader:
    """For any number of threads."""

    def __init__(self) -> None:
        self._warned: set[tuple[str, str]] = set()
        self._odd_keys = False
        """Whether any entry of the datastore was malformed."""

    def read(self, kind: type[T], documents: Iterable[Mapping[str, Any]]) -> list[T]:
        """Return the entities in documents of one kind."""
        collection = COLLECTIONS[kind]
        return list(self.sound(collection.name, collection.from_document, documents))

    def sound(
        self, collection: str, parse: Callable[[Mapping[str, Any]], R], documents: Iterable[Mapping[str, Any]]
    ) -> Iterator[R]:
        """Yield the values that `parse` returns for documents. Malformed documents are skipped."""
        for document in documents:
            try:
                if BROKEN in document:
                    raise Misfit("the document", document[BROKEN])
                yield parse(document)
            except Misfit as misfit:
                self._warn(collection, document, str(misfit))
            except RecursionError:
                self._warn(collection, document, "it is nested too deeply")
            except KeyError as exception:
                self._warn(collection, document, f"{exception.args[0]} is missing")

    def live(self, document: Mapping[str, Any] | None, now: datetime) -> KeyValue | None:
        """Return the entry in a document. None if it is malformed or has expired: databases delete those later."""
        return next(self._live([] if document is None else [document], now), None)

    def removed(self, document: Mapping[str, Any] | None, scope: str, name: str, now: datetime) -> KeyValue | None:
        """Return a deleted entry; None if there was none, or it had expired. A malformed entry gets an empty value."""
        if document is None:
            return None
        for entry in self.sound(KEY_VALUES, key_value, [document]):
            return None if entry.expire_timestamp and entry.expire_timestamp <= now else entry
        return KeyValue(scope=scope, name=name, value="")

    def page(self, fetch: Fetch, now: datetime, limit: int | None, offset: int) -> list[KeyValue]:
        """Return entries, except malformed and expired ones: at most `limit`, after the first `offset`."""
        if not self._odd_keys:
            documents = list(fetch(offset, limit))
            found = list(self._live(documents, now))
            if len(found) == len(documents):
                return found
            # The database also counts malformed entries, so from now on the entries are counted here.
            self._odd_keys = True
        return list(islice(self._live(fetch(0, None), now), offset, None if limit is None else offset + limit))

    def report_keys(self, documents: Iterable[Mapping[str, Any]]) -> None:
        """Warn of malformed entries of the datastore."""
        for _ in self.sound(KEY_VALUES, key_value, documents):
            pass

    def batches(self, leases: Iterable[Mapping[str, Any]]) -> Iterator[Batch]:
        """Yield the batches in the documents of leases."""
        for lease in leases:
            yield from self.sound(LEASES, batch, batch_documents(lease))

    def _live(self, documents: Iterable[Mapping[str, Any]], now: datetime) -> Iterator[KeyValue]:
        for entry in self.sound(KEY_VALUES, key_value, documents):
            if entry.expire_timestamp is None or entry.expire_timestamp > now:
                yield entry

    def _warn(self, collection: str, document: Mapping[str, Any], problem: str) -> None:
        identifier = _text(document.get("_id"))
        if (collection, identifier) in self._warned:
            return
        if len(self._warned) >= REMEMBERED:
            self._warned.clear()
        self._warned.add((collection, identifier))
        ref = document.get("ref") or document.get("name")
        name = f"{identifier} ({_text(ref)})" if isinstance(ref, str) else identifier
        LOG.warning(
            "collection %s, document %s: %s; it is skipped until it is corrected, registered again, or deleted",
            collection,
            name,
            problem,
        )


def _text(value: Any) -> str:
    """Return a value as one printable line."""
    try:
        text = shown(value)
    except RecursionError:
        text = "?"
    line = text if text.isprintable() else ascii(text)[1:-1]
    return line if len(line) <= LONGEST_ID else f"{line[:LONGEST_ID]}..."


def broken(identifier: str, problem: str) -> Document:
    """Return the stand-in for a document that cannot be read."""
    return {"_id": identifier, BROKEN: problem}
