"""Which schemas have a program, and what it leaves alone."""

from __future__ import annotations

from typing import Any

import pytest

from st2sensor.schemas import program
from st2sensor.schemas.program import program_of


@pytest.mark.parametrize(
    "declared",
    [
        {"type": "object", "properties": {"n": {"type": "integer", "required": True}}},
        {"items": {"anyOf": [{"type": "string"}, {"enum": [1, "a"]}]}},
        {"properties": {"pattern": {"type": "string"}}},
        {"default": {"pattern": "x"}, "properties": {"n": {"default": {"a": {"pattern": "x"}}}}},
    ],
)
def test_a_schema_whose_check_takes_linear_time_has_a_program(declared: dict[str, Any]) -> None:
    assert program_of(declared)


@pytest.mark.parametrize(
    "declared",
    [
        {"pattern": "x"},
        {"uniqueItems": True},
        {"items": {"pattern": "x"}},
        {"properties": {"n": {"pattern": "x"}}},
        {"anyOf": [{"type": "string"}, {"pattern": "x"}]},
        {"type": "nonsense"},
    ],
)
def test_a_schema_that_may_cost_more_or_is_wrong_has_none(declared: dict[str, Any]) -> None:
    assert program_of(declared) is None


def test_a_program_adds_no_defaults_applies_no_formats_and_repeats_no_values() -> None:
    declared = {"properties": {"n": {"type": "integer", "default": 1}, "t": {"type": "string", "format": "date-time"}}}
    source = program_of(declared)
    assert source is not None
    assert "value=" not in source
    names: dict[str, Any] = {"JsonSchemaValueException": ValueError}
    exec(source, names)
    payload = {"t": "no time"}
    names["validate"](payload)
    assert payload == {"t": "no time"}
    with pytest.raises(ValueError, match="data"):
        names["validate"]({"n": "x"})


def test_subschemas_and_listed_values_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "MAX_SCHEMAS", 5)
    assert program_of({"properties": {"a": {}, "b": {"enum": [1, 2]}}})
    assert program_of({"properties": {"a": {}, "b": {"enum": [1, 2, 3]}}}) is None
    assert program_of({"items": {"items": {"items": {"items": {}}}}})
    assert program_of({"items": {"items": {"items": {"items": {"items": {}}}}}}) is None


def test_a_program_that_is_too_long_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    source = program_of({"type": "integer"})
    assert source is not None
    monkeypatch.setattr(program, "MAX_PROGRAM", len(source))
    assert program_of({"type": "integer"}) == source
    monkeypatch.setattr(program, "MAX_PROGRAM", len(source) - 1)
    assert program_of({"type": "integer"}) is None
