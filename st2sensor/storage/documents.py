"""Entities to and from StackStorm's documents: collection names, field names, and which fields stay away when unset.

A field that is None is absent from its document, never null. Reading takes documents that StackStorm wrote, and raises
Misfit for those in which anything is not what it has to be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from st2sensor.models import (
    Entity,
    Lease,
    Member,
    Overrides,
    Refusal,
    Registration,
    Rule,
    SensorType,
    Trigger,
    TriggerType,
)
from st2sensor.storage.fields import (
    Document,
    Misfit,
    choice,
    flag,
    identity,
    mapping,
    mappings,
    number,
    optional_text,
    shown,
    text,
    texts,
    whole,
)

PERMISSIONS = ("allow", "deny")
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


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
        id=shown(document["_id"]),
        pack=identity(document, "pack", in_paths=True),
        name=identity(document, "name", in_paths=True),
        description=optional_text(document, "description"),
        metadata_file=optional_text(document, "metadata_file"),
        artifact_uri=text(document, "artifact_uri"),
        entry_point=text(document, "entry_point"),
        trigger_types=texts(document, "trigger_types"),
        poll_interval=number(document, "poll_interval", least=0),
        enabled=flag(document, "enabled", True),
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
    return TriggerType(
        id=shown(document["_id"]),
        pack=identity(document, "pack"),
        name=identity(document, "name"),
        description=optional_text(document, "description"),
        metadata_file=optional_text(document, "metadata_file"),
        tags=None if document.get("tags") is None else mappings(document, "tags"),
        payload_schema=mapping(document, "payload_schema"),
        parameters_schema=mapping(document, "parameters_schema"),
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
        id=shown(document["_id"]),
        pack=identity(document, "pack"),
        name=identity(document, "name"),
        type=text(document, "type"),
        parameters=mapping(document, "parameters") or {},
        ref_count=whole(document, "ref_count") or 0,
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
        id=shown(document["_id"]),
        pack=identity(document, "pack"),
        name=identity(document, "name"),
        metadata_file=text(document, "metadata_file"),
        trigger_type=text(document, "trigger_type"),
        parameters=mapping(document, "parameters") or {},
        trigger=text(document, "trigger"),
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
        id=shown(document["_id"]),
        pack=identity(document, "pack", in_paths=True),
        name=identity(document, "name", in_paths=True),
        metadata_file=text(document, "metadata_file"),
        digest=optional_text(document, "digest"),
        error=optional_text(document, "error"),
        overrides=_overrides(document.get("overrides")),
        enabled=flag(document, "enabled", None),
    )


def _refusal_document(refusal: Refusal) -> Document:
    return _identity(refusal) | {"metadata_file": refusal.metadata_file, "error": refusal.error}


def _refusal(document: Mapping[str, Any]) -> Refusal:
    return Refusal(
        id=shown(document["_id"]),
        pack=identity(document, "pack"),
        name=identity(document, "name"),
        metadata_file=text(document, "metadata_file"),
        error=text(document, "error"),
    )


def _overrides(document: Any) -> Overrides:
    """What a later version has added is not known here, and ignored."""
    if document is None:
        return Overrides()
    if not isinstance(document, Mapping):
        raise Misfit("overrides", "must be an object")
    try:
        return Overrides(
            start_timeout=number(document, "start_timeout", above=0),
            setup_timeout=number(document, "setup_timeout", least=0),
            poll_timeout=number(document, "poll_timeout", least=0),
            trigger_timeout=number(document, "trigger_timeout", least=0),
            memory=whole(document, "memory", least=1),
            open_files=whole(document, "open_files", least=16),
            processes=whole(document, "processes", least=1),
            nice=whole(document, "nice", least=-20, most=19),
            run_as=optional_text(document, "run_as"),
            log_level=choice(document, "log_level", LEVELS),
            global_write=choice(document, "global_write", PERMISSIONS),
            decrypt_global=choice(document, "decrypt_global", PERMISSIONS),
            runs_on=texts(document, "runs_on") if document.get("runs_on") is not None else None,
        )
    except Misfit as misfit:
        raise Misfit("overrides", f"is wrong: {misfit}") from misfit


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
    Refusal: Collection(name="st2sensor_refusals", to_document=_refusal_document, from_document=_refusal, ours=True),
}

STACKSTORM_RULES = "rule_d_b"
"""StackStorm's own rules, each with the reference of the trigger it asks for: counted here, and never changed."""

MEMBERS, LEASES, NODES = "st2sensor_members", "st2sensor_leases", "st2sensor_nodes"
"""Containers that share sensors, by id; who holds which sensor, by reference; what operators say of nodes, by name."""


def member_document(member: Member) -> Document:
    """The id is the document's."""
    fields = asdict(member)
    return {"_id": fields.pop("id"), **fields, "labels": list(member.labels)}


def member(document: Mapping[str, Any]) -> Member:
    """Fields of a later version are ignored."""
    return Member(
        id=text(document, "_id"),
        node=text(document, "node"),
        host=optional_text(document, "host") or "",
        pid=whole(document, "pid") or 0,
        version=optional_text(document, "version") or "",
        started=number(document, "started") or 0.0,
        seen=number(document, "seen") or 0.0,
        capacity=_or(number(document, "capacity", least=0), 1.0),
        labels=texts(document, "labels"),
        lease=_or(number(document, "lease", above=0), 10.0),
        counter=whole(document, "counter") or 0,
        token=optional_text(document, "token") or "",
        sensors=whole(document, "sensors") or 0,
        handing=flag(document, "handing", False),
        leaving=flag(document, "leaving", False),
        dead=flag(document, "dead", False),
    )


def lease(document: Mapping[str, Any]) -> Lease:
    return Lease(
        sensor=text(document, "_id"),
        holder=optional_text(document, "holder"),
        fence=whole(document, "fence") or 0,
        has_batches=bool(document.get("batches")),
    )


def drained_node(document: Mapping[str, Any]) -> str | None:
    """The name of a node, if it is to hold nothing."""
    return text(document, "_id") if flag(document, "drained", False) else None


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
