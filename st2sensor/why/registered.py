"""The registered types and triggers, and the rules that a question may name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from st2sensor.dispatch.catalogue import Catalogue
from st2sensor.matching.rules import RuleContent
from st2sensor.models import Refusal, Trigger, TriggerType
from st2sensor.storage.base import Storage


@dataclass(slots=True)
class Registered:
    """The registered types, triggers and refused types by reference."""

    types: dict[str, TriggerType] = field(default_factory=dict)
    triggers: dict[str, Trigger] = field(default_factory=dict)
    refusals: dict[str, Refusal] = field(default_factory=dict)

    def has(self, asked: str) -> bool:
        """Return whether a type or a trigger has this reference."""
        return any(asked in items for items in (self.types, self.triggers, self.refusals))

    def is_trigger(self, asked: str) -> bool:
        """Return whether a question names a trigger or a type, or looks as if it did."""
        return self.has(asked) or bool(re.fullmatch(r"[\w-]+\.[\w.-]+", asked))

    def type_of(self, ref: str) -> str:
        known = self.triggers.get(ref)
        return ref if known is None else known.type

    def parameters_of(self, ref: str) -> Mapping[str, Any] | None:
        known = self.triggers.get(ref)
        if known is not None:
            return known.parameters
        return {} if ref in self.types else None

    def trigger_of(self, rule: RuleContent) -> str:
        """Return the trigger that a rule asks for; its type if that trigger is not registered."""
        if rule.trigger is not None:
            return rule.trigger
        asked = dict(rule.parameters or {})
        for ref, trigger in self.triggers.items():
            if trigger.type == rule.trigger_type and dict(trigger.parameters) == asked:
                return ref
        return rule.trigger_type or ""

    def type_for(self, rule: RuleContent) -> str:
        """Return the trigger type that a rule asks for; its trigger if the type is not known."""
        return rule.trigger_type or rule.trigger or ""

    @property
    def catalogue(self) -> Catalogue:
        found = Catalogue()
        found.learn(self.types.values(), list(self.triggers.values()), self.refusals.values())
        return found


def read(storage: Storage) -> Registered:
    """Return what is registered. Raises StorageError."""
    return Registered(
        {item.ref: item for item in storage.all(TriggerType)},
        {item.ref: item for item in storage.all(Trigger)},
        {item.ref: item for item in storage.all(Refusal)},
    )


def named(rules: Sequence[RuleContent], asked: str) -> list[RuleContent]:
    """Return the rules that a question names: the one with this reference, or else those with this name in any pack."""
    exact = [rule for rule in rules if rule.ref == asked]
    return exact[:1] or [rule for rule in rules if rule.ref.partition(".")[2] == asked]
