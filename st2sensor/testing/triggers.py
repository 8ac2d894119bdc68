"""Calls a sensor's methods for triggers, as its container does when rules are added, changed and removed."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import Any, Dict


def add_trigger(sensor: Any, trigger_type: str, /, **parameters: Any) -> Dict[str, Any]:
    """Call the sensor's add_trigger(), as for a rule that asks for a trigger type with parameters.

    :param trigger_type: its reference, PACK.NAME.

    Returns the trigger, for update_trigger() and remove_trigger().
    """
    pack, _, name = trigger_type.partition(".")
    trigger = _trigger(uuid.uuid4().hex[:24], pack, str(uuid.uuid4()) if parameters else name, trigger_type, parameters)
    sensor.add_trigger(trigger)
    return trigger


def update_trigger(sensor: Any, trigger: Dict[str, Any], /, **parameters: Any) -> Dict[str, Any]:
    """Call the sensor's update_trigger(), as for a rule whose parameters have changed. Returns the changed trigger."""
    changed = _trigger(trigger["id"], trigger["pack"], trigger["name"], trigger["type"], parameters)
    sensor.update_trigger(changed)
    return changed


def remove_trigger(sensor: Any, trigger: Dict[str, Any], /) -> None:
    """Call the sensor's remove_trigger(), as when no rule asks for the trigger any longer."""
    sensor.remove_trigger(trigger)


def _trigger(identifier: str, pack: str, name: str, trigger_type: str, parameters: Dict[str, Any]) -> Dict[str, Any]:
    # Parameters that came over the wire are JSON, and share no object with the test.
    text = json.dumps(parameters, sort_keys=True)
    return {
        "id": identifier,
        "uid": f"trigger:{pack}:{name}:{hashlib.md5(text.encode()).hexdigest()}",
        "ref": f"{pack}.{name}",
        "name": name,
        "pack": pack,
        "type": trigger_type,
        "parameters": json.loads(text),
    }
