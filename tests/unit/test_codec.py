from __future__ import annotations

import json
from datetime import datetime

import pytest

from st2sensor.event import event_of
from st2sensor.models import TraceContext, TriggerInstance
from st2sensor.payload import pack
from st2sensor.transport import codec
from st2sensor.transport.base import Message
from st2sensor.transport.topology import Topology
from tests.workspace import sample_body


def encoded(instance: TriggerInstance, serializer: str) -> Message:
    """As the container encodes it, by way of the outbox."""
    return codec.trigger_message(
        event_of(instance).body(),
        tagged=instance.tagged,
        topology=Topology("st2"),
        serializer=serializer,
        routing_key="trigger_instance",
        message_id="m",
    )


TRACED = TriggerInstance(
    trigger="bd.t1", payload={"n": 3}, trace_context=TraceContext(id="507f1f77bcf86cd799439011", tag="t2")
)


@pytest.mark.parametrize(
    ("name", "instance"),
    [
        ("plain", TriggerInstance(trigger="bd.t1", payload={"n": 1, "s": "x"})),
        ("trace_tag", TriggerInstance(trigger="bd.t1", payload={"n": 2}, trace_context=TraceContext(tag="tag-1"))),
        ("trace_id_and_tag", TRACED),
        (
            "datetime",
            TriggerInstance(trigger="bd.t1", payload=pack({"n": 4, "when": datetime(2020, 1, 1)}), tagged=True),
        ),
    ],
)
def test_pickled_bodies_equal_stackstorms_byte_for_byte(name: str, instance: TriggerInstance) -> None:
    message = encoded(instance, "pickle")
    assert message.body == sample_body(name)
    assert (message.content_type, message.content_encoding) == ("application/x-python-serialize", "binary")


def test_json_bodies_have_the_same_shape() -> None:
    message = encoded(TRACED, "json")
    assert json.loads(message.body) == {
        "trigger": "bd.t1",
        "payload": {"n": 3},
        "trace_context": {"id_": "507f1f77bcf86cd799439011", "trace_tag": "t2"},
    }
    assert (message.exchange, message.routing_key) == ("st2.trigger_instances_dispatch", "trigger_instance")
    assert (message.content_type, message.id) == ("application/json", "m")
