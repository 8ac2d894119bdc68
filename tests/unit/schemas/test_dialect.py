from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from st2sensor.models import TriggerType
from st2sensor.packs.bundled import core_trigger_types
from st2sensor.schemas import dialect
from st2sensor.storage.reader import Reader
from tests.plugins.examples import examples
from tests.support.workspace import sample


def violation(declared: dict[str, Any], instance: Any) -> str | None:
    return dialect.Compiled(declared).violation(instance)


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
    assert dialect.check(declared) is None
    assert violation(declared, {"required": "x", "properties": "y"}) is None
    assert violation(declared, {"required": "x"}) is not None


@pytest.mark.parametrize(
    "declared",
    [{"type": "nosuchtype"}, {"properties": {"a": {"items": "object"}}}, {"properties": []}, {"enum": []}, {"type": 5}],
)
def test_a_broken_schema_is_told(declared: dict[str, Any]) -> None:
    assert dialect.check(declared)


@pytest.mark.parametrize("declared", [{"$ref": "#/nowhere"}, {"pattern": "("}])
def test_a_schema_that_cannot_be_applied_is_a_violation_not_an_exception(declared: dict[str, Any]) -> None:
    assert violation(declared, "text")


def test_references_within_the_document_are_followed_and_dangling_ones_are_named() -> None:
    declared = {
        "definitions": {"number": {"type": "integer"}},
        "properties": {"n": {"allOf": [{"$ref": "#/definitions/number"}]}},
        "required": ["n"],
    }
    assert dialect.check(declared) is None
    assert violation(declared, {"n": 1}) is None
    assert violation(declared, {"n": "x"}) == "n: 'x' is not of type 'integer'"
    declared["properties"] = {"n": {"allOf": [{"type": "string"}, {"$ref": "#/definitions/text"}]}}
    told = "$ref: the schema has no #/definitions/text, and references to other documents are not followed"
    assert dialect.check(declared) == told


def test_what_looks_like_a_reference_among_values_is_none() -> None:
    assert dialect.check({"default": {"$ref": "#/nowhere"}, "enum": [{"$ref": "#/nowhere"}]}) is None
    assert dialect.check({"properties": {"$ref": {"type": "string"}}}) is None


def test_of_several_mistakes_in_a_schema_the_same_one_is_always_told() -> None:
    declared = {"properties": {"b": {"type": "nonsense"}, "a": {"type": "nonsense"}}}
    assert str(dialect.check(declared)).startswith("properties.a.type.0: ")


def test_a_schema_that_contains_itself_is_none() -> None:
    declared: dict[str, Any] = {}
    declared["not"] = declared
    assert str(dialect.check(declared)).startswith("it has more than")


def test_the_schema_of_schemas_is_known_without_a_download() -> None:
    declared = {"$ref": "http://json-schema.org/draft-04/schema#"}
    assert violation(declared, {"type": "integer"}) is None
    assert violation(declared, {"type": 5}) is not None


def test_a_payload_that_fits_is_not_changed_and_never_reaches_the_slow_validator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def reached(*_: object) -> None:
        raise AssertionError("the slow validator was asked")

    monkeypatch.setattr("jsonschema.exceptions.best_match", reached)
    payload: dict[str, Any] = {}
    assert violation({"properties": {"n": {"type": "integer", "default": 1}}}, payload) is None
    assert payload == {}


@pytest.mark.parametrize("validator", ["_fast", "_judge"])
def test_a_lack_of_memory_is_no_violation(validator: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Exhausted:
        def __call__(self, _: Any) -> None:
            raise MemoryError

        iter_errors = __call__

    prepared = dialect.Compiled({"type": "integer"})
    monkeypatch.setattr(prepared, validator, Exhausted())
    with pytest.raises(MemoryError):
        prepared.violation("no integer")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
TYPES = st.sampled_from(["string", "number", "integer", "boolean", "object", "array", "null"])
SCHEMAS: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.fixed_dictionaries(
        {},
        optional={
            "type": TYPES,
            "enum": st.lists(VALUES, min_size=1, max_size=3),
            "minimum": st.integers(-5, 5),
            "maxLength": st.integers(0, 5),
            "minItems": st.integers(0, 3),
            "uniqueItems": st.booleans(),
            "multipleOf": st.integers(1, 4),
            "pattern": st.sampled_from(["^a", "b$", "."]),
            "format": st.sampled_from(["date-time", "email", "uri"]),
        },
    ),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "type": TYPES,
            "properties": st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
            "required": st.lists(st.sampled_from("abc"), min_size=1, max_size=2, unique=True),
            "additionalProperties": st.booleans() | inner,
            "patternProperties": st.dictionaries(st.sampled_from(["^a", "b"]), inner, max_size=2),
            "items": inner | st.lists(inner, min_size=1, max_size=2),
            "anyOf": st.lists(inner, min_size=1, max_size=2),
            "not": inner,
        },
    ),
    max_leaves=5,
)


def agree(declared: Any, instance: Any) -> None:
    """Every instance that the fast validator accepts, the judge also accepts."""
    prepared = dialect.Compiled(declared)
    if prepared._fast is not None and prepared._judge is not None and dialect._passes(prepared._fast, instance):
        assert list(prepared._judge.iter_errors(instance)) == []


@settings(max_examples=examples(300), suppress_health_check=list(HealthCheck))
@given(declared=SCHEMAS, instance=VALUES)
def test_the_fast_validator_passes_nothing_that_the_judge_refuses(declared: Any, instance: Any) -> None:
    agree(declared, instance)


@settings(max_examples=examples(30), suppress_health_check=list(HealthCheck))
@given(values=st.lists(VALUES, min_size=8, max_size=8))
def test_they_agree_on_every_schema_at_hand(values: list[Any]) -> None:
    for trigger_type in [*core_trigger_types(), *stored_trigger_types()]:
        declared = trigger_type.payload_schema or {}
        names = list(declared.get("properties", {}))
        agree(declared, dict(zip(names, values, strict=False)))
        agree(declared, values[0])


def stored_trigger_types() -> list[TriggerType]:
    found: list[TriggerType] = Reader().read(TriggerType, sample("documents/trigger_type_d_b.json"))
    assert len(found) > 10
    return found


def test_every_violation_is_told_with_place_and_keyword() -> None:
    declared = {**NAMED, "additionalProperties": False}
    found = dialect.violations(declared, {"n": "one", "m": 1})
    assert sorted((item.place, item.keyword) for item in found) == [
        ((), "additionalProperties"),
        ((), "required"),
        (("n",), "type"),
    ]
    assert dialect.violations({"type": "nonsense"}, {}) == []
    assert dialect.violations({"pattern": "("}, "text") == []
