"""Registers rules as far as sensors need them: each asks for a trigger, which lives while a rule asks for it."""

from __future__ import annotations

import uuid
from dataclasses import replace

from st2sensor.errors import ContentError
from st2sensor.models import Rule, Trigger, TriggerType
from st2sensor.packs.announcements import Announcements
from st2sensor.packs.metadata import RuleDeclaration
from st2sensor.packs.outcome import Result
from st2sensor.schema import Compiled
from st2sensor.storage.base import Storage
from st2sensor.transport.topology import CREATE, DELETE, UPDATE


def register(declared: RuleDeclaration, storage: Storage, announcements: Announcements) -> Result:
    """Make the trigger that a rule asks for, or change the one it asked for before. Raises ContentError."""
    trigger_type = _validated_type(declared, storage)
    known = storage.get(Rule, f"{declared.pack}.{declared.name}")
    if known is not None and _same(known, declared) and storage.get(Trigger, known.trigger) is not None:
        return Result.UNCHANGED
    trigger = _reparametrised(known, declared, storage, announcements) or _asked_for(
        declared, trigger_type, storage, announcements
    )
    storage.put(_rule(declared, trigger.ref))
    if known is not None and known.trigger != trigger.ref:
        _let_go(known, storage, announcements)
    return Result.CREATED if known is None else Result.CHANGED


def unregister(rule: Rule, storage: Storage, announcements: Announcements) -> None:
    """Forget a rule, and its trigger when no other rule asks for it."""
    storage.remove(Rule, rule.ref)
    _let_go(rule, storage, announcements)


def unknown_type(declared: RuleDeclaration) -> ContentError:
    return declared.file.error(
        f"there is no trigger type {declared.trigger_type}; correct trigger.type, or register the pack whose "
        "sensor or triggers/ declares it",
        ["trigger", "type"],
    )


def parameters_error(declared: RuleDeclaration, trigger_type: TriggerType) -> ContentError | None:
    """How a rule's parameters break their trigger type's schema, or None."""
    if not trigger_type.parameters_schema:
        return None
    problem = Compiled(trigger_type.parameters_schema).violation(dict(declared.parameters))
    if problem is None:
        return None
    message = f"parameters do not fit trigger type {declared.trigger_type}: {problem}"
    return declared.file.error(message, ["trigger", "parameters"])


def _validated_type(declared: RuleDeclaration, storage: Storage) -> TriggerType:
    trigger_type = storage.get(TriggerType, declared.trigger_type)
    if trigger_type is None:
        raise unknown_type(declared)
    misfit = parameters_error(declared, trigger_type)
    if misfit is not None:
        raise misfit
    return trigger_type


def _same(known: Rule, declared: RuleDeclaration) -> bool:
    return known.trigger_type == declared.trigger_type and dict(known.parameters) == dict(declared.parameters)


def _rule(declared: RuleDeclaration, trigger: str) -> Rule:
    return Rule(
        pack=declared.pack,
        name=declared.name,
        metadata_file=declared.metadata_file,
        trigger_type=declared.trigger_type,
        parameters=declared.parameters,
        trigger=trigger,
    )


def _find(declared: RuleDeclaration, storage: Storage) -> Trigger | None:
    for trigger in storage.all(Trigger):
        if trigger.type == declared.trigger_type and dict(trigger.parameters) == dict(declared.parameters):
            return trigger
    return None


def _reparametrised(
    known: Rule | None, declared: RuleDeclaration, storage: Storage, announcements: Announcements
) -> Trigger | None:
    """Change the rule's own trigger in place, so that the sensor hears an update; None when that cannot be."""
    if known is None or known.trigger_type != declared.trigger_type or not declared.parameters:
        return None
    current = storage.get(Trigger, known.trigger)
    if current is None or not current.parameters or current.ref_count > 1 or _find(declared, storage) is not None:
        return None
    changed = replace(current, parameters=declared.parameters)
    storage.rename_trigger(current.uid, changed)
    announcements.add(changed, UPDATE)
    return changed


def _asked_for(
    declared: RuleDeclaration, trigger_type: TriggerType, storage: Storage, announcements: Announcements
) -> Trigger:
    trigger = _find(declared, storage)
    if trigger is None:
        name = str(uuid.uuid4()) if declared.parameters else trigger_type.name
        trigger = Trigger(pack=trigger_type.pack, name=name, type=trigger_type.ref, parameters=declared.parameters)
        storage.put(trigger)
        announcements.add(trigger, CREATE)
    if declared.parameters:
        storage.count_reference(trigger.ref, 1)
    return trigger


def _let_go(rule: Rule, storage: Storage, announcements: Announcements) -> None:
    if not rule.parameters:
        return
    trigger = storage.get(Trigger, rule.trigger)
    if trigger is None:
        return
    storage.count_reference(trigger.ref, -1)
    if storage.get(Trigger, rule.trigger) is None:
        announcements.add(trigger, DELETE)
