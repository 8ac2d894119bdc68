"""Registers rules as far as sensors need them: each asks for a trigger, which lives while anybody asks for it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from st2sensor.errors import ContentError, TriggerRefused
from st2sensor.models import Pack, Refusal, Rule, Trigger, TriggerType
from st2sensor.packs import metadata
from st2sensor.packs.metadata import RuleDeclaration
from st2sensor.packs.registration.announcements import Announcements
from st2sensor.packs.registration.outcome import Outcome, Result, blaming, failed
from st2sensor.schemas.dialect import Compiled
from st2sensor.storage.base import Storage
from st2sensor.transport.topology import CREATE, DELETE, UPDATE


def register_files(
    files: Sequence[tuple[Pack, Path]],
    present: Collection[str] | None,
    storage: Storage,
    announcements: Announcements,
    is_disabled: Callable[[RuleDeclaration], bool],
) -> Iterator[Outcome]:
    """Register the rules in some files, and unregister those that are gone.

    Where StackStorm has rules, all of them are its own: it counts what they ask for, and whoever counts a second time
    keeps a trigger alive that nobody asks for any more.

    :param present: the packs that these are all the files of; None for all packs.
    :param is_disabled: whether an operator has switched a rule off, so that it asks for nothing; may raise
        ContentError.
    """
    if storage.stackstorm_rules():
        yield from _left_to_stackstorm(files, storage, announcements)
        return
    declared: dict[str, str] = {}
    unreadable: set[tuple[str, str]] = set()
    for pack, path in files:
        ref = f"{pack.ref}: {path.name}"
        try:
            declaration = metadata.rule(pack, path)
            ref = f"{pack.ref}.{declaration.name}"
            if ref in declared:
                raise declaration.file.error(
                    f"rule {ref} is already declared in {declared[ref]}; rename one of them", ["name"]
                )
            if is_disabled(declaration):
                continue
            declared[ref] = str(path)
            with blaming(str(path)):
                waits = waiting(declaration, storage)
                if waits is not None:
                    yield Outcome(kind="rule", ref=ref, result=Result.WAITING, message=str(waits))
                    continue
                result = register(declaration, storage, announcements)
        except ContentError as error:
            unreadable.add((pack.ref, str(path.relative_to(pack.path))))
            yield failed("rule", ref, error)
            continue
        yield Outcome(kind="rule", ref=ref, result=result)
    for rule in storage.all(Rule):
        is_gone = rule.ref not in declared and (rule.pack, rule.metadata_file) not in unreadable
        if is_gone and (present is None or rule.pack in present):
            yield _unregistered(rule, storage, announcements, Result.REMOVED)


def _left_to_stackstorm(
    files: Sequence[tuple[Pack, Path]], storage: Storage, announcements: Announcements
) -> Iterator[Outcome]:
    """Register nothing, and give back what was counted here before StackStorm came: exactly that, since others count
    the same triggers."""
    counted = storage.all(Rule)
    for rule in counted:
        yield _unregistered(rule, storage, announcements, Result.GIVEN_BACK)
    known = {rule.ref for rule in counted}
    for pack, path in files:
        try:
            ref = f"{pack.ref}.{metadata.rule(pack, path).name}"
        except ContentError:
            # StackStorm's own registration says what is wrong with it.
            ref = f"{pack.ref}: {path.name}"
        if ref not in known:
            yield Outcome(kind="rule", ref=ref, result=Result.LEFT)


def _unregistered(rule: Rule, storage: Storage, announcements: Announcements, result: Result) -> Outcome:
    try:
        with blaming(rule.metadata_file):
            unregister(rule, storage, announcements)
    except ContentError as error:
        return failed("rule", rule.ref, error)
    return Outcome(kind="rule", ref=rule.ref, result=result)


def register(declared: RuleDeclaration, storage: Storage, announcements: Announcements) -> Result:
    """Make the trigger that a rule asks for, or change the one it asked for before. Raises ContentError."""
    trigger_type = _type_for(declared, storage.get(TriggerType, declared.trigger_type))
    known = storage.get(Rule, f"{declared.pack}.{declared.name}")
    if known is not None and _same(known, declared) and storage.get(Trigger, known.trigger) is not None:
        return Result.UNCHANGED
    trigger = _reparametrised(known, declared, storage, announcements) or _asked_for(
        trigger_type, declared.parameters, storage, announcements
    )
    rule = _rule(declared, trigger.ref)
    if known is None and not storage.insert(rule) and storage.get(Rule, rule.ref) is not None:
        # Another host has registered it since, and counts it.
        withdraw(trigger.ref, storage, announcements)
        return Result.UNCHANGED
    storage.put(rule)
    if known is not None and known.trigger != trigger.ref:
        withdraw(known.trigger, storage, announcements)
    return Result.CREATED if known is None else Result.CHANGED


def unregister(rule: Rule, storage: Storage, announcements: Announcements) -> None:
    """Forget a rule, and its trigger when nobody else asks for it.

    Of two that do so at once, only the one that has removed the record withdraws what it stands for.
    """
    if storage.remove(Rule, rule.ref):
        withdraw(rule.trigger, storage, announcements)


def ask(trigger_type: str, parameters: Mapping[str, Any], storage: Storage, announcements: Announcements) -> Trigger:
    """Ask for a trigger as a rule does, until it is withdrawn as often as it was asked for.

    :param trigger_type: its reference.

    Raises TriggerRefused.
    """
    found = _fitting(
        trigger_type, storage.get(TriggerType, trigger_type), parameters, storage.get(Refusal, trigger_type)
    )
    return _asked_for(found, parameters, storage, announcements)


def withdraw(trigger: str, storage: Storage, announcements: Announcements) -> None:
    """Ask for a trigger no longer; it is gone when nobody else does. One without parameters is its type's, and stays.

    :param trigger: its reference.
    """
    known = storage.get(Trigger, trigger)
    if known is None or not known.parameters:
        return
    storage.count_reference(trigger, -1)
    if storage.get(Trigger, trigger) is None:
        announcements.add(known, DELETE, storage)


def waiting(declared: RuleDeclaration, storage: Storage) -> ContentError | None:
    """Why a rule has no trigger yet, with the place in its file, or None.

    That is no failure: StackStorm, too, takes a rule before its trigger type.
    """
    if storage.get(TriggerType, declared.trigger_type) is not None:
        return None
    return misfit(declared, None, storage.get(Refusal, declared.trigger_type))


def misfit(
    declared: RuleDeclaration, trigger_type: TriggerType | None, refusal: Refusal | None = None
) -> ContentError | None:
    """Why a rule cannot be registered, with the place in its file, or None.

    :param trigger_type: that of the rule's trigger; None when it is not known.
    :param refusal: why it is not.
    """
    try:
        _type_for(declared, trigger_type, refusal)
    except ContentError as error:
        return error
    return None


def _type_for(
    declared: RuleDeclaration, trigger_type: TriggerType | None, refusal: Refusal | None = None
) -> TriggerType:
    try:
        return _fitting(declared.trigger_type, trigger_type, declared.parameters, refusal)
    except TriggerRefused as refusal:
        raise declared.file.error(str(refusal), ["trigger", refusal.key]) from refusal


def _fitting(
    ref: str, trigger_type: TriggerType | None, parameters: Mapping[str, Any], refusal: Refusal | None
) -> TriggerType:
    """A trigger type that may be asked for with some parameters. Raises TriggerRefused."""
    if trigger_type is None and refusal is not None:
        raise TriggerRefused(f"trigger type {ref} was refused: {refusal.error}", key="type")
    if trigger_type is None:
        raise TriggerRefused(
            f"there is no trigger type {ref}; correct the type, or register the pack whose sensor or triggers/ "
            "declares it",
            key="type",
        )
    if trigger_type.parameters_schema:
        problem = Compiled(trigger_type.parameters_schema).violation(dict(parameters))
        if problem is not None:
            raise TriggerRefused(f"parameters do not fit trigger type {ref}: {problem}", key="parameters")
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


def _find(trigger_type: str, parameters: Mapping[str, Any], storage: Storage) -> Trigger | None:
    for trigger in storage.all(Trigger):
        if trigger.type == trigger_type and dict(trigger.parameters) == dict(parameters):
            return trigger
    return None


def _reparametrised(
    known: Rule | None, declared: RuleDeclaration, storage: Storage, announcements: Announcements
) -> Trigger | None:
    """Change the rule's own trigger in place, so that the sensor hears an update; None when that cannot be."""
    if known is None or known.trigger_type != declared.trigger_type or not declared.parameters:
        return None
    current = storage.get(Trigger, known.trigger)
    if current is None or not current.parameters or current.ref_count > 1:
        return None
    if _find(declared.trigger_type, declared.parameters, storage) is not None:
        return None
    changed = replace(current, parameters=declared.parameters)
    storage.rename_trigger(current.uid, changed)
    announcements.add(changed, UPDATE, storage)
    return changed


def _asked_for(
    trigger_type: TriggerType, parameters: Mapping[str, Any], storage: Storage, announcements: Announcements
) -> Trigger:
    trigger = _find(trigger_type.ref, parameters, storage)
    is_new = trigger is None
    if trigger is None:
        name = str(uuid.uuid4()) if parameters else trigger_type.name
        trigger = Trigger(pack=trigger_type.pack, name=name, type=trigger_type.ref, parameters=parameters)
        storage.put(trigger)
    if parameters:
        storage.count_reference(trigger.ref, 1)
    if is_new:
        announcements.add(trigger, CREATE, storage)
    return trigger
