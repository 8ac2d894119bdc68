from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from st2sensor.models import Overrides, Refusal, Registration, Rule, SensorType, Trigger, TriggerType
from st2sensor.storage.entities import FIELDS, OVERRIDES, document_of, entity_of
from st2sensor.storage.fields import Misfit

FULL: list[Any] = [
    SensorType(
        pack="p",
        name="S",
        artifact_uri="file:///s.py",
        entry_point="sensors.s.S",
        description="d",
        metadata_file="sensors/s.yaml",
        trigger_types=("p.t",),
        poll_interval=2.5,
        enabled=False,
    ),
    TriggerType(
        pack="p",
        name="t",
        description="d",
        payload_schema={"type": "object"},
        parameters_schema={},
        metadata_file="triggers/t.yaml",
        tags=({"name": "a", "value": "b"},),
    ),
    Trigger(pack="p", name="t2", type="p.t", parameters={"a": 1}, ref_count=3),
    Rule(pack="p", name="r", metadata_file="rules/r.yaml", trigger_type="p.t", parameters={}, trigger="p.t"),
    Registration(
        pack="p",
        name="S",
        metadata_file="sensors/s.yaml",
        digest="1",
        error="e",
        overrides=Overrides(memory=1000, nice=5, runs_on=("gpu",), log_level="DEBUG"),
        enabled=True,
    ),
    Refusal(pack="p", name="t", metadata_file="triggers/t.yaml", error="e"),
]


def kind_of(entity: Any) -> str:
    return type(entity).__name__


@pytest.mark.parametrize("entity", FULL, ids=kind_of)
def test_an_entity_is_read_as_it_was_written(entity: Any) -> None:
    assert entity_of(type(entity), {"_id": "1", **document_of(entity)}) == entity


@pytest.mark.parametrize("kind", FIELDS, ids=lambda kind: kind.__name__)
def test_every_field_of_an_entity_is_in_its_document(kind: type[Any]) -> None:
    assert FIELDS[kind].keys() == {field.name for field in fields(kind)} - {"id"}


def test_every_override_is_read() -> None:
    assert OVERRIDES.keys() == {field.name for field in fields(Overrides)}


def test_a_trigger_without_parameters_has_no_such_field_and_a_rule_has_an_empty_one() -> None:
    assert document_of(Trigger(pack="p", name="t", type="p.t"))["parameters"] is None
    rule = Rule(pack="p", name="r", metadata_file="r.yaml", trigger_type="p.t", parameters={}, trigger="p.t")
    assert document_of(rule)["parameters"] == {}


def test_only_stackstorms_kinds_have_a_uid() -> None:
    with_uid = {kind_of(entity) for entity in FULL if "uid" in document_of(entity)}
    assert with_uid == {"SensorType", "TriggerType", "Trigger"}


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        ([], "overrides must be an object"),
        ({"nice": 20}, "overrides is wrong: nice must be at most 19"),
        ({"log_level": "LOUD"}, "overrides is wrong: log_level must be one of DEBUG, INFO"),
        ({"start_timeout": 0}, "overrides is wrong: start_timeout must be more than 0"),
    ],
)
def test_a_wrong_override_makes_a_registration_odd(overrides: object, problem: str) -> None:
    document = {"_id": "1", "pack": "p", "name": "S", "metadata_file": "s.yaml", "overrides": overrides}
    with pytest.raises(Misfit, match=problem):
        entity_of(Registration, document)


def test_overrides_of_a_later_version_are_ignored() -> None:
    document = {"_id": "1", "pack": "p", "name": "S", "metadata_file": "s.yaml", "overrides": {"colour": "red"}}
    assert entity_of(Registration, document).overrides == Overrides()
