"""The keys of events."""

from __future__ import annotations

import pytest

from st2sensor.portable.event_key import is_key, key_of

PATHS = ["payload.id", "payload.host.name"]


def test_events_with_the_same_values_have_the_same_key() -> None:
    first = key_of(PATHS, {"id": 1, "host": {"name": "a"}, "at": 5})
    assert first == key_of(PATHS, {"at": 6, "host": {"name": "a", "up": True}, "id": 1})
    assert first != key_of(PATHS, {"id": 2, "host": {"name": "a"}})


@pytest.mark.parametrize("payload", [{}, {"id": None}, {"id": ""}, {"id": [1]}, {"id": {"x": 1}}, {"id": "1"}])
def test_a_missing_value_differs_from_every_other(payload: dict[str, object]) -> None:
    others = [{}, {"id": None}, {"id": ""}, {"id": [1]}, {"id": {"x": 1}}, {"id": "1"}, {"id": 1}]
    same = [other for other in others if key_of(["payload.id"], other) == key_of(["payload.id"], payload)]
    assert same == [payload]


def test_a_path_leads_into_lists_and_may_mean_all_of_the_payload() -> None:
    paths = ["payload.items.1"]
    assert key_of(paths, {"items": [0, 7]}) == key_of(paths, {"items": [5, 7, 9]})
    assert key_of(["payload"], {"a": 1, "b": 2}) == key_of(["payload"], {"b": 2, "a": 1})
    assert key_of(["payload"], {"a": 1}) != key_of(["payload"], {"a": 2})


def test_a_key_belongs_to_its_paths() -> None:
    key = key_of(PATHS, {"id": 1})
    assert is_key(key, PATHS)
    assert not is_key(key, ["payload.id"])


@pytest.mark.parametrize("value", [None, 5, "", "x" * 41, ["a"], "a" * 10**6])
def test_anything_else_is_no_key(value: object) -> None:
    assert not is_key(value, PATHS)
