"""Entities to and from StackStorm's documents: collection names, field names, and which fields stay away when unset.

A field that is None is absent from its document, never null. Reading takes documents that StackStorm wrote.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from st2sensor.models import (
    Batch,
    Entity,
    KeyValue,
    Lease,
    Member,
    Overrides,
    Registration,
    Rule,
    SensorType,
    Trigger,
    TriggerType,
)
from st2sensor.storage.base import T

LOG = logging.getLogger(__name__)

Document = dict[str, Any]

LAST_CHARACTER = "\U0010ffff"
FIRST_SURROGATE, AFTER_SURROGATES = 0xD800, 0xE000


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """Where a kind of entity is kept.

    :param indexed: fields with an index of their own, beside those every kind of StackStorm's has.
    :param ours: a collection that StackStorm does not know.
    """

    name: str
    to_document: Callable[[Any], Document]
    from_document: Callable[[Mapping[str, Any]], Any]
    indexed: tuple[str, ...] = ()
    ours: bool = False


class Documents:
    """Reads documents; one that is not what it should be is passed over, with one warning."""

    def __init__(self) -> None:
        self._warned: set[tuple[str, str]] = set()

    def read(self, kind: type[T], documents: Iterable[Mapping[str, Any]]) -> list[T]:
        """The entities in documents of one kind."""
        entities = []
        for document in documents:
            try:
                entities.append(COLLECTIONS[kind].from_document(document))
            except (KeyError, TypeError, AttributeError) as exception:
                self._warn(COLLECTIONS[kind].name, document, exception)
        return entities

    def _warn(self, collection: str, document: Mapping[str, Any], exception: Exception) -> None:
        name = str(document.get("ref") or document.get("_id"))
        if (collection, name) not in self._warned:
            self._warned.add((collection, name))
            LOG.warning("%s in collection %s is passed over: %r; register it again", name, collection, exception)


def _text(document: Mapping[str, Any], name: str) -> str:
    """A field that must be text. Raises KeyError and TypeError."""
    value = document[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is {value!r}")
    return value


def changes(document: Document) -> tuple[Document, list[str]]:
    """Split a document into the fields to set and the names of those to take away."""
    present = {name: value for name, value in document.items() if value is not None}
    return present, [name for name, value in document.items() if value is None]


def _identity(entity: Entity) -> Document:
    return {"ref": entity.ref, "name": entity.name, "pack": entity.pack}


def _sensor_document(sensor: SensorType) -> Document:
    return _identity(sensor) | {
        "uid": sensor.uid,
        "description": sensor.description,
        "metadata_file": sensor.metadata_file,
        "artifact_uri": sensor.artifact_uri,
        "entry_point": sensor.entry_point,
        "trigger_types": list(sensor.trigger_types),
        "poll_interval": sensor.poll_interval,
        "enabled": sensor.enabled,
    }


def _sensor(document: Mapping[str, Any]) -> SensorType:
    return SensorType(
        id=str(document["_id"]),
        pack=_text(document, "pack"),
        name=_text(document, "name"),
        description=document.get("description"),
        metadata_file=document.get("metadata_file"),
        artifact_uri=_text(document, "artifact_uri"),
        entry_point=_text(document, "entry_point"),
        trigger_types=tuple(document.get("trigger_types") or ()),
        poll_interval=document.get("poll_interval"),
        enabled=document.get("enabled", True),
    )


def _trigger_type_document(trigger_type: TriggerType) -> Document:
    return _identity(trigger_type) | {
        "uid": trigger_type.uid,
        "description": trigger_type.description,
        "metadata_file": trigger_type.metadata_file,
        "tags": None if trigger_type.tags is None else [dict(tag) for tag in trigger_type.tags],
        "payload_schema": trigger_type.payload_schema,
        "parameters_schema": trigger_type.parameters_schema,
    }


def _trigger_type(document: Mapping[str, Any]) -> TriggerType:
    tags = document.get("tags")
    return TriggerType(
        id=str(document["_id"]),
        pack=_text(document, "pack"),
        name=_text(document, "name"),
        description=document.get("description"),
        metadata_file=document.get("metadata_file"),
        tags=None if tags is None else tuple(tags),
        payload_schema=document.get("payload_schema"),
        parameters_schema=document.get("parameters_schema"),
    )


def _trigger_document(trigger: Trigger) -> Document:
    return _identity(trigger) | {
        "uid": trigger.uid,
        "type": trigger.type,
        "parameters": dict(trigger.parameters) or None,
        "ref_count": trigger.ref_count,
    }


def _trigger(document: Mapping[str, Any]) -> Trigger:
    return Trigger(
        id=str(document["_id"]),
        pack=_text(document, "pack"),
        name=_text(document, "name"),
        type=_text(document, "type"),
        parameters=document.get("parameters") or {},
        ref_count=document.get("ref_count") or 0,
    )


def _rule_document(rule: Rule) -> Document:
    return _identity(rule) | {
        "metadata_file": rule.metadata_file,
        "trigger_type": rule.trigger_type,
        "parameters": dict(rule.parameters),
        "trigger": rule.trigger,
    }


def _rule(document: Mapping[str, Any]) -> Rule:
    return Rule(
        id=str(document["_id"]),
        pack=_text(document, "pack"),
        name=_text(document, "name"),
        metadata_file=document["metadata_file"],
        trigger_type=document["trigger_type"],
        parameters=document.get("parameters") or {},
        trigger=document["trigger"],
    )


def _registration_document(registration: Registration) -> Document:
    return _identity(registration) | {
        "metadata_file": registration.metadata_file,
        "digest": registration.digest,
        "error": registration.error,
        "overrides": {name: value for name, value in asdict(registration.overrides).items() if value is not None},
        "enabled": registration.enabled,
    }


def _registration(document: Mapping[str, Any]) -> Registration:
    return Registration(
        id=str(document["_id"]),
        pack=_text(document, "pack"),
        name=_text(document, "name"),
        metadata_file=document["metadata_file"],
        digest=document.get("digest"),
        error=document.get("error"),
        overrides=_overrides(document.get("overrides", {})),
        enabled=document.get("enabled"),
    )


def _overrides(document: Mapping[str, Any]) -> Overrides:
    values: Document = {name: tuple(value) if isinstance(value, list) else value for name, value in document.items()}
    return Overrides(**values)


COLLECTIONS: dict[type[Any], Collection] = {
    SensorType: Collection(
        name="sensor_type_d_b",
        to_document=_sensor_document,
        from_document=_sensor,
        indexed=("name", "enabled", "trigger_types", "metadata_file"),
    ),
    TriggerType: Collection(
        name="trigger_type_d_b",
        to_document=_trigger_type_document,
        from_document=_trigger_type,
        indexed=("metadata_file", "tags.name", "tags.value"),
    ),
    Trigger: Collection(
        name="trigger_d_b",
        to_document=_trigger_document,
        from_document=_trigger,
        indexed=("name", "type", "parameters"),
    ),
    Rule: Collection(name="st2sensor_rules", to_document=_rule_document, from_document=_rule, ours=True),
    Registration: Collection(
        name="st2sensor_registrations",
        to_document=_registration_document,
        from_document=_registration,
        ours=True,
    ),
}

KEY_VALUES = "key_value_pair_d_b"
MEMBERS, LEASES, NODES = "st2sensor_members", "st2sensor_leases", "st2sensor_nodes"
"""Containers that share sensors, by id; who holds which sensor, by reference; what operators say of nodes, by name."""


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
    """An entry. MongoDB's times have no zone, and are in UTC."""
    expires = document.get("expire_timestamp")
    return KeyValue(
        id=str(document["_id"]),
        scope=document["scope"],
        name=_text(document, "name"),
        value=_text(document, "value"),
        secret=document.get("secret", False),
        expire_timestamp=expires.replace(tzinfo=UTC) if expires else None,
    )


