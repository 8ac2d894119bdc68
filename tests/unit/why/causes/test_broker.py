"""Causes at the broker."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from st2sensor.transport.route import QueueState, Route
from st2sensor.why.causes.broker import of_route, of_serializer
from st2sensor.why.facts import EngineFacts, Facts, Publishing

ENGINE = "st2.x.rules_engine"


def queue(
    name: str = ENGINE, bindings: tuple[str, ...] | None = ("#",), messages: int = 0, consumers: int = 1
) -> QueueState:
    return QueueState(name=name, bindings=bindings, messages=messages, consumers=consumers)


def facts(*queues: QueueState, serializer: str = "pickle", key: str = "trigger_instance", **changes: Any) -> Facts:
    usual: dict[str, Any] = {"address": "amqp://h", "virtual_host": "/", "exchange": "st2.x", "exists": True}
    route = Route(**(usual | {"queues": queues, "is_complete": True} | changes))
    publishing = Publishing(serializer=serializer, routing_key=key, prefix="st2")
    return Facts(asked="x", now=1.0, publishing=publishing, route=route)


def codes(*queues: QueueState, **changes: Any) -> list[str]:
    found = facts(*queues, **changes)
    return [finding.code for look in (of_route, of_serializer) for finding in look(found)]


def test_a_broker_that_is_not_reached_is_a_cause() -> None:
    publishing = Publishing(serializer="json", routing_key="x", prefix="st2")
    found = Facts(asked="x", now=1.0, publishing=publishing, broker_problem="cannot reach the broker")
    assert [finding.code for finding in of_route(found)] == ["broker-unreachable"]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (codes(queue()), []),
        (codes(exists=False, others=("st2.x in b",)), ["no-exchange"]),
        (codes(), ["no-queue"]),
        (codes(is_complete=False), ["no-queue"]),
        (codes(is_complete=False, serializer="json"), ["not-evaluated"]),
        (codes(serializer="json"), ["no-queue", "not-evaluated"]),
        (codes(queue(bindings=("trigger_instance",)), key="net.event"), ["not-bound"]),
        (codes(queue(), serializer="json"), ["wrong-serializer"]),
        (codes(queue(consumers=0)), ["no-rules-engine"]),
        (codes(queue(consumers=0), others=("st2.x in b",)), ["no-rules-engine", "other-exchange"]),
        (codes(queue(consumers=0), serializer="json"), ["not-evaluated"]),
        (codes(queue("mine", consumers=0), serializer="json"), ["no-consumer", "not-evaluated"]),
        (codes(queue(messages=5000)), ["backlog"]),
        (codes(queue(), is_complete=False), ["bindings-partly-known"]),
        (codes(queue(), note="only 50 of 60"), ["bindings-unknown"]),
    ],
)
def test_a_route_is_judged(found: list[str], expected: list[str]) -> None:
    assert found == expected


@pytest.mark.parametrize("broker", [{}, {"route": None}, {"broker_problem": "cannot reach the broker", "route": None}])
def test_nothing_recommends_a_rules_engine_that_would_drop_json(broker: dict[str, Any]) -> None:
    found = replace(facts(is_complete=False, serializer="json"), **broker)
    said = [finding for look in (of_route, of_serializer) for finding in look(found)]
    assert "rules engine" not in repr(said)
    assert said[-1].text == "nothing here evaluates rules (serializer = json); your consumer must"


def test_stackstorm_with_json_hears_which_serializer_its_rules_engine_reads() -> None:
    found = replace(facts(is_complete=False, serializer="json"), engine=EngineFacts(is_there=True))
    (finding,) = of_serializer(found)
    assert "serializer = pickle" in finding.remedy
