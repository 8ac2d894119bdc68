"""The trigger types and triggers that are registered, and whether a trigger instance fits them. In the container."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from st2sensor.models import Schema, Trigger, TriggerInstance, TriggerType
from st2sensor.schema import Compiled


class Catalogue:
    """What is known, as of the last `learn`; for one thread."""

    def __init__(self) -> None:
        self._types: dict[str, TriggerType] = {}
        self._type_of_trigger: dict[str, str] = {}
        self._compiled: dict[str, tuple[Schema, Compiled]] = {}

    def learn(self, types: Iterable[TriggerType], triggers: Iterable[Trigger]) -> None:
        """Replace what is known; schemas that have not changed stay compiled."""
        self._types = {item.ref: item for item in types}
        self._type_of_trigger = {item.ref: item.type for item in triggers}
        self._compiled = {ref: cached for ref, cached in self._compiled.items() if ref in self._types}

    def type_of(self, trigger: str | Mapping[str, object]) -> TriggerType | None:
        """The type of a trigger named by its reference, or described by its fields; None when it is not registered."""
        if isinstance(trigger, str):
            return self._types.get(self._type_of_trigger.get(trigger, trigger))
        named = trigger.get("type")
        if isinstance(named, str) and named in self._types:
            return self._types[named]
        ref = trigger.get("ref") or f"{trigger.get('pack')}.{trigger.get('name')}"
        return self.type_of(ref) if isinstance(ref, str) else None

    def objection(self, instance: TriggerInstance, trigger_type: TriggerType | None) -> str | None:
        """Why an instance must not be published, or None.

        :param instance: with a payload in its JSON form.
        :param trigger_type: what `type_of` says of its trigger.
        """
        if not isinstance(instance.payload, dict):
            return f"the payload is a {type(instance.payload).__name__}, not a dict"
        if trigger_type is None:
            return f"trigger {name_of(instance.trigger)} is not registered"
        if not trigger_type.payload_schema:
            return None
        problem = self._schema_of(trigger_type, trigger_type.payload_schema).violation(instance.payload)
        return (
            None if problem is None else f"the payload does not fit the payload_schema of {trigger_type.ref}: {problem}"
        )

    def _schema_of(self, trigger_type: TriggerType, declared: Schema) -> Compiled:
        cached = self._compiled.get(trigger_type.ref)
        if cached is None or (cached[0] is not declared and cached[0] != declared):
            cached = self._compiled[trigger_type.ref] = (declared, Compiled(declared))
        return cached[1]


def name_of(trigger: str | Mapping[str, object]) -> str:
    """A trigger's reference, as far as it has one, for people."""
    if isinstance(trigger, str):
        return trigger
    return str(trigger.get("ref") or trigger.get("type") or trigger.get("name") or "?")
