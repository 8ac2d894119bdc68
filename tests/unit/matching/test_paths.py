"""Keys of criteria as paths."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from st2sensor.matching import paths

CONTEXT = {"trigger": {"a": {"b": 1, "c d": 2, "x-y": 3}, "list": [{"n": 1}, {"n": 2}], "null": None}}


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("trigger.a.b", [1]),
        ("trigger['a']['b']", [1]),
        ('trigger["a"].b', [1]),
        ("trigger.a['c d']", [2]),
        ("trigger.a.'c d'", [2]),
        ("trigger.a.x-y", [3]),
        ("trigger.a[b]", [1]),
        ("trigger.a['b', 'x-y']", [1, 3]),
        ("trigger.list[0].n", [1]),
        ("trigger.list[-1].n", [2]),
        ("trigger.list[*].n", [1, 2]),
        ("trigger.list[1:].n", [2]),
        ("trigger.list[7].n", []),
        ("trigger.a.*", [1, 2, 3]),
        ("trigger.null", [None]),
        ("trigger.none", []),
        ("trigger.a.b.c", []),
        ("trigger.a.b#2", [1]),
        ("trigger", [CONTEXT["trigger"]]),
    ],
)
def test_a_key_finds_values(key: str, found: list[Any]) -> None:
    assert paths.values(key, CONTEXT) == found


@pytest.mark.parametrize("key", ["", "1", "trigger.", "trigger[", "trigger['a", "trigger.a b", "trigger | x"])
def test_a_key_that_is_no_path_says_where_it_ends(key: str) -> None:
    with pytest.raises(paths.BadPath, match=r"name|after"):
        paths.values(key, CONTEXT)


@given(name=st.text(min_size=1))
def test_every_name_can_be_quoted(name: str) -> None:
    if "#" in name:
        return
    quoted = name.replace("\\", "\\\\").replace("'", "\\'")
    assert paths.values(f"trigger['{quoted}']", {"trigger": {name: 1}}) == [1]


@given(key=st.text())
def test_no_key_raises_anything_else(key: str) -> None:
    with suppress(paths.BadPath):
        paths.values(key, CONTEXT)


def test_stored_keys_get_their_dots_back() -> None:
    assert paths.plain("trigger\uff0ea\uff0e\uff04b") == "trigger.a.$b"


def test_a_number_that_python_cannot_read_is_refused() -> None:
    with pytest.raises(paths.BadPath, match="too long"):
        paths.values(f"trigger[{'9' * 5000}]", CONTEXT)
