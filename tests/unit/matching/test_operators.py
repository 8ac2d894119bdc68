"""The operators of criteria, one by one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from st2sensor.matching.operators import NAMES, SEARCH, operators

NOW = 1_700_000_000.0
KNOWN = operators(lambda: NOW)

TABLE: list[tuple[str, Any, Any, bool]] = [
    ("equals", 5, 5, True),
    ("equals", 5, "5", False),
    ("equals", "a", "A", False),
    ("equals", [1, {"a": 2}], [1, {"a": 2}], True),
    ("eq", 1.0, 1, True),
    ("nequals", "a", "b", True),
    ("neq", "a", "a", False),
    ("nequals", None, None, False),
    ("iequals", "Watch", "wATCH", True),
    ("ieq", "a", "b", False),
    ("lessthan", 5, 6, True),
    ("lt", 6, 6, False),
    ("greaterthan", 7, 6.5, True),
    ("gt", "b", "a", True),
    ("matchwildcard", "web-01.example.com", "web-*.example.???", True),
    ("matchwildcard", "db-01", "web-*", False),
    ("regex", "xxabyy", "a.y", True),
    ("regex", "a\nb", "a.b", False),
    ("regex", "ABC", "abc", False),
    ("iregex", "ABC", "b", True),
    ("matchregex", "abc", "b", False),
    ("matchregex", "a\nb", "a.b", True),
    ("contains", "haystack", "stack", True),
    ("contains", ["a", "b"], "b", True),
    ("contains", {"a": 1}, "a", True),
    ("ncontains", "haystack", "needle", True),
    ("ncontains", ["a"], "a", False),
    ("icontains", "HayStack", "STACK", True),
    ("incontains", "HayStack", "STACK", False),
    ("startswith", "critical: x", "critical", True),
    ("istartswith", "CRITICAL: x", "critical", True),
    ("endswith", "x.log", ".log", True),
    ("endswith", "x.LOG", ".log", False),
    ("iendswith", "x.LOG", ".log", True),
    ("timediff_lt", "2023-11-14T22:13:10Z", 15, True),
    ("td_lt", "2023-11-14T22:13:10Z", "5", False),
    ("timediff_gt", "2023-11-14 22:13:10", 5, True),
    ("td_gt", "14 Nov 2023 23:13:10 +0100", "15", False),
    ("exists", 0, None, True),
    ("exists", None, None, False),
    ("nexists", None, None, True),
    ("nexists", "", None, False),
    ("inside", "a", ["a", "b"], True),
    ("in", "a", "cat", True),
    ("ninside", "x", ["a", "b"], True),
    ("nin", "a", "cat", False),
]


@pytest.mark.parametrize(("name", "value", "pattern", "matched"), TABLE)
def test_an_operator_compares(name: str, value: Any, pattern: Any, matched: bool) -> None:
    assert KNOWN[name].test(value, pattern) is matched


def test_the_table_has_every_operator() -> None:
    assert {row[0] for row in TABLE} | {SEARCH} == NAMES


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
OPPOSITES = [("equals", "nequals"), ("contains", "ncontains"), ("icontains", "incontains"), ("inside", "ninside")]


@given(value=JSON, pattern=JSON, names=st.sampled_from([*OPPOSITES, ("exists", "nexists")]))
def test_opposite_operators_never_agree(value: Any, pattern: Any, names: tuple[str, str]) -> None:
    def result(name: str) -> object:
        try:
            return KNOWN[name].test(value, pattern)
        except (TypeError, AttributeError) as error:
            return type(error)

    first, second = map(result, names)
    assert first is second if isinstance(first, type) else first is not second


@given(text=st.text(), start=st.integers(0, 20), length=st.integers(0, 20))
def test_parts_of_a_text_are_found(text: str, start: int, length: int) -> None:
    part = text[start : start + length]
    assert KNOWN["contains"].test(text, part)
    assert KNOWN["inside"].test(part, text)
    assert KNOWN["startswith"].test(text, text[:length])
    assert KNOWN["endswith"].test(text, text[start:])


@given(one=st.floats(allow_nan=False), two=st.floats(allow_nan=False))
def test_numbers_are_in_one_order(one: float, two: float) -> None:
    found = [KNOWN[name].test(one, two) for name in ("lessthan", "equals", "greaterthan")]
    assert found.count(True) == 1
