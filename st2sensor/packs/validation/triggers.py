"""Compares dispatches and rules with the declared trigger types."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from st2sensor.errors import ContentError
from st2sensor.models import CORE_PACK, TriggerType
from st2sensor.packs.bundled import core_trigger_types
from st2sensor.packs.configuration.checker import Checker
from st2sensor.packs.metadata import SensorDeclaration
from st2sensor.packs.registration import rules
from st2sensor.packs.validation.declarations import Declarations
from st2sensor.packs.validation.dispatches import Dispatch, Payload
from st2sensor.packs.validation.finding import Finding, Severity, found
from st2sensor.schemas import dialect


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The trigger types of all packs that are validated together, and the core's.

    :param named: the references of all trigger types, including those whose declaration is broken.
    :param packs: the packs whose trigger types are all known.
    :param partial: the packs that have trigger types which are not known.
    """

    types: Mapping[str, TriggerType]
    named: Collection[str]
    packs: Collection[str]
    partial: Collection[str]


def known(packs: Sequence[Declarations]) -> Known:
    types = {item.ref: item for item in core_trigger_types()}
    types |= {declared.type.ref: declared.type for pack in packs for declared in pack.triggers}
    return Known(
        types=types,
        named={*types, *(name for pack in packs for name in pack.named)},
        packs={CORE_PACK, *(pack.pack.ref for pack in packs if pack.is_whole)},
        partial={pack.pack.ref for pack in packs if not pack.is_whole},
    )


def check_dispatches(sensor: SensorDeclaration, dispatches: Sequence[Dispatch], types: Known) -> Iterator[Finding]:
    """Find dispatches of undeclared triggers, and payloads that do not fit."""
    for dispatch in dispatches:
        for trigger in dispatch.triggers or ():
            if trigger not in types.named:
                yield from _undeclared(sensor, dispatch, trigger, types)
        if dispatch.triggers is not None and len(dispatch.triggers) == 1 and dispatch.payload is not None:
            declared = types.types.get(dispatch.triggers[0])
            if declared is not None:
                yield from _misfits(sensor, dispatch, dispatch.payload, declared)


def _undeclared(sensor: SensorDeclaration, dispatch: Dispatch, trigger: str, types: Known) -> Iterator[Finding]:
    pack, dot, name = trigger.partition(".")
    own, file = sensor.sensor.pack, sensor.sensor.metadata_file
    if dot and pack not in types.packs:
        if pack not in types.partial:
            message = (
                f"trigger {trigger} is dispatched here and belongs to pack {pack}, which is not checked: give "
                f"its folder to the command as well; if there is no such pack, write {own}.{name} here and declare "
                f"that trigger type in {file}"
            )
            yield _at(sensor, dispatch, Severity.WARNING, "foreign-trigger", message)
        return
    if not dot:
        remedy = f"a trigger is named by pack and name, as in {own}.{trigger}"
    elif pack == own:
        remedy = f"add it to trigger_types in {file}"
    else:
        remedy = f"correct the name, or declare it in pack {pack}"
    message = f"trigger {trigger} is dispatched here and declared nowhere: it would become a dead letter; {remedy}"
    yield _at(sensor, dispatch, Severity.ERROR, "undeclared-trigger", message)


def _misfits(
    sensor: SensorDeclaration, dispatch: Dispatch, payload: Payload, declared: TriggerType
) -> Iterator[Finding]:
    """Find the violations of a trigger type's schema that do not depend on a payload's unknown values."""
    instance = {key: payload.known.get(key) for key in sorted(payload.keys)}
    for violation in dialect.violations(declared.payload_schema or {}, instance):
        if violation.place:
            is_certain = violation.place[0] in payload.known
        else:
            is_certain = violation.keyword in ("required", "additionalProperties")
        if is_certain:
            where = f"{violation.place[0]}: " if violation.place else ""
            message = (
                f"the payload does not fit the payload_schema of {declared.ref}: {where}{violation.message}; it would "
                f"become a dead letter; correct the payload, or the schema in {declared.metadata_file}"
            )
            yield _at(sensor, dispatch, Severity.WARNING, "payload", message)


def _at(sensor: SensorDeclaration, dispatch: Dispatch, severity: Severity, rule: str, message: str) -> Finding:
    error = ContentError(message, file=str(dispatch.file), line=dispatch.line)
    return found(sensor.sensor.pack, error, rule, severity)


def check_undispatched(pack: Declarations, dispatches: Sequence[Dispatch]) -> Iterator[Finding]:
    """Find trigger types that sensors declare but no sensor of the pack dispatches.

    :param dispatches: all dispatches of the pack's sensors; the trigger of each is known with certainty.
    """
    dispatched = {trigger for dispatch in dispatches for trigger in dispatch.triggers or ()}
    for declared in pack.triggers:
        if declared.owner is not None and declared.type.ref not in dispatched:
            message = (
                f"trigger type {declared.type.ref} is declared here, and no sensor of the pack dispatches it; remove "
                "it, or dispatch it"
            )
            error = ContentError(message, file=declared.file, line=declared.line)
            yield found(pack.pack.ref, error, "undispatched-trigger", Severity.WARNING)


def check_rules(pack: Declarations, types: Known, checker: Checker) -> Iterator[Finding]:
    """Find rules whose trigger type is certainly missing, or does not accept their parameters."""
    for rule in pack.rules:
        declared = types.types.get(rule.trigger_type)
        if declared is not None:
            problem = rules.misfit(rule, declared, checker)
            if problem is not None:
                yield found(pack.pack.ref, problem, "rule-parameters")
        elif rule.trigger_type not in types.named and rule.trigger_type.partition(".")[0] in types.packs:
            yield found(pack.pack.ref, rules.unknown_type(rule), "unknown-trigger", Severity.WARNING)
