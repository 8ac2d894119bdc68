"""The trigger types and triggers that are registered. In the container."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping

from st2sensor.models import Refusal, Schema, Trigger, TriggerType
from st2sensor.schemas.program import program_of

NO_SCHEMA = ""
"""The digest of a type that has no payload_schema: any object fits."""


class Catalogue:
    """What is known, as of the last `learn`; for one thread."""

    def __init__(self) -> None:
        self._types: dict[str, TriggerType] = {}
        self._type_of_trigger: dict[str, str] = {}
        self._type_of_id: dict[str, str] = {}
        """By id of a trigger."""
        self._refusals: dict[str, Refusal] = {}
        self._digests: dict[str, tuple[Schema, str]] = {}
        """By reference of a type, with the schema that they are of."""
        self._programs: dict[str, str | None] = {}
        """By digest."""

    def learn(
        self, types: Iterable[TriggerType], triggers: Collection[Trigger], refusals: Iterable[Refusal] = ()
    ) -> None:
        """Replace what is known; of schemas that have not changed, digest and program stay."""
        self._types = {item.ref: item for item in types}
        self._type_of_trigger = {item.ref: item.type for item in triggers}
        self._type_of_id = {item.id: item.type for item in triggers if item.id is not None}
        self._refusals = {item.ref: item for item in refusals}
        self._digests = {ref: known for ref, known in self._digests.items() if ref in self._types}
        current = {digest for _, digest in self._digests.values()}
        self._programs = {digest: program for digest, program in self._programs.items() if digest in current}

    def type_of(self, trigger: str | Mapping[str, object]) -> TriggerType | None:
        """The type of a trigger named by its reference, or described by its fields; None when it is not registered."""
        if isinstance(trigger, str):
            return self._types.get(self._type_of_trigger.get(trigger, trigger))
        found = (self.type_of(ref) for ref in self._candidates(trigger))
        return next((item for item in found if item is not None), None)

    def refusal_of(self, trigger: str | Mapping[str, object]) -> Refusal | None:
        """Why a trigger has no type: its declaration was refused. None when there is none."""
        names = [trigger] if isinstance(trigger, str) else self._candidates(trigger)
        return next((self._refusals[name] for name in names if name in self._refusals), None)

    def _candidates(self, trigger: Mapping[str, object]) -> Iterator[str]:
        """References of a type or a trigger that a trigger's fields may mean. Each may be anything, as it was sent."""
        identifier = trigger.get("id")
        named = (
            trigger.get("type"),
            self._type_of_id.get(identifier) if isinstance(identifier, str) else None,
            _ref_of_uid(trigger.get("uid")),
            trigger.get("ref") or f"{trigger.get('pack')}.{trigger.get('name')}",
        )
        return (ref for ref in named if isinstance(ref, str))

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
    named = ("ref", "type", "name", "uid", "id")
    return str(next((trigger[key] for key in named if trigger.get(key)), "?"))


def _ref_of_uid(uid: object) -> str | None:
    """The reference in `trigger:PACK:NAME:HASH`. The hash is of the parameters, which name no other trigger."""
    if not isinstance(uid, str):
        return None
    kind, _, rest = uid.partition(":")
    pack, _, rest = rest.partition(":")
    name, colon, _ = rest.rpartition(":")
    return f"{pack}.{name}" if kind == "trigger" and colon else None
