"""Events of the history as CloudEvents."""

from __future__ import annotations

import json
from dataclasses import replace

import jsonschema
import pytest

from st2sensor.api.cloudevents import NOT_JSON, NOT_KEPT, SCHEMA, cloud_event, text_of
from tests.unit.history.test_filters import EVENT, PAYLOAD


def test_an_event_has_the_attributes_of_the_specification() -> None:
    found = cloud_event(replace(EVENT, trace_tag="tag", sensor="linux.Tail é", node="a/b"))
    assert found == {
        "specversion": "1.0",
        "id": "a",
        "source": "/a%2Fb/linux.Tail%20%C3%A9",
        "type": "linux.file",
        "time": "1970-01-01T00:00:01.000000Z",
        "datacontenttype": "application/json",
        "data": {"payload": PAYLOAD, "trace_tag": "tag"},
    }


def test_a_trigger_with_parameters_and_a_late_event_are_marked() -> None:
    found = cloud_event(replace(EVENT, trigger="linux.4711", is_late=True))
    assert (found["st2trigger"], found["st2late"]) == ("linux.4711", True)


@pytest.mark.parametrize(("body", "reason"), [(None, NOT_KEPT), ("{", NOT_JSON), ("[]", NOT_JSON), ("{}", NOT_JSON)])
def test_a_payload_that_cannot_be_given_is_null_with_a_reason(body: str | None, reason: str) -> None:
    data = cloud_event(replace(EVENT, body=body))["data"]
    assert (data["payload"], data["withheld"]) == (None, reason)


def test_events_match_the_schema_of_the_document() -> None:
    strict = {**SCHEMA, "additionalProperties": False}
    for event in (replace(EVENT, trace_tag="tag"), replace(EVENT, body=None, trace_tag="x", is_late=True, trigger="b")):
        jsonschema.validate(cloud_event(event), strict)


def test_a_payload_that_is_nested_too_deeply_for_an_event_is_null() -> None:
    reasons = set()
    for levels in range(900, 1000):
        body = '{"payload":' + '{"a":' * levels + "1" + "}" * levels + "}"
        reasons.add(json.loads(text_of(replace(EVENT, body=body)))["data"].get("withheld"))
    assert reasons == {None, NOT_JSON}
