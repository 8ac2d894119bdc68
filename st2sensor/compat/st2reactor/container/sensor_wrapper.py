"""StackStorm's name for what sensors are given."""

from st2sensor.wrapper.service import SensorService

__all__ = ["SensorService"]
