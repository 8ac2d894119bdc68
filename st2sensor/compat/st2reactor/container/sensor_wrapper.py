"""StackStorm's name for the service that sensors receive."""

from st2sensor.wrapper.service import SensorService

__all__ = ["SensorService"]
