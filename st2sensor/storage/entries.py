"""Entries of the datastore, and batches, to and from documents. Reading raises Misfit for those that are odd."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from st2sensor.models import Batch, KeyValue
from st2sensor.storage.fields import Document, flag, mappings, moment, optional_text, shown, text

KEY_VALUES = "key_value_pair_d_b"

LAST_CHARACTER = "\U0010ffff"
FIRST_SURROGATE, AFTER_SURROGATES = 0xD800, 0xE000


def key_value_document(entry: KeyValue) -> Document:
    return {
        "uid": entry.uid,
        "scope": entry.scope,
        "name": entry.name,
        "value": entry.value,
        "secret": entry.secret,
        "expire_timestamp": entry.expire_timestamp,
    }


def key_value(document: Mapping[str, Any]) -> KeyValue:
    return KeyValue(
        id=shown(document["_id"]),
        scope=text(document, "scope"),
        name=text(document, "name"),
        value=text(document, "value"),
        secret=flag(document, "secret", False),
        expire_timestamp=moment(document, "expire_timestamp"),
    )


def batch_document(batch: Batch) -> Document:
    return {
        "_id": batch.id,
        "sensor": batch.sensor,
        "name": batch.name,
        "expected": batch.expected,
        "value": batch.value,
        "events": [dict(event) for event in batch.events],
    }


def batch(document: Mapping[str, Any]) -> Batch:
    return Batch(
        id=text(document, "_id"),
        sensor=text(document, "sensor"),
        name=text(document, "name"),
        expected=optional_text(document, "expected"),
        value=text(document, "value"),
        events=mappings(document, "events"),
    )


def batch_documents(lease: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The batches in a sensor's lease."""
    batches = lease.get("batches")
    for document in batches if isinstance(batches, list) else [batches]:
        yield document if isinstance(document, Mapping) else {"_id": lease.get("_id")}


def end_of_prefix(prefix: str) -> str | None:
    """The first text, in the order of code points, that comes after all that begin with prefix; None when there is
    none."""
    kept = prefix.rstrip(LAST_CHARACTER)
    if not kept:
        return None
    following = ord(kept[-1]) + 1
    # Surrogates are no characters: no stored text holds one.
    return kept[:-1] + chr(AFTER_SURROGATES if following == FIRST_SURROGATE else following)
