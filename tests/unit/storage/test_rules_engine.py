"""Documents of StackStorm's rules engine."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from st2sensor.models import Trigger
from st2sensor.storage import rules_engine
from st2sensor.storage.fields import Foreign, Misfit
from tests.support.workspace import sample


def plain(value: Any) -> Any:
    """Return a sample's extended JSON as `storage.mongo.decoding` would."""
    if isinstance(value, dict):
        if "$oid" in value:
            return Foreign("an id", value["$oid"])
        if "$binary" in value:
            return Foreign("binary data", value["$binary"]["base64"])
        if "$date" in value:
            return datetime.fromisoformat(value["$date"])
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def samples(name: str) -> list[dict[str, Any]]:
    return [plain(item) for item in sample(f"documents/{name}.json")]


def test_the_samples_are_read() -> None:
    first, second, _ = map(rules_engine.instance, samples("trigger_instance_d_b"))
    assert (first.id, first.trigger, first.status) == ("6b098910855fc8f2d1b0ea48", "peer.event", "processed")
    assert first.payload == {"id": "plain", "kind": "match"}
    assert first.at == datetime(2026, 11, 27, 13, 43, 44, 278000, UTC).timestamp()
    assert second.payload == {"id": "nomatch", "kind": "other"}
    enforced = rules_engine.enforcement(samples("rule_enforcement_d_b")[0])
    assert (enforced.rule, enforced.status, enforced.failure) == ("peer.on_event", "succeeded", "")
    assert enforced.execution == "6b098593855fc8f2d1b0df5c"
    done = rules_engine.execution(samples("action_execution_d_b")[0])
    assert (done.id, done.action, done.status) == (enforced.execution, "core.local", "succeeded")
    traced = rules_engine.instances_of_trace(samples("trace_d_b")[0])
    assert traced == ["6b098593855fc8f2d1b0df86", "6b098595855fc8f2d1b0dfc2"]


def test_rules_get_their_triggers_and_keys() -> None:
    triggers = {"peer.event": Trigger(pack="peer", name="event", type="peer.event")}
    found = {rule.ref: rule for rule in (rules_engine.rule(item, triggers) for item in samples("rule_d_b"))}
    rule = found["peer.on_event"]
    assert rule.criteria == {"trigger.kind": {"type": "equals", "pattern": "match"}}
    assert (rule.enabled, rule.trigger_type, rule.action) == (True, "peer.event", "core.local")
    assert rule.created == 0x6B098552
    assert found["only.hook"].trigger_type is None


@pytest.mark.parametrize(
    ("read", "name", "change"),
    [
        (lambda item: rules_engine.rule(item, {}), "rule_d_b", {"trigger": 5}),
        (lambda item: rules_engine.rule(item, {}), "rule_d_b", {"criteria": [1]}),
        (lambda item: rules_engine.rule(item, {}), "rule_d_b", {"enabled": "yes"}),
        (rules_engine.instance, "trigger_instance_d_b", {"occurrence_time": "now"}),
        (rules_engine.enforcement, "rule_enforcement_d_b", {"trigger_instance_id": None}),
        (rules_engine.execution, "action_execution_d_b", {"status": 1}),
        (rules_engine.instances_of_trace, "trace_d_b", {"trigger_instances": 5}),
    ],
)
def test_a_wrong_field_makes_a_document_malformed(
    read: Callable[[Mapping[str, Any]], object], name: str, change: dict[str, Any]
) -> None:
    with pytest.raises(Misfit):
        read({**samples(name)[0], **change})


@pytest.mark.parametrize("stored", [None, 5, b"\xff", b"[1]", b"{" * 10**5])
def test_a_payload_that_cannot_be_read_is_none(stored: Any) -> None:
    value = Foreign("binary data", base64.b64encode(stored).decode()) if isinstance(stored, bytes) else stored
    assert rules_engine.instance({**samples("trigger_instance_d_b")[0], "payload": value}).payload is None


def test_a_payload_of_an_older_version_is_read() -> None:
    document = {**samples("trigger_instance_d_b")[0], "payload": {"a\uff0eb": 1}}
    assert rules_engine.instance(document).payload == {"a.b": 1}
