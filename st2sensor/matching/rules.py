"""Evaluates a rule against an event: is it enabled, does it ask for the event's trigger, and do its criteria match?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from st2sensor.matching.criteria import Comparison

STANDARD, BACKSTOP = "standard", "backstop"
"""The types of rules. A backstop rule is only evaluated for events that no other rule matches."""

MATCHES, DISABLED, OTHER_TYPE, OTHER_PARAMETERS = "matches", "disabled", "other type", "other parameters"
EMPTY, CRITERIA, UNCLEAR, NOT_NEEDED, UNREAD = "empty payload", "criteria", "unclear", "backstop", "unread"
"""Outcomes of an evaluation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleContent:
    """The parts of a rule that decide whether it matches.

    :param ref: `pack.name`.
    :param trigger_type: reference of the trigger type; None if it is not known.
    :param parameters: of the trigger; None if they are not known.
    :param trigger: reference of the trigger in the database; None for a rule in a file.
    :param kind: `standard` or `backstop`.
    :param created: seconds since the epoch; None if it is not known.
    :param problem: why the rest of the rule cannot be read; empty if it can.
    """

    ref: str
    enabled: bool
    trigger_type: str | None
    parameters: Mapping[str, Any] | None
    criteria: Mapping[str, Any]
    trigger: str | None = None
    kind: str = STANDARD
    created: float | None = None
    action: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The event that a rule is evaluated against.

    :param trigger: reference of its trigger.
    :param parameters: the trigger's; None if they are not known.
    """

    trigger: str
    trigger_type: str
    parameters: Mapping[str, Any] | None
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The result for one rule.

    :param outcome: one of the outcomes above.
    :param comparisons: the result of each criterion, if they were evaluated.
    """

    rule: RuleContent
    outcome: str
    detail: str = ""
    comparisons: Sequence[Comparison] = field(default=())

    @property
    def failed(self) -> list[Comparison]:
        """The criteria that do not match, or for which that is unknown."""
        return [found for found in self.comparisons if not found.matched]


def first_obstacle(rule: RuleContent, subject: Subject) -> Verdict | None:
    """Return why a rule does not match, as far as that shows before its criteria are evaluated; None to go on."""

    def verdict(outcome: str, detail: str) -> Verdict:
        return Verdict(rule=rule, outcome=outcome, detail=detail)

    if rule.trigger_type != subject.trigger_type:
        asked = rule.trigger_type or f"trigger {rule.trigger}, which is not registered"
        return verdict(OTHER_TYPE, f"it asks for {asked}, not {subject.trigger_type}")
    if not _is_same_trigger(rule, subject):
        return verdict(OTHER_PARAMETERS, "its trigger has other parameters")
    if rule.problem:
        return verdict(UNREAD, f"its criteria are unknown: {rule.problem}")
    if not rule.enabled:
        return verdict(DISABLED, "it is disabled")
    if rule.criteria and not subject.payload:
        return verdict(EMPTY, "it has criteria, and the payload is empty")
    return None


def _is_same_trigger(rule: RuleContent, subject: Subject) -> bool:
    """Return whether both have the same trigger. If the event's parameters are unknown, assume that they fit."""
    if rule.trigger is not None and rule.trigger == subject.trigger:
        return True
    if rule.parameters is None or subject.parameters is None:
        return rule.trigger is None or subject.trigger == subject.trigger_type
    return dict(rule.parameters) == dict(subject.parameters)


def judged(rule: RuleContent, comparisons: Sequence[Comparison]) -> Verdict:
    """Return the verdict that the results of a rule's criteria make."""
    outcome = (
        CRITERIA
        if any(found.matched is False for found in comparisons)
        else UNCLEAR
        if any(found.matched is None for found in comparisons)
        else MATCHES
    )
    return Verdict(rule=rule, outcome=outcome, comparisons=tuple(comparisons))


def settled(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Return the verdicts on all rules of an event. Backstop rules give way to a standard rule that matches."""
    matching = [found for found in verdicts if found.outcome == MATCHES and found.rule.kind != BACKSTOP]
    if not matching:
        return list(verdicts)
    return [
        Verdict(rule=found.rule, outcome=NOT_NEEDED, detail=f"{matching[0].rule.ref} matches already")
        if found.rule.kind == BACKSTOP and found.outcome == MATCHES
        else found
        for found in verdicts
    ]
