"""Rules against events."""

from __future__ import annotations

from typing import Any

import pytest

from st2sensor.matching import rules
from st2sensor.matching.criteria import Comparison
from st2sensor.matching.rules import RuleContent, Subject, Verdict, first_obstacle, judged, settled


def rule(**changes: Any) -> RuleContent:
    usual: dict[str, Any] = {
        "ref": "p.r",
        "enabled": True,
        "trigger_type": "p.t",
        "parameters": {},
        "criteria": {"trigger.a": {}},
    }
    return RuleContent(**(usual | changes))


def subject(**changes: Any) -> Subject:
    usual: dict[str, Any] = {"trigger": "p.t", "trigger_type": "p.t", "parameters": {}, "payload": {"a": 1}}
    return Subject(**(usual | changes))


@pytest.mark.parametrize(
    ("of_rule", "of_event", "outcome"),
    [
        ({}, {}, None),
        ({"enabled": False}, {}, rules.DISABLED),
        ({"trigger_type": "p.other"}, {}, rules.OTHER_TYPE),
        ({"trigger_type": None, "trigger": "p.x"}, {}, rules.OTHER_TYPE),
        ({"parameters": {"a": 1}}, {}, rules.OTHER_PARAMETERS),
        ({"parameters": {"a": 1}}, {"parameters": {"a": 1}}, None),
        ({"parameters": {"a": 1}, "trigger": "p.uuid"}, {"trigger": "p.uuid", "parameters": None}, None),
        ({"parameters": {"a": 1}, "trigger": "p.uuid"}, {"trigger": "p.other", "parameters": None}, "other parameters"),
        ({}, {"payload": {}}, rules.EMPTY),
        ({"criteria": {}}, {"payload": {}}, None),
    ],
)
def test_the_first_obstacle_is_named(of_rule: dict[str, Any], of_event: dict[str, Any], outcome: str | None) -> None:
    found = first_obstacle(rule(**of_rule), subject(**of_event))
    assert (None if found is None else found.outcome) == outcome


def compared(matched: bool | None) -> Comparison:
    return Comparison(key="trigger.a", operator="eq", words="must equal", pattern=1, value=2, matched=matched)


def test_all_criteria_must_match() -> None:
    assert judged(rule(), [compared(True), compared(True)]).outcome == rules.MATCHES
    assert judged(rule(), []).outcome == rules.MATCHES
    assert judged(rule(), [compared(None), compared(False)]).outcome == rules.CRITERIA
    assert judged(rule(), [compared(None), compared(True)]).outcome == rules.UNCLEAR


def test_a_backstop_rule_gives_way() -> None:
    backstop = Verdict(rule=rule(ref="p.b", kind=rules.BACKSTOP), outcome=rules.MATCHES)
    matching = Verdict(rule=rule(), outcome=rules.MATCHES)
    assert [found.outcome for found in settled([backstop, matching])] == [rules.NOT_NEEDED, rules.MATCHES]
    failing = Verdict(rule=rule(), outcome=rules.CRITERIA)
    assert [found.outcome for found in settled([backstop, failing])] == [rules.MATCHES, rules.CRITERIA]
