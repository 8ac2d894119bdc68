"""Converts batches to documents, which are parts of leases, and back. Reading raises Misfit for a wrong field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from st2sensor.models import Batch
from st2sensor.storage.fields import Document, mappings, optional_text, text


def batch_document(batch: Batch) -> Document:
    """Return a batch's document, with its id."""
    return {
        "_id": batch.id,
        "sensor": batch.sensor,
        "name": batch.name,
        "expected": batch.expected,
        "value": batch.value,
        "events": [dict(event) for event in batch.events],
    }


def batch(document: Mapping[str, Any]) -> Batch:
    """Return the batch in a document."""
    return Batch(
        id=text(document, "_id"),
        sensor=text(document, "sensor"),
        name=text(document, "name"),
        expected=optional_text(document, "expected"),
        value=text(document, "value"),
        events=mappings(document, "events"),
    )


def batch_documents(lease: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the documents of a lease's batches."""
    batches = lease.get("batches")
    for document in batches if isinstance(batches, list) else [batches]:
        yield document if isinstance(document, Mapping) else {"_id": lease.get("_id")}
