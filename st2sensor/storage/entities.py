"""Converts entities to StackStorm's documents and back: defines the fields of each, and how they are read.

Reading accepts documents that StackStorm wrote, and raises Misfit for those in which a field is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from st2sensor.models import (
    Entity,
    Expectation,
    Instance,
    Overrides,
    Refusal,
    Registration,
    Rule,
    SensorType,
    Silence,
    Trigger,
    TriggerType,
)
from st2sensor.models.limits import flaw_in
from st2sensor.storage.fields import (
    Document,
    Misfit,
    choice,
    flag,
    identity,
    mapping,
    number,
    optional_mappings,
    optional_text,
    optional_texts,
    shown,
    text,
    texts,
    whole,
)

PERMISSIONS = ("allow", "deny")
PAYLOADS = ("full", "none")
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

Fields = dict[str, Callable[[Mapping[str, Any], str], Any]]
"""Reads a field of an entity, given a document and the field's name."""


def _expectation(document: Mapping[str, Any], name: str) -> Expectation | None:
    found = mapping(document, name)
    if found is None:
        return None
    return Expectation(event=number(found, "event", above=0), poll=number(found, "poll", above=0))


def _limits(document: Mapping[str, Any], name: str) -> Document | None:
    """Read limits, which are kept as JSON: their keys are references, and MongoDB's keys must not hold dots."""
    found = optional_text(document, name)
    if found is None:
        return None
    try:
        limits: Document = json.loads(found)
        flaw = flaw_in(limits)
    except ValueError as error:
        raise Misfit(name, "is not JSON") from error
    if flaw:
        raise Misfit(name, f"is wrong: {flaw}")
    return limits


OVERRIDES: Fields = {
    "start_timeout": partial(number, above=0),
    "setup_timeout": partial(number, least=0),
    "poll_timeout": partial(number, least=0),
    "trigger_timeout": partial(number, least=0),
    "memory": partial(whole, least=1),
    "open_files": partial(whole, least=16),
    "processes": partial(whole, least=1),
    "nice": partial(whole, least=-20, most=19),
    "run_as": optional_text,
    "log_level": partial(choice, choices=LEVELS),
    "global_write": partial(choice, choices=PERMISSIONS),
    "decrypt_global": partial(choice, choices=PERMISSIONS),
    "payloads": partial(choice, choices=PAYLOADS),
    "runs_on": optional_texts,
    "expect": _expectation,
    "limits": _limits,
}


def _overrides(document: Mapping[str, Any], name: str) -> Overrides:
    """Read a registration's overrides. Overrides that a later version has added are ignored."""
    overrides = document.get(name)
    if overrides is None:
        return Overrides()
    if not isinstance(overrides, Mapping):
        raise Misfit(name, "must be an object")
    try:
        return Overrides(**{field: read(overrides, field) for field, read in OVERRIDES.items()})
    except Misfit as misfit:
        raise Misfit(name, f"is wrong: {misfit}") from misfit


def _parameters(document: Mapping[str, Any], name: str) -> Document:
    return mapping(document, name) or {}


def _seconds(document: Mapping[str, Any], name: str, *, least: float) -> float:
    return number(document, name, least=least) or 0.0


def _count(document: Mapping[str, Any], name: str) -> int:
    return whole(document, name) or 0


IDENTITY: Fields = {"pack": identity, "name": identity}
IN_PATHS: Fields = {"pack": partial(identity, in_paths=True), "name": partial(identity, in_paths=True)}
"""Fields of sensors after which files and folders are named."""

FIELDS: dict[type[Any], Fields] = {
    SensorType: {
        **IN_PATHS,
        "description": optional_text,
        "metadata_file": optional_text,
        "artifact_uri": text,
        "entry_point": text,
        "trigger_types": texts,
        "poll_interval": partial(number, least=0),
        "enabled": partial(flag, default=True),
    },
    TriggerType: {
        **IDENTITY,
        "description": optional_text,
        "metadata_file": optional_text,
        "tags": optional_mappings,
        "payload_schema": mapping,
        "parameters_schema": mapping,
    },
    Trigger: {**IDENTITY, "type": text, "parameters": _parameters, "ref_count": _count},
    Rule: {**IDENTITY, "metadata_file": text, "trigger_type": text, "parameters": _parameters, "trigger": text},
    Registration: {
        **IN_PATHS,
        "metadata_file": text,
        "digest": optional_text,
        "error": optional_text,
        "overrides": _overrides,
        "enabled": partial(flag, default=None),
    },
    Instance: {
        **IN_PATHS,
        "digest": optional_text,
        "error": optional_text,
        "overrides": _overrides,
        "poll_interval": partial(number, least=0),
        "enabled": partial(flag, default=None),
        "declared": partial(flag, default=None),
        "triggers": mapping,
    },
    Refusal: {**IDENTITY, "metadata_file": text, "error": text},
    Silence: {
        **IDENTITY,
        "event": partial(_seconds, least=0),
        "poll": partial(_seconds, least=0),
        "missing": texts,
        "since": number,
    },
}


def entity_of(kind: type[Any], document: Mapping[str, Any]) -> Any:
    """Return the entity in a document. Raises Misfit, and KeyError for a document without an id."""
    return kind(id=shown(document["_id"]), **{name: read(document, name) for name, read in FIELDS[kind].items()})


def document_of(entity: Entity) -> Document:
    """Return an entity's document, without its id. None marks a field that must be absent."""
    document: Document = {"ref": entity.ref}
    if isinstance(entity, SensorType | TriggerType | Trigger):
        document["uid"] = entity.uid
    document |= {name: _plain(getattr(entity, name)) for name in FIELDS[type(entity)]}
    if isinstance(entity, Trigger) and not entity.parameters:
        # As in StackStorm. A rule's parameters are present even when they are empty.
        document["parameters"] = None
    return document


def _plain(value: Any) -> Any:
    """Return the form in which documents hold a field's value."""
    if isinstance(value, Overrides):
        settings = {name: setting for name, setting in asdict(value).items() if setting is not None}
        return settings | ({"limits": json.dumps(value.limits, sort_keys=True)} if value.limits is not None else {})
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return dict(value) if isinstance(value, Mapping) else value
