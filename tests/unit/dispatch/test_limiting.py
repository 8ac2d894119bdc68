"""The message_ids of events with a key."""

from __future__ import annotations

import json
import uuid

import pytest

from st2sensor.dispatch.limiting import NAMESPACE, Limiting, message_id_of
from st2sensor.models.limits import SensorLimits
from st2sensor.outbox.gate import is_derived
from st2sensor.portable.event_key import key_of

PATHS = ["payload.id"]
LIMITS = {"p.S": SensorLimits("p.S", {"dedupe": {"key": PATHS, "window": "10m"}})}


def limiting() -> Limiting:
    made = Limiting()
    made.learn(LIMITS)
    return made


def test_a_repeat_in_one_window_has_the_same_id_in_every_container() -> None:
    key = key_of(PATHS, {"id": 1})
    ids = [limiting().message_id("p.S", "p.t", key, 1000.0 + second) for second in range(1200)]
    assert 2 <= len(set(ids)) <= 3
    assert ids == sorted(ids, key=ids.index), "windows follow each other"
    assert all(map(is_derived, ids))


@pytest.mark.parametrize("sensor", ["p.S", 'p.S@"\u00e9'])
def test_an_id_is_the_uuid_of_a_list_in_json(sensor: str) -> None:
    key = key_of(PATHS, {"id": 1})
    start = 3600.0 * (300_000 + int(key[-8:], 16) / 2**32)
    name = json.dumps([sensor, "p.t", key, round(start, 3)])
    assert message_id_of(sensor, "p.t", key, 3600.0, start + 1800.0) == uuid.uuid5(NAMESPACE, name).hex


def test_sensors_types_and_keys_do_not_share_ids() -> None:
    one, other = key_of(PATHS, {"id": 1}), key_of(PATHS, {"id": 2})
    made = {
        message_id_of(sensor, ref, key, 600.0, 5e5)
        for sensor in ("p.S", "p.T")
        for ref in ("p.t", "p.u")
        for key in (one, other)
    }
    assert len(made) == 8


def test_windows_of_different_keys_begin_at_different_times() -> None:
    starts = set()
    for number in range(20):
        key = key_of(PATHS, {"id": number})
        first = message_id_of("p.S", "p.t", key, 600.0, 6e5)
        starts.add(next(s for s in range(0, 630, 30) if message_id_of("p.S", "p.t", key, 600.0, 6e5 + s) != first))
    assert len(starts) > 8


def test_an_event_without_a_key_or_with_that_of_other_limits_has_a_random_id() -> None:
    made = limiting()
    for key in (None, key_of(["payload.name"], {"name": 1}), "x" * 41):
        assert not is_derived(made.message_id("p.S", "p.t", key, 5.0))
    assert not is_derived(made.message_id("p.Other", "p.t", key_of(PATHS, {"id": 1}), 5.0))
