"""The collections that hold entities. A field that is None is absent from the document, never null."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from st2sensor.models import Entity, Instance, Refusal, Registration, Rule, SensorType, Silence, Trigger, TriggerType
from st2sensor.storage.entities import document_of, entity_of
from st2sensor.storage.fields import Document

STACKSTORM_RULES = "rule_d_b"
"""StackStorm's own rules, each with the reference of the trigger that it requests. They are only counted, never
changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """The collection of a kind of entity.

    :param indexed: fields with an index of their own, besides the fields that StackStorm indexes in every collection.
    :param ours: whether StackStorm does not know the collection.
    """

    kind: type[Any]
    name: str
    indexed: tuple[str, ...] = ()
    ours: bool = False

    def to_document(self, entity: Entity) -> Document:
        """Return an entity's document, without its id. None marks a field that must be absent."""
        return document_of(entity)

    def from_document(self, document: Mapping[str, Any]) -> Any:
        """Return the entity in a document. Raises Misfit, and KeyError for a document without an id."""
        return entity_of(self.kind, document)


COLLECTIONS: dict[type[Any], Collection] = {
    collection.kind: collection
    for collection in (
        Collection(
            kind=SensorType,
            name="sensor_type_d_b",
            indexed=("name", "enabled", "trigger_types", "metadata_file"),
        ),
        Collection(
            kind=TriggerType,
            name="trigger_type_d_b",
            indexed=("metadata_file", "tags.name", "tags.value"),
        ),
        Collection(kind=Trigger, name="trigger_d_b", indexed=("name", "type", "parameters")),
        Collection(kind=Rule, name="st2sensor_rules", ours=True),
        Collection(kind=Registration, name="st2sensor_registrations", ours=True),
        Collection(kind=Instance, name="st2sensor_instances", ours=True),
        Collection(kind=Refusal, name="st2sensor_refusals", ours=True),
        Collection(kind=Silence, name="st2sensor_silences", ours=True),
    )
}


def changes(document: Document) -> tuple[Document, list[str]]:
    """Split a document into the fields to set and the names of the fields to remove."""
    present = {name: value for name, value in document.items() if value is not None}
    return present, [name for name, value in document.items() if value is None]
