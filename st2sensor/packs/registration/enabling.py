"""Enables and disables sensors, like StackStorm's `st2 sensor enable`. The setting outlives a reload."""

from __future__ import annotations

from dataclasses import replace

from st2sensor.errors import SensorNotFound
from st2sensor.models import Instance, Registration, SensorType, class_of
from st2sensor.packs.registration.announcements import Announcements
from st2sensor.portable.keyspace import INSTANCE
from st2sensor.storage.base import Storage
from st2sensor.transport.topology import UPDATE


def set_enabled(storage: Storage, announcements: Announcements, ref: str, *, enabled: bool) -> bool:
    """Set whether a sensor should run. Return False if nothing changed. Raises SensorNotFound.

    If nobody has set it for an instance, the setting of its class applies.
    """
    if INSTANCE in ref:
        return _set_of_instance(storage, announcements, ref, enabled=enabled)
    sensor = storage.get(SensorType, ref)
    if sensor is None:
        refused = storage.get(Registration, ref)
        why = "check the name, or run st2ctl reload" if refused is None else f"its content was refused: {refused.error}"
        raise SensorNotFound(f"sensor {ref} is not registered: {why}")
    if sensor.enabled is enabled:
        return False
    storage.put(replace(sensor, enabled=enabled))
    announcements.add(sensor, UPDATE, storage)
    return True


def _set_of_instance(storage: Storage, announcements: Announcements, ref: str, *, enabled: bool) -> bool:
    found, of_class = storage.get(Instance, ref), storage.get(SensorType, class_of(ref))
    if found is None or of_class is None or found.runs_as != ref:
        raise SensorNotFound(f"instance {ref} is not registered: check the name, or run st2ctl reload")
    current = of_class.enabled if found.enabled is None else found.enabled
    if current is enabled:
        return False
    storage.put(replace(found, enabled=enabled))
    announcements.add(of_class, UPDATE, storage)
    return True
