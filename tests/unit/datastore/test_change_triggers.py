"""The triggers that announce a change of the datastore."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from datetime import UTC, datetime

from st2sensor.datastore.change_triggers import triggers_of
from st2sensor.models import Change, KeyValue
from tests.support.workspace import ROOT

SAMPLE = json.loads((ROOT / "tests" / "samples" / "messages" / "key_value_pair_create.json").read_text())
ENTRY = KeyValue(name="hello_st2.HelloSensor:hello_st2.count", value="1", id="6b037dd444a2a3a86c5672d2")


def names(old: KeyValue | None, new: KeyValue | None) -> list[str]:
    return [name.rpartition(".")[2] for name, _ in triggers_of(Change(old=old, new=new))]


def test_a_creation_is_announced_as_stackstorm_does() -> None:
    ((name, payload),) = triggers_of(Change(old=None, new=ENTRY))
    sample = ast.literal_eval(SAMPLE["body_unpickled"])
    assert (name, payload) == (sample["trigger"], sample["payload"])
    assert list(payload["object"]) == list(sample["payload"]["object"])


def test_a_set_is_an_update_and_a_new_value_a_change_of_it() -> None:
    assert names(ENTRY, ENTRY) == ["update"]
    assert names(ENTRY, replace(ENTRY, value="2")) == ["update", "value_change"]
    assert names(ENTRY, None) == ["delete"]
    assert names(None, None) == []
    _, (_, payload) = triggers_of(Change(old=ENTRY, new=replace(ENTRY, value="2")))
    assert (payload["old_object"]["value"], payload["new_object"]["value"]) == ("1", "2")


def test_a_secret_is_masked_wherever_it_stands() -> None:
    secret = replace(ENTRY, value="303030", secret=True)
    for change in (Change(old=None, new=secret), Change(old=secret, new=ENTRY), Change(old=secret, new=None)):
        assert "303030" not in json.dumps(list(triggers_of(change)))
    ((_, payload),) = triggers_of(Change(old=None, new=secret))
    assert (payload["object"]["value"], payload["object"]["encrypted"]) == ("********", True)


def test_the_expiry_is_told() -> None:
    expiring = replace(ENTRY, expire_timestamp=datetime(2026, 11, 23, 9, 42, 59, 165000, tzinfo=UTC))
    ((_, payload),) = triggers_of(Change(old=None, new=expiring))
    assert payload["object"]["expire_timestamp"] == "2026-11-23T09:42:59.165000Z"
