"""Registers rules as far as sensors need them: each rule requests a trigger, and keeps it alive."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from st2sensor.errors import ContentError, TriggerRefused
from st2sensor.models import Pack, Refusal, Rule, Trigger, TriggerType
from st2sensor.packs import metadata
from st2sensor.packs.configuration.checker import Checker
from st2sensor.packs.metadata import RuleDeclaration
from st2sensor.packs.registration import asking
from st2sensor.packs.registration.announcements import Announcements
from st2sensor.packs.registration.outcome import Outcome, Result, blaming, failed
from st2sensor.storage.base import Storage
from st2sensor.transport.topology import UPDATE


def register_files(
    files: Sequence[tuple[Pack, Path]],
    present: Collection[str] | None,
    storage: Storage,
    announcements: Announcements,
    checker: Checker,
    is_disabled: Callable[[RuleDeclaration], bool],
) -> Iterator[Outcome]:
    """Register the rules in some files, and unregister those that are gone.

    Where StackStorm has rules, it counts their references itself. Counting them here as well would keep triggers alive
    after their last rule is gone, so in that case all rules are left to StackStorm.

    :param present: the packs whose rule files are all given; None for all packs.
    :param is_disabled: returns whether an operator has disabled a rule, which then requests no trigger; may raise
        ContentError.
    """
    if storage.stackstorm_rules():
        yield from _left_to_stackstorm(files, storage, announcements)
        return
    declared: dict[str, str] = {}
    triggers, rules = asking.Triggers(storage), {rule.ref: rule for rule in storage.all(Rule)}
    types = {item.ref: item for item in storage.all(TriggerType)}
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
                if declaration.trigger_type not in types:
                    problem = unknown_type(declaration, storage.get(Refusal, declaration.trigger_type))
                    yield Outcome(kind="rule", ref=ref, result=Result.WAITING, message=str(problem))
                    continue
                trigger_type = _type_for(declaration, types[declaration.trigger_type], None, checker)
                result = register(declaration, trigger_type, rules.get(ref), storage, announcements, triggers)
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
    """Register nothing, and give back the references that were counted here before StackStorm had rules.

    Give back no other references, because StackStorm counts its own references to the same triggers.
    """
    counted = storage.all(Rule)
    for rule in counted:
        yield _unregistered(rule, storage, announcements, Result.GIVEN_BACK)
    known = {rule.ref for rule in counted}
    for pack, path in files:
        try:
            ref = f"{pack.ref}.{metadata.rule(pack, path).name}"
        except ContentError:
            # StackStorm's own registration reports the error.
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


def register(
    declared: RuleDeclaration,
    trigger_type: TriggerType,
    known: Rule | None,
    storage: Storage,
    announcements: Announcements,
    triggers: asking.Triggers,
) -> Result:
    """Count the trigger that a rule requests, instead of the trigger that it requested before. Raises ContentError.

    Several hosts may register one rule at a time. The rule's record says which reference is counted for it, so only the
    host that changes the record keeps the reference it counted; the others give theirs back.

    :param known: the rule's record; None if there was none.
    """
    if known is not None and _same(known, declared) and _stands(known, storage):
        return Result.UNCHANGED
    own = None if known is None else _own(known, declared, storage, announcements, triggers)
    if known is not None and own is not None:
        storage.replace_rule(known, _rule(declared, own.ref))
        return Result.CHANGED
    trigger = asking.counted(trigger_type, declared.parameters, storage, announcements, triggers)
    rule = _rule(declared, trigger.ref)
    if not (_added(rule, storage) if known is None else storage.replace_rule(known, rule)):
        asking.withdraw(trigger.ref, storage, announcements, triggers)
        return Result.UNCHANGED
    if known is None:
        return Result.CREATED
    asking.withdraw(known.trigger, storage, announcements, triggers)
    return Result.CHANGED


def unregister(rule: Rule, storage: Storage, announcements: Announcements) -> None:
    """Delete a rule's record and give back its reference, unless another host has done so or has changed the record."""
    if storage.replace_rule(rule, None):
        asking.withdraw(rule.trigger, storage, announcements)


def unknown_type(declared: RuleDeclaration, refusal: Refusal | None = None) -> ContentError:
    """Return the error for a rule whose trigger type is not known, with the place in its file.

    When a rule is registered, this error does not count as a failure: StackStorm also accepts a rule before its trigger
    type.

    :param refusal: the refusal of that type's declaration, if there is one.
    """
    return _placed(asking.unknown(declared.trigger_type, refusal), declared)


def misfit(declared: RuleDeclaration, trigger_type: TriggerType, checker: Checker) -> ContentError | None:
    """Return why a rule's parameters do not fit its trigger type, with the place in its file, or None."""
    try:
        _type_for(declared, trigger_type, None, checker)
    except ContentError as error:
        return error
    return None


def _type_for(
    declared: RuleDeclaration, trigger_type: TriggerType | None, refusal: Refusal | None, checker: Checker
) -> TriggerType:
    """Return the trigger type if the rule fits it. Raises ContentError."""
    try:
        return asking.fitting(declared.trigger_type, trigger_type, declared.parameters, refusal, checker)
    except TriggerRefused as problem:
        raise _placed(problem, declared) from problem


def _placed(problem: TriggerRefused, declared: RuleDeclaration) -> ContentError:
    return declared.file.error(str(problem), ["trigger", problem.key])


def _same(known: Rule, declared: RuleDeclaration) -> bool:
    return known.trigger_type == declared.trigger_type and dict(known.parameters) == dict(declared.parameters)


def _stands(known: Rule, storage: Storage) -> bool:
    """Return whether a rule's trigger exists with the rule's parameters. Another host may have changed it in place."""
    trigger = storage.get(Trigger, known.trigger)
    return trigger is not None and dict(trigger.parameters) == dict(known.parameters)


def _added(rule: Rule, storage: Storage) -> bool:
    """Insert a new rule's record; False when another host has inserted it first."""
    if storage.insert(rule):
        return True
    if storage.get(Rule, rule.ref) is not None:
        return False
    # A record with this name already exists, but it cannot be read.
    storage.put(rule)
    return True


def _rule(declared: RuleDeclaration, trigger: str) -> Rule:
    return Rule(
        pack=declared.pack,
        name=declared.name,
        metadata_file=declared.metadata_file,
        trigger_type=declared.trigger_type,
        parameters=declared.parameters,
        trigger=trigger,
    )


def _own(
    known: Rule,
    declared: RuleDeclaration,
    storage: Storage,
    announcements: Announcements,
    triggers: asking.Triggers,
) -> Trigger | None:
    """Return the trigger that a rule has already counted, with the parameters that it wants now; None when it needs
    another trigger.

    A trigger that only this rule uses changes in place, so that the sensor gets an update.
    """
    if known.trigger_type != declared.trigger_type or not declared.parameters:
        return None
    existing = triggers.find(declared.trigger_type, declared.parameters)
    if existing is not None:
        return existing if existing.ref == known.trigger else None
    current = storage.get(Trigger, known.trigger)
    if current is None or not current.parameters or current.ref_count > 1:
        return None
    changed = replace(current, parameters=declared.parameters)
    storage.rename_trigger(current.uid, changed)
    triggers.renamed(changed)
    announcements.add(changed, UPDATE, storage)
    return changed
