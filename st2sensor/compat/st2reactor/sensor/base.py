"""StackStorm's name for the public sensor API."""

from st2sensor.sensor import PollingSensor, Sensor

__all__ = ["PollingSensor", "Sensor"]
