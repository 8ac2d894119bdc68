"""Requests triggers, as rules do. A trigger with parameters exists as long as its reference count is above 0."""

from __future__ import annotations

import uuid
from collections.abc import Hashable, Mapping
from typing import Any

from st2sensor.errors import TriggerRefused, WorkFailed
from st2sensor.models import Refusal, Trigger, TriggerType
from st2sensor.packs.configuration.checker import Checker
from st2sensor.packs.registration.announcements import Announcements
from st2sensor.storage.base import Storage
from st2sensor.transport.topology import CREATE, DELETE


def ask(
    trigger_type: str,
    parameters: Mapping[str, Any],
    storage: Storage,
    announcements: Announcements,
    checker: Checker,
) -> Trigger:
    """Count a reference to a trigger, which is created if it is missing. Raises TriggerRefused.

    Each call needs a call of `withdraw`.

    :param trigger_type: the type's reference.
    """
    refusal = storage.get(Refusal, trigger_type)
    found = fitting(trigger_type, storage.get(TriggerType, trigger_type), parameters, refusal, checker)
    return counted(found, parameters, storage, announcements, Triggers(storage))


def withdraw(trigger: str, storage: Storage, announcements: Announcements, triggers: Triggers | None = None) -> None:
    """Give back a reference to a trigger, which is deleted with the last one.

    A trigger without parameters belongs to its type, and is kept.

    :param trigger: the trigger's reference.
    :param triggers: learns of the removal; None if nothing is looked up afterwards.
    """
    known = storage.get(Trigger, trigger)
    if known is None or not known.parameters:
        return
    storage.count_reference(trigger, -1)
    if storage.get(Trigger, trigger) is None:
        announcements.add(known, DELETE, storage)
        if triggers is not None:
            triggers.removed()


def fitting(
    ref: str,
    trigger_type: TriggerType | None,
    parameters: Mapping[str, Any],
    refusal: Refusal | None,
    checker: Checker,
) -> TriggerType:
    """Return a trigger type if some parameters fit it. Raises TriggerRefused.

    :param trigger_type: the type of this reference; None when it is not registered.
    :param refusal: the refusal of that type's declaration, if there is one.
    """
    if trigger_type is None:
        raise unknown(ref, refusal)
    problem = _violation(ref, trigger_type, parameters, checker)
    if problem is not None:
        raise TriggerRefused(f"parameters do not fit trigger type {ref}: {problem}", key="parameters")
    return trigger_type


def unknown(ref: str, refusal: Refusal | None) -> TriggerRefused:
    """Return the error for a trigger type that is not known.

    :param refusal: the refusal of that type's declaration, if there is one.
    """
    if refusal is not None:
        return TriggerRefused(f"trigger type {ref} was refused: {refusal.error}", key="type")
    return TriggerRefused(
        f"there is no trigger type {ref}; correct the type, or register the pack whose sensor or triggers/ declares it",
        key="type",
    )


def _violation(ref: str, trigger_type: TriggerType, parameters: Mapping[str, Any], checker: Checker) -> str | None:
    if not trigger_type.parameters_schema:
        return None
    try:
        found = checker.violation(dict(parameters), trigger_type.parameters_schema)
    except WorkFailed as failure:
        raise TriggerRefused(
            f"parameters cannot be checked against the parameters_schema of trigger type {ref}: {failure}; simplify "
            "the schema",
            key="parameters",
        ) from failure
    if found is None:
        return None
    place, message = ".".join(map(str, found[0])), found[1]
    return f"{place}: {message}" if place else message


class Triggers:
    """Finds the triggers of a storage by their parameters.

    It reads all triggers once, and again only if another process has added or removed some, so that many rules can be
    registered in little time.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._refs: dict[Hashable, str] = {}
        """References of triggers by type and parameters."""
        self._size: int | None = None
        """The number of triggers in the storage, as far as it is known here."""

    def find(self, trigger_type: str, parameters: Mapping[str, Any]) -> Trigger | None:
        """Return the trigger of a type that has these parameters, or None."""
        if self._storage.size(Trigger) != self._size:
            self._read()
        ref = self._refs.get(_key(trigger_type, parameters))
        trigger = None if ref is None else self._storage.get(Trigger, ref)
        if ref is not None and (trigger is None or dict(trigger.parameters) != dict(parameters)):
            # Another process has just removed or changed it.
            self._read()
            ref = self._refs.get(_key(trigger_type, parameters))
            trigger = None if ref is None else self._storage.get(Trigger, ref)
        return trigger

    def added(self, trigger: Trigger) -> None:
        """Note that this process has added a trigger."""
        self._refs[_key(trigger.type, trigger.parameters)] = trigger.ref
        if self._size is not None:
            self._size += 1

    def removed(self) -> None:
        """Note that this process has removed a trigger. `find` does not return a trigger that is gone."""
        if self._size is not None:
            self._size -= 1

    def renamed(self, trigger: Trigger) -> None:
        """Note that this process has given a trigger these parameters."""
        self._refs[_key(trigger.type, trigger.parameters)] = trigger.ref

    def _read(self) -> None:
        # Counted first: a trigger that is added in between is read twice rather than never.
        self._size = self._storage.size(Trigger)
        self._refs = {}
        for trigger in self._storage.all(Trigger):
            self._refs.setdefault(_key(trigger.type, trigger.parameters), trigger.ref)


def _key(trigger_type: str, parameters: Mapping[str, Any]) -> Hashable:
    return trigger_type, _hashable(parameters)


def _hashable(value: Any) -> Hashable:
    """Return a value that can be compared: two results are equal exactly if the given values are equal."""
    if isinstance(value, Mapping):
        return frozenset((name, _hashable(item)) for name, item in value.items())
    if isinstance(value, (list, tuple)):
        return tuple(map(_hashable, value))
    found: Hashable = value
    return found


def counted(
    trigger_type: TriggerType,
    parameters: Mapping[str, Any],
    storage: Storage,
    announcements: Announcements,
    triggers: Triggers,
) -> Trigger:
    """Count a reference to a trigger, which is created if it is missing."""
    while True:
        trigger = triggers.find(trigger_type.ref, parameters)
        is_new = trigger is None
        if trigger is None:
            name = str(uuid.uuid4()) if parameters else trigger_type.name
            trigger = Trigger(pack=trigger_type.pack, name=name, type=trigger_type.ref, parameters=parameters)
            storage.put(trigger)
            triggers.added(trigger)
        if parameters:
            storage.count_reference(trigger.ref, 1)
            if storage.get(Trigger, trigger.ref) is None:
                # Another host has withdrawn the last reference just before this one was counted.
                continue
        if is_new:
            announcements.add(trigger, CREATE, storage)
        return trigger