def live(document: Mapping[str, Any] | None, now: datetime) -> KeyValue | None:
    """An entry, unless it has expired: databases find that out a little later."""
    entry = None if document is None else key_value(document)
    return None if entry is None or (entry.expire_timestamp and entry.expire_timestamp <= now) else entry


def batch_document(batch: Batch) -> Document:
    return {
        "_id": batch.id,
        "sensor": batch.sensor,
        "name": batch.name,
        "expected": batch.expected,
        "value": batch.value,
        "events": [dict(event) for event in batch.events],
    }


def member_document(member: Member) -> Document:
    """The id is the document's."""
    fields = asdict(member)
    return {"_id": fields.pop("id"), **fields, "labels": list(member.labels)}


def member(document: Mapping[str, Any]) -> Member:
    """Fields of a later version are passed over."""
    known = {name: document[name] for name in Member.__slots__ if name in document}
    return Member(**{**known, "id": document["_id"], "labels": tuple(document.get("labels", ()))})


def lease(document: Mapping[str, Any]) -> Lease:
    return Lease(
        sensor=document["_id"],
        holder=document.get("holder"),
        fence=document.get("fence", 0),
        has_batches=bool(document.get("batches")),
    )


def batch(document: Mapping[str, Any]) -> Batch:
    return Batch(
        id=document["_id"],
        sensor=document["sensor"],
        name=document["name"],
        expected=document["expected"],
        value=document["value"],
        events=tuple(document["events"]),
    )


def end_of_prefix(prefix: str) -> str | None:
    """The first text, in the order of code points, that comes after all that begin with prefix; None when there is
    none."""
    kept = prefix.rstrip(LAST_CHARACTER)
    if not kept:
        return None
    following = ord(kept[-1]) + 1
    # Surrogates are no characters: no stored text holds one.
    return kept[:-1] + chr(AFTER_SURROGATES if following == FIRST_SURROGATE else following)
