from __future__ import annotations

import base64
import io
import json
import pickle
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from typing import Any

import pytest

from st2sensor.dispatch.encoder import LARGE, Encoder
from st2sensor.dispatch.event import event_of
from st2sensor.errors import Undeliverable
from st2sensor.models import TraceContext, TriggerInstance
from st2sensor.portable.payload import pack
from st2sensor.transport import codec
from st2sensor.transport.base import Message
from st2sensor.transport.topology import Topology
from tests.support.workspace import sample, sample_body


def encoded(instance: TriggerInstance, serializer: str) -> Message:
    """Encode it as the container does, by way of the outbox."""
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


def nested(levels: int, kind: type) -> Any:
    value: Any = {}
    for _ in range(levels - 1):
        value = {"a": value} if kind is dict else [value]
    return value


@pytest.fixture(scope="module")
def encoder() -> Iterator[Encoder]:
    with closing(Encoder()) as found:
        yield found


def body(payload: Any, *, trigger: Any = "p.t", trace: Any = None) -> str:
    return json.dumps({"trigger": trigger, "payload": payload, "trace_context": trace})


@pytest.mark.parametrize("padding", [0, LARGE], ids=["small", "large"])
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"a": {"b": [1, 2**64]}}, r"the payload: it has an integer of more than 64 bits at x\.a\.b\.1$"),
        ([2**63], r"an integer of more than 64 bits at x\.0$"),
        ({"a": {"b\0": 1}}, r"a NUL character in a key at x\.a$"),
        ({"a": -(2**63) - 1}, r"an integer of more than 64 bits at x\.a$"),
        ({"a": ["\ud800"]}, r"half of a surrogate pair in the text at x\.a\.0$"),
        ({"a": {"\udfff": 1}}, r"half of a surrogate pair in a key at x\.a$"),
        (nested(90, dict), "nested more than 90 levels deep$"),
        (nested(90, list), "nested more than 90 levels deep$"),
        (nested(600, dict), "nested more than 90 levels deep$"),
        ("é" * (8 * 1024 * 1024), "but only 16,777,216 fit into a document$"),
    ],
    ids=range(10),
)
def test_what_the_rules_engine_would_drop_is_not_sent(encoder: Encoder, wrong: Any, words: str, padding: int) -> None:
    text = body({"x": wrong, "padding": "." * padding})
    with pytest.raises(Undeliverable, match=words) as caught:
        encoder.encode("pickle", text, False)
    assert str(caught.value).startswith("StackStorm cannot store the payload: it ")
    assert encoder.encode("json", text, False) == text.encode()


@pytest.mark.parametrize("trace", [None, {"id_": None, "trace_tag": "t"}], ids=["untraced", "traced"])
@pytest.mark.parametrize(
    "right",
    [
        *(2**63 - 1, -(2**63), ["9" * 20, "a\0b", {"9223372036854775808": 1}], "\U0001f600", float("nan")),
        *(nested(89, dict), nested(89, list), [nested(87, dict)] * 50, "x" * 16_000_000),
    ],
    ids=range(9),
)
def test_what_the_rules_engine_just_stores_is_sent(encoder: Encoder, right: Any, trace: Any) -> None:
    sent = encoder.encode("pickle", body({"x": right}, trace=trace), False)
    if trace is None:
        received = pickle.loads(sent)["payload"]["x"]
        assert received == right or right != right


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"trigger": {"type": "p.t", "parameters": {"a": 2**64}}}, r"the trigger: it .* at parameters\.a$"),
        ({"trace": {"id_": None, "trace_tag": "\ud800"}}, r"the trace context: it .* at trace_tag$"),
    ],
)
def test_neither_are_a_trigger_and_a_trace_that_it_would_drop(other: dict[str, Any], words: str) -> None:
    with pytest.raises(Undeliverable, match=words):
        codec.encoded("pickle", body({}, **other), False)


class Stand(pickle.Unpickler):
    """Reads pickles as StackStorm does, with stand-ins for its own classes. `bson` is available."""

    def __init__(self, body: bytes, *modules: str) -> None:
        super().__init__(io.BytesIO(body))
        self.modules = modules

    def find_class(self, module: str, name: str) -> Any:
        if module in self.modules:
            return type(name, (), {"__module__": module})
        assert module in ("bson.son", "bson.objectid"), module
        return super().find_class(module, name)


@pytest.mark.parametrize("name", ["trigger", "sensor_type"])
def test_announcements_hold_what_stackstorms_hold(name: str) -> None:
    told = sample(f"announcements/{name}.json")
    module, _, class_name = told["class"].rpartition(".")
    document = dict(told["document"])
    identifier = document.pop("_id")["$oid"]
    message = codec.database_announcement(
        "st2.trigger", "create", module=module, name=class_name, document=document, identifier=identifier
    )
    ours = Stand(message.body, module).load()
    theirs = Stand(base64.b64decode(told["pickle_base64"]), module).load()
    assert (type(ours).__module__, type(ours).__name__) == (module, class_name)
    assert vars(ours) == {"_data": theirs._data}
    assert type(ours._data) is type(theirs._data)
    assert vars(ours._data) == vars(theirs._data)
    assert (message.content_type, message.content_encoding, message.routing_key) == (
        told["properties"]["content_type"],
        told["properties"]["content_encoding"],
        "create",
    )


@pytest.mark.parametrize("identifier", [None, "7", "x" * 24])
def test_an_id_that_is_none_of_mongodbs_is_left_out(identifier: str | None) -> None:
    message = codec.database_announcement(
        "e", "create", module="m", name="C", document={"name": "x"}, identifier=identifier
    )
    assert dict(Stand(message.body, "m").load()._data) == {"name": "x"}
