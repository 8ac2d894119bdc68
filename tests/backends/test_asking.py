"""Asking for triggers as rules do, on each storage."""

from __future__ import annotations

from typing import Any

import pytest

from st2sensor.errors import TriggerRefused
from st2sensor.models import Trigger, TriggerType
from st2sensor.packs.configuration.checker import Checker
from st2sensor.packs.registration import asking
from st2sensor.packs.registration.announcements import Announcements
from st2sensor.storage.base import Storage
from st2sensor.transport.topology import Topology
from tests.backends.test_storage import open_storage, place, storage

__all__ = ["open_storage", "place", "storage"]

CHECKER = Checker()
"""Starts no process for schemas as simple as these."""

LINE = TriggerType(
    pack="linux",
    name="line",
    parameters_schema={"type": "object", "properties": {"path": {"type": "string", "required": True}}},
)


@pytest.fixture
def announcements() -> Announcements:
    return Announcements(Topology("st2"))


def test_a_trigger_lives_while_anybody_asks_for_it(storage: Storage, announcements: Announcements) -> None:
    storage.put(LINE)
    first = asking.ask(LINE.ref, {"path": "/a"}, storage, announcements, CHECKER)
    assert asking.ask(LINE.ref, {"path": "/a"}, storage, announcements, CHECKER).ref == first.ref
    assert asking.ask(LINE.ref, {"path": "/b"}, storage, announcements, CHECKER).ref != first.ref
    assert first.type == LINE.ref

    asking.withdraw(first.ref, storage, announcements)
    known = storage.get(Trigger, first.ref)
    assert known is not None
    assert (known.ref_count, dict(known.parameters)) == (1, {"path": "/a"})
    asking.withdraw(first.ref, storage, announcements)
    assert storage.get(Trigger, first.ref) is None
    asking.withdraw(first.ref, storage, announcements)
    assert [dict(trigger.parameters) for trigger in storage.all(Trigger)] == [{"path": "/b"}]


def test_a_trigger_without_parameters_stays(storage: Storage, announcements: Announcements) -> None:
    storage.put(TriggerType(pack="linux", name="boot"))
    asked = asking.ask("linux.boot", {}, storage, announcements, CHECKER)
    assert asked.ref == "linux.boot"
    asking.withdraw("linux.boot", storage, announcements)
    assert storage.get(Trigger, "linux.boot") is not None


@pytest.mark.parametrize(
    ("ref", "parameters", "said", "key"),
    [
        ("linux.none", {}, "there is no trigger type linux.none; correct the type", "type"),
        (
            "linux.line",
            {"path": 5},
            "parameters do not fit trigger type linux.line: path: 5 is not of type 'string'",
            "parameters",
        ),
    ],
)
def test_what_has_no_type_or_does_not_fit_is_refused(
    storage: Storage, announcements: Announcements, ref: str, parameters: dict[str, Any], said: str, key: str
) -> None:
    storage.put(LINE)
    with pytest.raises(TriggerRefused, match=said) as refused:
        asking.ask(ref, parameters, storage, announcements, CHECKER)
    assert refused.value.key == key
    assert storage.all(Trigger) == []
