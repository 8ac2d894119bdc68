"""Trigger instances that may be an event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import pytest

from st2sensor.models.rules_engine import InstanceRecord
from st2sensor.storage.base import RulesEngineRecords
from st2sensor.why.instances import EARLIER, candidates, life_of, stored
from st2sensor.why.life import EventLife

ID = "6b098910855fc8f2d1b0ea48"


def record(identifier: str = ID, trigger: str = "p.t", payload: Any = None) -> InstanceRecord:
    return InstanceRecord(id=identifier, trigger=trigger, payload=payload, at=7.0, status="processed")


def life(**changes: Any) -> EventLife:
    usual: dict[str, Any] = {"message_id": "m", "sensor": "p.S", "trigger": "p.t", "trigger_type": "p.t"}
    return EventLife(**(usual | {"created": 100.0, "payload": {"a": 1, "b": 2}} | changes))


@dataclass
class Engine:
    """Records of a trace, of a trigger, and of an id."""

    of_trace: Sequence[InstanceRecord] = ()
    of_trigger: Sequence[InstanceRecord] = ()
    of_id: InstanceRecord | None = None
    since: float = 0.0

    def instance(self, identifier: str) -> InstanceRecord | None:  # noqa: ARG002
        return self.of_id

    def traced(self, tag: str) -> Sequence[InstanceRecord]:  # noqa: ARG002
        return self.of_trace

    def latest(self, trigger: str) -> InstanceRecord | None:  # noqa: ARG002
        return self.of_trigger[-1] if self.of_trigger else None

    def instances(self, trigger: str, since: float) -> Sequence[InstanceRecord]:  # noqa: ARG002
        self.since = since
        return self.of_trigger

    @property
    def records(self) -> RulesEngineRecords:
        return cast(RulesEngineRecords, self)


SAME, OTHER = record("1", payload={"b": 2, "a": 1}), record("2", payload={"a": 1})


def test_an_event_is_found_by_trigger_and_payload() -> None:
    engine = Engine(of_trigger=[OTHER, SAME])
    assert candidates(engine.records, life()) == [SAME]
    assert engine.since == 100.0 - EARLIER


def test_a_trace_narrows_the_search_where_there_is_one() -> None:
    again = record("3", payload={"a": 1, "b": 2})
    engine = Engine(of_trace=[SAME, record("4", "p.other", SAME.payload)], of_trigger=[SAME, again])
    assert candidates(engine.records, life(trace_tag="t")) == [SAME]
    assert candidates(Engine(of_trigger=[SAME, again]).records, life(trace_tag="t")) == [SAME, again]


@pytest.mark.parametrize("changes", [{"payload": None}, {"is_waiting": True}])
def test_an_event_that_cannot_be_there_is_not_looked_for(changes: dict[str, Any]) -> None:
    assert candidates(Engine(of_trigger=[SAME, record()]).records, life(**changes)) == []


def test_a_question_names_an_id_a_trace_or_a_trigger() -> None:
    assert stored(Engine(of_id=SAME).records, ID) == [SAME]
    assert stored(Engine(of_trigger=[SAME]).records, ID) == []
    assert stored(Engine(of_trace=[SAME, OTHER]).records, "t") == [SAME, OTHER]
    assert stored(Engine(of_trigger=[SAME, OTHER]).records, "p.t") == [OTHER]
    assert stored(Engine().records, "p.t") == []


def test_an_instance_is_an_event_of_its_own() -> None:
    found = life_of(SAME, "p.type", 9.0)
    assert (found.instance, found.trigger_type, found.created) == ("1", "p.type", 7.0)
    assert candidates(Engine(of_id=OTHER).records, found) == [OTHER]
