"""Criteria as sentences."""

from __future__ import annotations

from typing import Any

import pytest

from st2sensor.matching.criteria import MISSING, NOT_COMPARABLE, Comparison
from st2sensor.why.causes.sentences import LONGEST, code_of, of_comparison

EQUAL = 'trigger.a must equal "5", but is'


def comparison(**changes: Any) -> Comparison:
    usual: dict[str, Any] = {"key": "trigger.a", "operator": "eq", "words": "must equal", "matched": False}
    return Comparison(**(usual | {"pattern": "5", "value": 6} | changes))


@pytest.mark.parametrize(
    ("changes", "sentence", "code"),
    [
        ({}, 'trigger.a must equal "5", but is 6', "criterion"),
        ({"value": 5}, 'trigger.a must equal "5", but is 5: one is a number, the other text', "criterion"),
        (
            {"value": None, "problem": MISSING},
            f'trigger.a must equal "5", but is null; {MISSING}',
            "criterion-missing-key",
        ),
        (
            {"problem": f"{NOT_COMPARABLE}: x"},
            f'trigger.a must equal "5", but is 6; {NOT_COMPARABLE}: x',
            "criterion-not-comparable",
        ),
        (
            {"operator": "exists", "words": "must be there", "value": None},
            "trigger.a must be there, but is null",
            "criterion",
        ),
        ({"matched": None, "problem": "odd"}, "trigger.a: odd", "criterion-unclear"),
        ({"value": "********"}, 'trigger.a must equal "5", but is ********', "criterion"),
    ],
)
def test_a_criterion_is_told_with_both_values(changes: dict[str, Any], sentence: str, code: str) -> None:
    found = comparison(**changes)
    assert of_comparison(found) == sentence
    assert code_of(found)[0] == code


def test_long_values_are_shortened() -> None:
    assert len(of_comparison(comparison(value="x" * 10**6))) < LONGEST + 60
