"""Finds the trigger instances that events became in StackStorm, which stores no message_id."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from st2sensor.models.rules_engine import InstanceRecord
from st2sensor.storage.base import RulesEngineRecords
from st2sensor.why.life import EventLife

EARLIER = 5.0
"""Seconds by which StackStorm's clock may be behind."""

INSTANCE = re.compile(r"[0-9a-f]{24}")
"""The form of the ids of StackStorm's trigger instances."""


def stored(engine: RulesEngineRecords, asked: str) -> list[InstanceRecord]:
    """Return the trigger instances in StackStorm that a question names."""
    if INSTANCE.fullmatch(asked):
        found = engine.instance(asked)
        return [] if found is None else [found]
    traced = engine.traced(asked)
    if traced:
        return traced
    latest = engine.latest(asked)
    return [] if latest is None else [latest]


def candidates(engine: RulesEngineRecords, life: EventLife) -> list[InstanceRecord]:
    """Return the trigger instances that may be an event: StackStorm stores no message_id."""
    if life.instance is not None:
        named = engine.instance(life.instance)
        return [] if named is None else [named]
    if life.payload is None or life.is_waiting:
        return []
    wanted = _canonical(life.payload)
    traced = engine.traced(life.trace_tag) if life.trace_tag else []
    found = traced or engine.instances(life.trigger, life.created - EARLIER)
    return [item for item in found if item.trigger == life.trigger and _canonical(item.payload) == wanted]


def _canonical(payload: Mapping[str, Any] | None) -> str:
    return json.dumps(payload, sort_keys=True, default=str)


def life_of(found: InstanceRecord, trigger_type: str, now: float) -> EventLife:
    """Return the event in a trigger instance.

    :param trigger_type: reference of the type of its trigger.
    :param now: seconds since the epoch.
    """
    return EventLife(
        message_id="",
        sensor="",
        trigger=found.trigger,
        trigger_type=trigger_type,
        created=found.at or now,
        payload=found.payload,
        source="StackStorm",
        instance=found.id,
    )
