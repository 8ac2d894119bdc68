"""Evaluates the criteria of a rule against a payload. Every criterion is evaluated, also after one that fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from st2sensor.matching import paths
from st2sensor.matching.operators import CONDITIONS, NAMES, SEARCH, Operator

Render = Callable[[Any, Mapping[str, Any]], Any]
"""Returns a pattern with its expressions rendered, given the names that they may use. Raises NotRendered."""

PAYLOAD, ITEM = "trigger", "item"
"""The first part of the keys of criteria, and of the criteria inside `search`."""

MISSING = "the payload has no such key"

NO_OPERATOR, NO_TYPE, NO_PATTERN = "there is no operator", "the criterion has no type", "the criterion has no pattern"
NOT_RENDERED, NOT_COMPARABLE = "its pattern cannot be rendered", "the two cannot be compared"
"""Beginnings of the problems of comparisons."""


class NotRendered(Exception):
    """The expressions of a pattern cannot be rendered.

    :param is_ours: whether StackStorm may be able to render it.
    """

    def __init__(self, message: str, *, is_ours: bool = False) -> None:
        super().__init__(message)
        self.is_ours = is_ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The result of one criterion.

    :param key: as in the rule.
    :param operator: as in the rule.
    :param words: what the value must do, in words between key and pattern.
    :param pattern: after rendering.
    :param value: the payload's value; None if there is none.
    :param matched: whether it matches; None if that is unknown here.
    :param problem: why it does not match, or why that is unknown, besides the two values.
    """

    key: str
    operator: str
    words: str
    pattern: Any
    value: Any
    matched: bool | None
    problem: str = ""


def compare(
    criteria: Mapping[str, Any], context: Mapping[str, Any], known: Mapping[str, Operator], render: Render
) -> list[Comparison]:
    """Return the result of each criterion, in order.

    :param context: the names that keys and expressions may use: `trigger`, the payload.
    :param known: the operators by name.
    """
    return [_compared(key, criterion, context, known, render) for key, criterion in criteria.items()]


def _compared(
    key: str, criterion: Any, context: Mapping[str, Any], known: Mapping[str, Operator], render: Render
) -> Comparison:
    def result(matched: bool | None, problem: str = "", words: str = "") -> Comparison:
        return Comparison(
            key=key, operator=name, words=words, pattern=pattern, value=value, matched=matched, problem=problem
        )

    name, pattern, value = "", None, None
    if not isinstance(criterion, Mapping) or not isinstance(criterion.get("type"), str):
        return result(False, f"{NO_TYPE}; name an operator, for example type: equals")
    name, pattern = criterion["type"], criterion.get("pattern")
    try:
        found = paths.values(key, context)
        pattern = render(pattern, context) if isinstance(pattern, str) else pattern
    except paths.BadPath as bad:
        return result(None, str(bad))
    except NotRendered as failure:
        return result(None if failure.is_ours else False, f"{NOT_RENDERED}: {failure}")
    value = found[0] if found else None
    if name.lower() not in NAMES:
        return result(False, f"{NO_OPERATOR} {name}; use one of {', '.join(sorted(NAMES))}")
    missing = "" if found else MISSING
    try:
        if name == SEARCH:
            matched, problem = _searched(criterion, value, known, render)
            return result(matched, missing or problem, "must have items that match")
        used = known[name.lower()]
        if used.needs_pattern and pattern is None:
            return result(False, NO_PATTERN, used.words)
        matched = bool(used.test(value, pattern))
        return result(matched, "" if matched else missing, used.words)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 (any value may meet any pattern)
        words = known[name.lower()].words if name.lower() in known else ""
        return result(False, missing or f"{NOT_COMPARABLE}: {type(error).__name__}: {error}", words)


def _searched(
    criterion: Mapping[str, Any], value: Any, known: Mapping[str, Operator], render: Render
) -> tuple[bool | None, str]:
    """Apply the criteria inside `search` to each item. Return whether the items match, and how many do."""
    condition, inner = criterion.get("condition"), criterion.get("pattern")
    if condition not in CONDITIONS:
        return False, f"condition {condition!r} is none of {', '.join(CONDITIONS)}"
    if not isinstance(inner, Mapping):
        return False, "its pattern is not a mapping of criteria"
    items = [value] if isinstance(value, Mapping) else value
    if not isinstance(items, list):
        return False, f"the value is {type(value).__name__}, not a list"
    over_items, over_criteria = CONDITIONS[condition]
    results = [compare(inner, {ITEM: item}, known, render) for item in items]
    unclear = [found for item in results for found in item if found.matched is None]
    if unclear:
        return None, f"{unclear[0].key}: {unclear[0].problem}"
    fitting = [over_criteria([bool(found.matched) for found in item]) for item in results]
    told = f"{sum(fitting)} of {len(fitting)} items match, but {condition} is required"
    return over_items(fitting), told + _first_failure(results, fitting)


def _first_failure(results: Sequence[Sequence[Comparison]], fitting: Sequence[bool]) -> str:
    """Return where the first item that does not match fails, without its values."""
    for number, (item, fits) in enumerate(zip(results, fitting, strict=True)):
        failed = [found for found in item if not found.matched]
        if not fits and failed:
            return f"; item {number} fails at {failed[0].key}"
    return ""
