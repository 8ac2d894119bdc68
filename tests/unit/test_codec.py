from __future__ import annotations

import json
from datetime import datetime

import pytest

from st2sensor.models import TraceContext, TriggerInstance
from st2sensor.transport import codec
from st2sensor.transport.topology import Topology
from tests.workspace import sample_body

TRACED = TriggerInstance(
    trigger="bd.t1", payload={"n": 3}, trace_context=TraceContext(id="507f1f77bcf86cd799439011", tag="t2")
)


@pytest.mark.parametrize(
    ("name", "instance"),
    [
        ("plain", TriggerInstance(trigger="bd.t1", payload={"n": 1, "s": "x"})),
        ("trace_tag", TriggerInstance(trigger="bd.t1", payload={"n": 2}, trace_context=TraceContext(tag="tag-1"))),
        ("trace_id_and_tag", TRACED),
        ("datetime", TriggerInstance(trigger="bd.t1", payload={"n": 4, "when": datetime(2020, 1, 1)})),
    ],
)
def test_pickled_bodies_equal_stackstorms_byte_for_byte(name: str, instance: TriggerInstance) -> None:
    message = codec.trigger_message(instance, topology=Topology("st2"), serializer="pickle", message_id="m")
    assert message.body == sample_body(name)
    assert (message.content_type, message.content_encoding) == ("application/x-python-serialize", "binary")


def test_json_bodies_have_the_same_shape() -> None:
    message = codec.trigger_message(TRACED, topology=Topology("st2"), serializer="json", message_id="m")
    assert json.loads(message.body) == {
        "trigger": "bd.t1",
        "payload": {"n": 3},
        "trace_context": {"id_": "507f1f77bcf86cd799439011", "trace_tag": "t2"},
    }
    assert (message.exchange, message.routing_key) == ("st2.trigger_instances_dispatch", "trigger_instance")
    assert (message.content_type, message.id) == ("application/json", "m")


def test_the_outbox_form_reads_back() -> None:
    assert codec.from_json(codec.to_json(TRACED)) == TRACED
