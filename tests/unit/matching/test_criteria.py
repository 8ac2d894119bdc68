"""Criteria against payloads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from st2sensor.matching.criteria import Comparison, NotRendered, compare
from st2sensor.matching.operators import operators


def render(pattern: Any, context: Mapping[str, Any]) -> Any:
    if pattern == "{{ wrong }}":
        raise NotRendered("'wrong' is undefined")
    if pattern == "{{ version_more_than }}":
        raise NotRendered("no filter named", is_ours=True)
    return context["item"]["to"] if pattern == "{{ item.to }}" else pattern


def one(key: str, payload: Any, **criterion: Any) -> Comparison:
    (found,) = compare({key: criterion}, {"trigger": payload}, operators(), render)
    return found


def test_a_criterion_matches_with_both_values() -> None:
    found = one("trigger.a", {"a": 5}, type="EQUALS", pattern=5)
    assert (found.matched, found.value, found.pattern, found.problem) == (True, 5, 5, "")
    assert one("trigger.a", {"a": 5}, type="gt", pattern=6).matched is False


@pytest.mark.parametrize(
    ("criterion", "problem"),
    [
        ({}, "has no type"),
        ({"type": 5}, "has no type"),
        ({"type": "equal", "pattern": 1}, "there is no operator equal"),
        ({"type": "equals"}, "has no pattern"),
        ({"type": "lt", "pattern": "6"}, "cannot be compared: TypeError"),
        ({"type": "regex", "pattern": "("}, "cannot be compared"),
        ({"type": "icontains", "pattern": "x"}, "AttributeError"),
        ({"type": "timediff_lt", "pattern": 5}, "cannot be compared"),
        ({"type": "equals", "pattern": "{{ wrong }}"}, "cannot be rendered: 'wrong' is undefined"),
        ({"type": "search", "pattern": {}, "condition": "any"}, "not a list"),
        ({"type": "search", "pattern": {}, "condition": "most"}, "is none of any, all"),
        ({"type": "search", "pattern": 1, "condition": "any"}, "not a mapping"),
    ],
)
def test_a_criterion_that_cannot_match_says_why(criterion: dict[str, Any], problem: str) -> None:
    found = one("trigger.a", {"a": 5}, **criterion)
    assert found.matched is False
    assert problem in found.problem


def test_a_missing_key_is_named_as_the_reason() -> None:
    for operator in ("equals", "contains", "lt", "exists"):
        found = one("trigger.b", {"a": 5}, type=operator, pattern=5)
        assert (found.matched, found.value, found.problem) == (False, None, "the payload has no such key")
    assert one("trigger.b", {"a": 5}, type="nexists").matched
    assert one("trigger.b", {"a": 5}, type="nequals", pattern=5).matched


def test_what_only_stackstorm_can_tell_is_left_open() -> None:
    assert one("trigger.a", {"a": 5}, type="eq", pattern="{{ version_more_than }}").matched is None
    assert one("trigger.a where x", {"a": 5}, type="eq", pattern=5).matched is None


FIELDS = [{"name": "Status", "to": "Approved"}, {"name": "By", "to": "Ann"}]


@pytest.mark.parametrize(
    ("condition", "names", "matched"),
    [
        ("any", {"item.name": "Status", "item.to": "Approved"}, True),
        ("any", {"item.name": "Status", "item.to": "Ann"}, False),
        ("all", {"item.name": "Status"}, False),
        ("all2any", {"item.name": "Status", "item.to": "Ann"}, True),
        ("all2any", {"item.name": "Status", "item.to": "Approved"}, False),
        ("any2any", {"item.name": "None", "item.to": "Ann"}, True),
        ("any2any", {"item.name": "None", "item.to": "None"}, False),
    ],
)
def test_search_combines_items_and_criteria(condition: str, names: dict[str, str], matched: bool) -> None:
    inner = {key: {"type": "equals", "pattern": name} for key, name in names.items()}
    found = one("trigger.fields", {"fields": FIELDS}, type="search", condition=condition, pattern=inner)
    assert found.matched is matched
    if not matched:
        assert "of 2 items match" in found.problem


def test_search_takes_an_object_for_a_list_of_one() -> None:
    inner = {"item.name": {"type": "equals", "pattern": "By"}}
    assert one("trigger.f", {"f": FIELDS[1]}, type="search", condition="all", pattern=inner).matched


def test_patterns_inside_search_are_rendered_for_each_item() -> None:
    inner = {"item.to": {"type": "equals", "pattern": "{{ item.to }}"}}
    assert one("trigger.f", {"f": FIELDS}, type="search", condition="all", pattern=inner).matched


def test_every_criterion_is_evaluated() -> None:
    criteria = {"trigger.a": {"type": "eq", "pattern": 1}, "trigger.a#2": {"type": "eq", "pattern": 5}}
    found = compare(criteria, {"trigger": {"a": 5}}, operators(), render)
    assert [item.matched for item in found] == [False, True]
