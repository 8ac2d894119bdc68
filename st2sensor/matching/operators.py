"""The operators of a rule's criteria, by their names in https://docs.stackstorm.com/rules.html, with the short forms.

Values are compared as they are: only the limits of time differences are converted to numbers. A comparison that Python
cannot make, such as text with a number, is an error, and then the rule does not match.
"""

from __future__ import annotations

import fnmatch
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dateutil import parser

Test = Callable[[Any, Any], bool]
"""Compares the payload's value with the pattern. May raise any exception."""

SEARCH = "search"
"""The operator that applies criteria to each item of a list. It needs more than a value and a pattern."""

CONDITIONS: dict[str, tuple[Callable[[Sequence[bool]], bool], Callable[[Sequence[bool]], bool]]] = {
    "any": (any, all),
    "all": (all, all),
    "any2any": (any, any),
    "all2any": (all, any),
}
"""Conditions of `search`: how the items' results are combined, and how the results of an item's criteria are."""


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator.

    :param name: its long name.
    :param words: what the value must do, in words between the value and the pattern.
    :param test: the comparison.
    :param needs_pattern: whether nothing matches a pattern that is missing or null.
    """

    name: str
    words: str
    test: Test
    needs_pattern: bool = True


def _swapped(test: Test) -> Test:
    return lambda value, pattern: test(pattern, value)


def _not(test: Test) -> Test:
    return lambda value, pattern: not test(value, pattern)


def _without_case(test: Test) -> Test:
    return lambda value, pattern: test(value.lower(), pattern.lower())


def _expression(find: Callable[[re.Pattern[str], str], object], flags: int = 0) -> Test:
    return lambda value, pattern: find(re.compile(pattern, flags), value) is not None


def _age(test: Test, now: Callable[[], float]) -> Test:
    return lambda value, seconds: test(now() - _moment(value), float(seconds))


def _moment(text: str) -> float:
    """Return a time in any usual notation, in seconds since the epoch. A time without a zone is in UTC."""
    found: datetime = parser.parse(text)
    return (found.replace(tzinfo=UTC) if found.tzinfo is None else found).timestamp()


def operators(now: Callable[[], float] = lambda: datetime.now(UTC).timestamp()) -> dict[str, Operator]:
    """Return the operators by every name that rules may use.

    :param now: the time with which `timediff_*` compare, in seconds since the epoch.
    """
    holds: Test = operator.contains
    starts: Test = str.startswith
    ends: Test = str.endswith
    table: dict[tuple[str, ...], tuple[str, Test]] = {
        ("equals", "eq"): ("must equal", operator.eq),
        ("iequals", "ieq"): ("must equal, in any case,", _without_case(operator.eq)),
        ("lessthan", "lt"): ("must be less than", operator.lt),
        ("greaterthan", "gt"): ("must be greater than", operator.gt),
        ("matchwildcard",): ("must match the wildcard", fnmatch.fnmatch),
        ("regex",): ("must match the expression", _expression(re.Pattern.search)),
        ("iregex",): ("must match, in any case, the expression", _expression(re.Pattern.search, re.IGNORECASE)),
        ("matchregex",): ("must begin with the expression", _expression(re.Pattern.match, re.DOTALL)),
        ("contains",): ("must contain", holds),
        ("ncontains",): ("must not contain", _not(holds)),
        ("icontains",): ("must contain, in any case,", _without_case(holds)),
        ("incontains",): ("must not contain, in any case,", _without_case(_not(holds))),
        ("startswith",): ("must start with", starts),
        ("istartswith",): ("must start, in any case, with", _without_case(starts)),
        ("endswith",): ("must end with", ends),
        ("iendswith",): ("must end, in any case, with", _without_case(ends)),
        ("timediff_lt", "td_lt"): ("must be younger, in seconds, than", _age(operator.lt, now)),
        ("timediff_gt", "td_gt"): ("must be older, in seconds, than", _age(operator.gt, now)),
        ("inside", "in"): ("must be in", _swapped(holds)),
        ("ninside", "nin"): ("must not be in", _swapped(_not(holds))),
    }
    loose: dict[tuple[str, ...], tuple[str, Test]] = {
        ("nequals", "neq"): ("must not equal", operator.ne),
        ("exists",): ("must be there", lambda value, _: value is not None),
        ("nexists",): ("must not be there", lambda value, _: value is None),
    }
    return {
        name: Operator(names[0], *found, needs_pattern=group is table)
        for group in (table, loose)
        for names, found in group.items()
        for name in names
    }


NAMES = frozenset({*operators(), SEARCH})
"""Every name of an operator."""
