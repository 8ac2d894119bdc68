"""Events in the history."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from st2sensor.dispatch.event import Event
from st2sensor.history.event import trace_tag_of
from st2sensor.models import TraceContext
from st2sensor.portable import rpc

TEXTS = st.one_of(st.text(), st.sampled_from(['"', ',"trace_context":null}', '{"trace_tag":"x"}', "\\"]))


@given(tag=st.one_of(st.none(), TEXTS), payload=st.dictionaries(TEXTS, TEXTS))
def test_the_trace_tag_is_found_without_decoding_the_payload(tag: str | None, payload: dict[str, str]) -> None:
    context = None if tag is None else TraceContext(tag=tag)
    body = Event(trigger="a.b", payload=rpc.body(payload), trace_context=context).body()
    assert json.loads(body)["payload"] == payload
    assert trace_tag_of(body) == (tag or None)


def test_a_body_that_is_not_json_has_no_trace_tag() -> None:
    for body in ("", "{", 'x,"trace_context":', 'x,"trace_context":[1]}', 'x,"trace_context":{"trace_tag":5}}'):
        assert trace_tag_of(body) is None
