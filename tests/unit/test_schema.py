from __future__ import annotations

from typing import Any

import pytest

from st2sensor import schema


def violation(declared: dict[str, Any], instance: Any) -> str | None:
    return schema.compiled(declared).violation(instance)


NAMED = {"type": "object", "properties": {"name": {"type": "string", "required": True}, "n": {"type": "integer"}}}


@pytest.mark.parametrize("instance", [{"name": "x"}, {"name": "x", "n": 1}, {"name": "x", "n": None}])
def test_what_is_not_required_may_be_missing_or_null(instance: dict[str, Any]) -> None:
    assert violation(NAMED, instance) is None


def test_draft_3_style_required_is_required() -> None:
    assert violation(NAMED, {}) == "'name' is a required property"
    assert violation(NAMED, {"name": None}) == "name: None is not of type 'string'"


def test_draft_4_style_required_is_required() -> None:
    declared = {"required": ["n"], "properties": {"n": {"type": "integer"}}}
    assert violation(declared, {}) == "'n' is a required property"
    assert violation(declared, {"n": None}) is not None


def test_required_reaches_into_nested_objects_and_lists() -> None:
    declared = {"properties": {"outer": {"type": "array", "items": NAMED}}}
    assert violation(declared, {"outer": [{"name": "x"}]}) is None
    assert violation(declared, {"outer": [{}]}) is not None


def test_a_required_property_with_a_default_is_never_missing() -> None:
    assert violation({"properties": {"n": {"type": "integer", "required": True, "default": 1}}}, {}) is None


def test_a_property_may_be_called_required_or_properties() -> None:
    declared = {"properties": {"required": {"type": "string"}, "properties": {"type": "string", "required": True}}}
    assert schema.check(declared) is None
    assert violation(declared, {"required": "x", "properties": "y"}) is None
    assert violation(declared, {"required": "x"}) is not None


@pytest.mark.parametrize(
    "declared",
    [{"type": "nosuchtype"}, {"properties": {"a": {"items": "object"}}}, {"properties": []}, {"enum": []}, {"type": 5}],
)
def test_a_broken_schema_is_told(declared: dict[str, Any]) -> None:
    assert schema.check(declared)


@pytest.mark.parametrize("declared", [{"$ref": "#/nowhere"}, {"pattern": "("}])
def test_a_schema_that_cannot_be_applied_is_a_violation_not_an_exception(declared: dict[str, Any]) -> None:
    assert violation(declared, "text")
