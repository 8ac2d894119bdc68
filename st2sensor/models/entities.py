"""The values that storage keeps under their reference."""

from __future__ import annotations

from st2sensor.models.sensors import Instance, Registration, SensorType, Silence
from st2sensor.models.triggers import Refusal, Rule, Trigger, TriggerType

Entity = SensorType | TriggerType | Trigger | Rule | Registration | Instance | Refusal | Silence
