"""Events as JSON for the outbox."""

from __future__ import annotations

import json
from typing import Any

import pytest

from st2sensor.dispatch.event import Event, event_of
from st2sensor.models import TraceContext, TriggerInstance


@pytest.mark.parametrize(
    ("trigger", "context", "trace"),
    [
        ("p.t", None, None),
        ({"name": "t", "pack": "p"}, TraceContext(id="1", tag="x"), {"id_": "1", "trace_tag": "x"}),
        ("p.t", TraceContext(tag="ä"), {"id_": None, "trace_tag": "ä"}),
    ],
)
def test_the_body_is_json_on_one_line_with_the_payload_as_it_came(
    trigger: Any, context: TraceContext | None, trace: Any
) -> None:
    body = Event(trigger=trigger, payload=b'{"n":  1.50}', trace_context=context).body()
    assert json.loads(body) == {"trigger": trigger, "payload": {"n": 1.5}, "trace_context": trace}
    assert '"payload":{"n":  1.50}' in body
    assert "\n" not in body


def test_a_payload_that_is_not_utf8_has_no_body() -> None:
    with pytest.raises(UnicodeDecodeError):
        Event(trigger="p.t", payload=b'"\xff"').body()


def test_an_instance_becomes_an_event_with_all_its_fields() -> None:
    context = TraceContext(tag="x")
    instance = TriggerInstance(trigger="p.t", payload={"a": 1}, trace_context=context, tagged=True)
    event = event_of(instance, "digest")
    assert json.loads(event.payload) == {"a": 1}
    assert (event.trigger, event.trace_context, event.tagged, event.schema) == ("p.t", context, True, "digest")
    assert event.withheld is None
    plain = event_of(TriggerInstance(trigger="p.t", payload={}))
    assert (plain.trace_context, plain.tagged, plain.schema) == (None, False, None)
