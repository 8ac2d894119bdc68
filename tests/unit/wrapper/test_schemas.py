"""The checks that a sensor makes by itself. Their verdict must be that of the container."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from st2sensor.packs.bundled import core_trigger_types
from st2sensor.portable import rpc
from st2sensor.portable.payload import pack, plain
from st2sensor.schemas import dialect
from st2sensor.schemas.program import MAX_SCHEMAS, program_of
from st2sensor.wrapper.schemas import LARGEST, Schemas
from tests.plugins.examples import examples
from tests.unit.schemas.test_dialect import SCHEMAS, VALUES

OBJECT = {
    "type": "object",
    "properties": {
        "n": {"type": "integer", "required": True},
        "s": {"type": "string", "maxLength": 3},
        "l": {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "object", "required": ["x"]}]}},
    },
    "additionalProperties": False,
}


class Container:
    """Answers as a container does, and counts the requests."""

    def __init__(self, declared: Any) -> None:
        self.digest, self.program, self.asked = "d1", program_of(declared), 0
        self.known = True

    def ask(self, trigger: Any) -> dict[str, Any] | None:  # noqa: ARG002
        self.asked += 1
        return {"digest": self.digest, "program": self.program} if self.known else None


def fitting(schemas: Schemas, payload: Any, trigger: Any = "p.t", *, tagged: bool = False) -> str | None:
    return schemas.fitting(trigger, rpc.body(payload), tagged)[0]


@pytest.mark.parametrize(
    ("payload", "fits"),
    [
        ({"n": 1}, True),
        ({"n": 1, "s": None, "l": ["a", {"x": 1}]}, True),
        ({}, False),
        ({"n": "1"}, False),
        ({"n": 1, "s": "long"}, False),
        ({"n": 1, "l": [{}]}, False),
        ({"n": 1, "more": 1}, False),
        ([1], False),
    ],
)
def test_a_payload_that_fits_is_known_to(payload: Any, fits: bool) -> None:
    container = Container(OBJECT)
    assert container.program is not None
    assert fitting(Schemas(container.ask), payload) == ("d1" if fits else None)


def test_the_container_is_asked_once_for_each_trigger_and_says_what_changes() -> None:
    container = Container(OBJECT)
    schemas = Schemas(container.ask)
    for _ in range(3):
        assert fitting(schemas, {"n": 1}) == "d1"
        assert fitting(schemas, {"n": 1}, {"type": "p.t", "parameters": {"x": [1]}}) == "d1"
    assert container.asked == 2
    schemas.learn("p.t", {"digest": "d2", "program": program_of({"required": ["m"]})})
    assert fitting(schemas, {"n": 1}) is None
    assert fitting(schemas, {"m": 1}) == "d2"


def test_a_trigger_that_is_not_registered_yet_is_asked_for_again() -> None:
    container = Container(OBJECT)
    container.known = False
    schemas = Schemas(container.ask)
    assert fitting(schemas, {"n": 1}) is None
    container.known = True
    assert fitting(schemas, {"n": 1}) == "d1"


def test_more_triggers_than_are_remembered_are_checked_all_the_same() -> None:
    schemas = Schemas(Container(OBJECT).ask)
    assert {fitting(schemas, {"n": 1}, f"p.t{number}") for number in range(3000)} == {"d1"}


def test_a_large_payload_is_left_to_the_container() -> None:
    assert fitting(Schemas(Container({"type": "object"}).ask), {"x": "x" * LARGEST}) is None


def test_without_a_schema_any_object_fits() -> None:
    container = Container(OBJECT)
    container.digest, container.program = "", None
    schemas = Schemas(container.ask)
    assert fitting(schemas, {"anything": 1}) == ""
    assert fitting(schemas, pack({"at": b"1"}), tagged=True) == ""
    assert fitting(schemas, pack({1}), tagged=True) is None


def test_what_is_checked_is_what_consumers_get() -> None:
    schemas = Schemas(Container({"properties": {"1": {"type": "string"}, "at": {"type": "string"}}}).ask)
    assert fitting(schemas, {1: 5}) is None
    assert fitting(schemas, pack({"at": b"bytes"}), tagged=True) == "d1"


@pytest.mark.parametrize(
    "declared",
    [
        {"properties": {"a": {"pattern": "^(a+)+$"}}},
        {"properties": {"a": {"uniqueItems": True}}},
        {"patternProperties": {"a": {}}},
        {"definitions": {"a": {}}, "properties": {"x": {"$ref": "#/definitions/a"}}},
        {"anyOf": [{"required": [str(number)]} for number in range(MAX_SCHEMAS)]},
        {"items": [{"items": [{"enum": list(range(50))}] * 3}] * 3},
        {"type": "nosuchtype"},
        {"enum": ["x" * 200_000]},
        {"$schema": "http://json-schema.org/draft-07/schema#"},
    ],
    ids=lambda declared: next(iter(declared)),
)
def test_a_schema_that_could_cost_much_has_no_program(declared: Any) -> None:
    assert program_of(declared) is None


def test_names_of_properties_are_no_keywords() -> None:
    assert program_of({"properties": {"pattern": {"type": "string"}, "$ref": {"type": "integer"}}}) is not None


def test_a_schema_nested_deeper_than_python_takes_has_no_program() -> None:
    declared: dict[str, Any] = {"type": "string"}
    for _ in range(60):
        declared = {"items": declared}
    program = program_of(declared)
    assert (
        program is None or Schemas(lambda _: {"digest": "d", "program": program}).fitting("t", b"{}", False)[0] == "d"
    )


@settings(max_examples=examples(300), suppress_health_check=list(HealthCheck))
@given(declared=SCHEMAS, instance=VALUES)
def test_what_a_sensor_passes_the_judge_passes_too(declared: Any, instance: Any) -> None:
    program = program_of(declared)
    schemas = Schemas(lambda _: {"digest": "d", "program": program})
    payload = rpc.body(pack({"a": instance}))
    if schemas.fitting("p.t", payload, True)[0] is not None:
        assert dialect.Compiled(declared).violation(plain(json.loads(payload))) is None


def test_the_bundled_trigger_types_are_checked_by_sensors() -> None:
    assert [
        item.ref for item in core_trigger_types() if item.payload_schema and not program_of(item.payload_schema)
    ] == []
