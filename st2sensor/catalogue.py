"""The trigger types and triggers that are registered. In the container."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping

from st2sensor.models import Schema, Trigger, TriggerType
from st2sensor.schema_program import program_of

NO_SCHEMA = ""
"""The digest of a type that has no payload_schema: any object fits."""


class Catalogue:
    """What is known, as of the last `learn`; for one thread."""

    def __init__(self) -> None:
        self._types: dict[str, TriggerType] = {}
        self._type_of_trigger: dict[str, str] = {}
        self._digests: dict[str, tuple[Schema, str]] = {}
        """By reference of a type, with the schema that they are of."""
        self._programs: dict[str, str | None] = {}
        """By digest."""

    def learn(self, types: Iterable[TriggerType], triggers: Iterable[Trigger]) -> None:
        """Replace what is known; of schemas that have not changed, digest and program stay."""
        self._types = {item.ref: item for item in types}
        self._type_of_trigger = {item.ref: item.type for item in triggers}
        self._digests = {ref: known for ref, known in self._digests.items() if ref in self._types}
        current = {digest for _, digest in self._digests.values()}
        self._programs = {digest: program for digest, program in self._programs.items() if digest in current}

    def type_of(self, trigger: str | Mapping[str, object]) -> TriggerType | None:
        """The type of a trigger named by its reference, or described by its fields; None when it is not registered."""
        if isinstance(trigger, str):
            return self._types.get(self._type_of_trigger.get(trigger, trigger))
        named = trigger.get("type")
        if isinstance(named, str) and named in self._types:
            return self._types[named]
        ref = trigger.get("ref") or f"{trigger.get('pack')}.{trigger.get('name')}"
        return self.type_of(ref) if isinstance(ref, str) else None

    def digest_of(self, trigger_type: TriggerType) -> str:
        """Names a type's payload_schema: the same as long as the schema is the same."""
        declared = trigger_type.payload_schema
        if not declared:
            return NO_SCHEMA
        known = self._digests.get(trigger_type.ref)
        if known is None or (known[0] is not declared and known[0] != declared):
            text = json.dumps(declared, sort_keys=True, default=str)
            known = (declared, hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32])
            self._digests[trigger_type.ref] = known
        return known[1]

    def program_of(self, trigger_type: TriggerType) -> str | None:
        """What a sensor may check its payloads with; None where only the container can, or where there is nothing."""
        digest = self.digest_of(trigger_type)
        if digest != NO_SCHEMA and digest not in self._programs:
            self._programs[digest] = program_of(trigger_type.payload_schema or {})
        return self._programs.get(digest)


def name_of(trigger: str | Mapping[str, object]) -> str:
    """A trigger's reference, as far as it has one, for people."""
    if isinstance(trigger, str):
        return trigger
    return str(trigger.get("ref") or trigger.get("type") or trigger.get("name") or "?")
