"""The registered trigger types and triggers. Used by the container."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping

from st2sensor.models import Refusal, Schema, Trigger, TriggerType
from st2sensor.schemas.program import program_of

NO_SCHEMA = ""
"""The digest of a type without a payload_schema: any object fits it."""


class Catalogue:
    """Trigger types and triggers as of the last `learn`. For one thread."""

    def __init__(self) -> None:
        self._types: dict[str, TriggerType] = {}
        self._type_of_trigger: dict[str, str] = {}
        self._type_of_id: dict[str, str] = {}
        """References of types by trigger id."""
        self._refusals: dict[str, Refusal] = {}
        self._digests: dict[str, tuple[Schema, str]] = {}
        """Schemas and their digests by reference of the type."""
        self._programs: dict[str, str | None] = {}
        """Programs by digest."""

    def learn(
        self, types: Iterable[TriggerType], triggers: Collection[Trigger], refusals: Iterable[Refusal] = ()
    ) -> None:
        """Replace types, triggers and refusals. Keep digests and programs of unchanged schemas."""
        self._types = {item.ref: item for item in types}
        self._type_of_trigger = {item.ref: item.type for item in triggers}
        self._type_of_id = {item.id: item.type for item in triggers if item.id is not None}
        self._refusals = {item.ref: item for item in refusals}
        self._digests = {ref: known for ref, known in self._digests.items() if ref in self._types}
        current = {digest for _, digest in self._digests.values()}
        self._programs = {digest: program for digest, program in self._programs.items() if digest in current}

    def type_of(self, trigger: str | Mapping[str, object]) -> TriggerType | None:
        """Return the type of a trigger, given by reference or by its fields; None if it is not registered."""
        if isinstance(trigger, str):
            return self._types.get(self._type_of_trigger.get(trigger, trigger))
        found = (self.type_of(ref) for ref in self._candidates(trigger))
        return next((item for item in found if item is not None), None)

    def types(self) -> list[TriggerType]:
        """Return the registered trigger types."""
        return list(self._types.values())

    def refusal_of(self, trigger: str | Mapping[str, object]) -> Refusal | None:
        """Return the refusal of a trigger's declaration; None if there is none."""
        names = [trigger] if isinstance(trigger, str) else self._candidates(trigger)
        return next((self._refusals[name] for name in names if name in self._refusals), None)

    def _candidates(self, trigger: Mapping[str, object]) -> Iterator[str]:
        """Yield the references of types or triggers that a trigger's fields may mean. A field may hold any value."""
        identifier = trigger.get("id")
        named = (
            trigger.get("type"),
            self._type_of_id.get(identifier) if isinstance(identifier, str) else None,
            _ref_of_uid(trigger.get("uid")),
            trigger.get("ref") or f"{trigger.get('pack')}.{trigger.get('name')}",
        )
        return (ref for ref in named if isinstance(ref, str))

    def digest_of(self, trigger_type: TriggerType) -> str:
        """Return a digest of the type's payload_schema, which changes when the schema does."""
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
        """Return the program with which a sensor checks payloads of a type.

        None if only the container can check them, or if there is nothing to check.
        """
        digest = self.digest_of(trigger_type)
        if digest != NO_SCHEMA and digest not in self._programs:
            self._programs[digest] = program_of(trigger_type.payload_schema or {})
        return self._programs.get(digest)


def name_of(trigger: str | Mapping[str, object]) -> str:
    """Return a trigger's reference for display, or the best substitute among its fields."""
    if isinstance(trigger, str):
        return trigger
    named = ("ref", "type", "name", "uid", "id")
    return str(next((trigger[key] for key in named if trigger.get(key)), "?"))


def _ref_of_uid(uid: object) -> str | None:
    """Return the reference in `trigger:PACK:NAME:HASH`. The hash covers the parameters, and is not needed."""
    if not isinstance(uid, str):
        return None
    kind, _, rest = uid.partition(":")
    pack, _, rest = rest.partition(":")
    name, colon, _ = rest.rpartition(":")
    return f"{pack}.{name}" if kind == "trigger" and colon else None
