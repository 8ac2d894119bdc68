"""The result of a criterion as a sentence, with both values, of limited length."""

from __future__ import annotations

import json
from typing import Any

from st2sensor.masking import MASK
from st2sensor.matching import criteria
from st2sensor.matching.criteria import Comparison

LONGEST = 200
"""Maximum number of characters of a value that is shown."""

KINDS: dict[type, str] = {
    str: "text",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
    type(None): "null",
}

CODES = (
    (criteria.MISSING, "criterion-missing-key", "correct the key; st2sensor tail --json shows payloads"),
    (criteria.NO_OPERATOR, "criterion-no-operator", "correct the type of the criterion"),
    (criteria.NO_TYPE, "criterion-no-operator", "add a type to the criterion"),
    (criteria.NO_PATTERN, "criterion-no-pattern", "add a pattern to the criterion"),
    (criteria.NOT_RENDERED, "criterion-not-rendered", "correct the expression, or store the key"),
    (criteria.NOT_COMPARABLE, "criterion-not-comparable", "compare values of one type, or correct the expression"),
    ("the datastore has no key", "criterion-missing-value", "st2sensor key set stores it"),
)
"""Beginnings of problems, with the code and the remedy of each."""


def of_comparison(found: Comparison) -> str:
    """Return a sentence that says why a criterion does not match."""
    if found.matched is None or not found.words:
        return f"{found.key}: {found.problem}"
    pattern = "" if found.operator.lower() in ("exists", "nexists", "search") else f" {shown(found.pattern)}"
    extra = f"; {found.problem}" if found.problem else _kinds(found)
    return f"{found.key} {found.words}{pattern}, but is {shown(found.value)}{extra}"


def code_of(found: Comparison) -> tuple[str, str]:
    """Return the code of a criterion that does not match, and what to do."""
    if found.matched is None:
        return "criterion-unclear", "test the rule in StackStorm: st2-rule-tester"
    chosen = ((code, remedy) for words, code, remedy in CODES if words in found.problem)
    return next(chosen, ("criterion", "if the rule should match such events, correct the criterion"))


def _kinds(found: Comparison) -> str:
    """Return a hint if the two differ in type alone."""
    one, two = KINDS.get(type(found.value)), KINDS.get(type(found.pattern))
    if one != two and found.value is not None and str(found.value) == str(found.pattern):
        return f": one is {one}, the other {two}"
    return ""


def shown(value: Any) -> str:
    """Return a value as JSON, shortened."""
    if value == MASK:
        return MASK
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
