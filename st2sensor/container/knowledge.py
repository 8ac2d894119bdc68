"""What storage says should run and what is registered, as one value that a refresh replaces."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from st2sensor.models import Registration, SensorType, Trigger, TriggerType
from st2sensor.storage.base import Storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """Everything by reference."""

    sensors: Mapping[str, SensorType] = field(default_factory=dict)
    registrations: Mapping[str, Registration] = field(default_factory=dict)
    trigger_types: Mapping[str, TriggerType] = field(default_factory=dict)
    triggers: Mapping[str, Trigger] = field(default_factory=dict)

    def desired(self, only: str | None) -> dict[str, str]:
        """The sensors that should run, with a digest each: all that are enabled, or one alone, enabled or not."""
        if only is None:
            chosen = [sensor for sensor in self.sensors.values() if sensor.enabled]
        else:
            chosen = [self.sensors[only]] if only in self.sensors else []
        return {sensor.ref: self._digest(sensor) for sensor in chosen}

    def triggers_of(self, ref: str) -> list[Trigger]:
        """The triggers of a sensor's types."""
        sensor = self.sensors.get(ref)
        types = set() if sensor is None else set(sensor.trigger_types)
        return [trigger for trigger in self.triggers.values() if trigger.type in types]

    def _digest(self, sensor: SensorType) -> str:
        """Of the document, which StackStorm's tools may change, and of what the registry saw on disk."""
        fields = {name: value for name, value in asdict(sensor).items() if name not in ("id", "enabled")}
        registration = self.registrations.get(sensor.ref)
        seen = registration.digest if registration else None
        return hashlib.sha256(repr((sorted(fields.items()), seen)).encode()).hexdigest()


def read(storage: Storage) -> Knowledge:
    """Read it all; blocks. Raises StorageError and StorageUnavailable."""
    return Knowledge(
        sensors={item.ref: item for item in storage.all(SensorType)},
        registrations={item.ref: item for item in storage.all(Registration)},
        trigger_types={item.ref: item for item in storage.all(TriggerType)},
        triggers={item.ref: item for item in storage.all(Trigger)},
    )
