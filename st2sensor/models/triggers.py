"""Trigger types, triggers, their instances, and the rules that ask for them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from st2sensor.models.named import Named

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerType(Named):
    """A kind of trigger that a sensor can emit. An undeclared schema is None."""

    description: str | None = None
    payload_schema: Schema | None = None
    parameters_schema: Schema | None = None
    metadata_file: str | None = None
    tags: tuple[Mapping[str, str], ...] | None = None

    @property
    def uid(self) -> str:
        return f"trigger_type:{self.pack}:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger(Named):
    """A trigger type with the parameters that a rule asks for. Without parameters it has the name of its type.

    :param type: reference of the trigger type.
    :param ref_count: number of rules that ask for it. As in StackStorm, this is kept for triggers with parameters only.
    """

    type: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    ref_count: int = 0

    @property
    def uid(self) -> str:
        canonical = json.dumps(dict(self.parameters), sort_keys=True)
        digest = hashlib.md5(canonical.encode(), usedforsecurity=False).hexdigest()
        return f"trigger:{self.pack}:{self.name}:{digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceContext:
    """Links a trigger instance to its cause."""

    id: str | None = None
    tag: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerInstance:
    """One event.

    :param trigger: a trigger's reference, or its fields as a mapping.
    :param tagged: whether the payload has the form made by `payload.pack`, because JSON cannot express it completely.
    """

    trigger: str | Mapping[str, Any]
    payload: Mapping[str, Any]
    trace_context: TraceContext | None = None
    tagged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule(Named):
    """A rule that was registered by st2sensor, with the trigger it asked for.

    :param trigger_type: reference of the trigger type that it names.
    :param trigger: reference of the trigger that it asked for.
    """

    metadata_file: str
    trigger_type: str
    parameters: Mapping[str, Any]
    trigger: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal(Named):
    """A trigger type whose newest declaration was refused. An older one may be registered.

    :param error: why it was refused, with the place in the file.
    """

    metadata_file: str
    error: str
