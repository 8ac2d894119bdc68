"""Conditions on the values of events."""

from __future__ import annotations

import json

import pytest

from st2sensor.errors import ConfigError
from st2sensor.history.event import Recorded, State
from st2sensor.history.filters import condition

PAYLOAD = {"disk": {"percent": 91, "name": "sda"}, "list": [{"id": 5}], "text": "90", "none": None, "on": True}
EVENT = Recorded(
    seq=1,
    message_id="a",
    sensor="linux.Tail",
    trigger="linux.file",
    trigger_type="linux.file",
    created=1.0,
    committed=None,
    settled=1.0,
    state=State.CONFIRMED,
    reason="",
    node="here",
    fence=None,
    exchange="",
    routing_key="",
    attempts=1,
    problem="",
    is_late=False,
    trace_tag=None,
    tagged=False,
    body=json.dumps({"trigger": "linux.file", "payload": PAYLOAD, "trace_context": None}),
)


@pytest.mark.parametrize(
    "text",
    [
        "payload.disk.percent>90",
        "payload.disk.percent >= 91",
        "payload.disk.percent<92",
        "payload.disk.percent!=90",
        "payload.disk.name=sda",
        'payload.disk.name == "sda"',
        "payload.disk.name~sd",
        "payload.list.0.id=5",
        "payload.text=90",
        "payload.none=null",
        "payload.on=true",
        "payload.disk.name!=5",
        "sensor=linux.Tail",
        "node=here",
    ],
)
def test_a_condition_holds(text: str) -> None:
    assert condition(text).holds(EVENT)


@pytest.mark.parametrize(
    "text",
    [
        "payload.disk.percent>91",
        "payload.disk.name>5",
        "payload.on=1",
        "payload.text>5",
        "payload.missing=1",
        "payload.missing!=1",
        "payload.list.7.id=5",
        "payload.list.x=5",
        "payload.disk.percent~9",
        "sensor~Other",
        "trace_tag=x",
    ],
)
def test_a_condition_does_not_hold(text: str) -> None:
    assert not condition(text).holds(EVENT)


@pytest.mark.parametrize("text", ["", "payload", "payload.a", "=5", "body.a=1", "sensor.x=1", "payload..a=1"])
def test_a_text_that_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a condition"):
        condition(text)
